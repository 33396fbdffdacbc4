"""The stage `chex`: explore channels while overfitting, cut out what is off, train on.

plan: |── exploration (sr/shrink/exploration.py) ──|── the cut network trains on ──|
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sr.models import Network
from sr.shrink.budget import Budget
from sr.shrink.channels import (
    ChannelLayer,
    add_scales,
    channel_layers,
    couplings,
    cut_channels,
    fold_scales,
)
from sr.shrink.exploration import (
    LEAST_STEPS_BETWEEN,
    Allocator,
    Criterion,
    Exploration,
    ExplorationPlan,
    Regrower,
    by_leverage,
    by_projection,
)
from sr.shrink.settle import EXPANSION_CHANNELS, settle
from sr.shrink.stage import (
    Stage,
    StageError,
    StageWork,
    Term,
    attach,
    budget_widths,
    check_chain,
    rebuilt,
    traced,
    trunk_names,
)
from sr.training.loop import Companions, overfit

FINE_STEP = 4  # of widths in training, which are masks


def budget_allocator(network: Network, budget: Budget) -> Allocator:
    """Widths by importance for cost, within the budget loosened by a share.

    What a share gives back is trained only, so it comes in fewer channels than whole blocks.
    """
    whole, fine = budget_widths(network, budget), budget_widths(network, budget.stepped(FINE_STEP))

    def widths(layers: Sequence[ChannelLayer], share: float) -> Sequence[int]:
        importance = [layer.importance() for layer in layers]
        return (fine if share > 0 else whole)(importance, share)

    return widths


def with_importance(criterion: Criterion, terms: Sequence[Term]) -> Criterion:
    """The criterion times what the terms make of each channel."""

    def weighed(layer: ChannelLayer, count: int) -> Tensor:
        found = [term.importance(layer) for term in terms]
        factors = [factor for factor in found if factor is not None]
        return torch.stack([criterion(layer, count), *factors]).prod(dim=0)

    return weighed


@dataclass(frozen=True)
class Chex(Stage):
    """CHEX on the trunk of a chain or an ESPCN.

    `explore_share` of the steps explore (the paper: 0.72 of far more epochs; here a cut network
    needs the time more). The rest trains what is left, at its own speed, with
    branches of `expansion` channels that fold away (sr/shrink/settle.py). `terms` add to the loss
    all the time, and to the criterion while channels are chosen.
    """

    explore_share: float = 0.2
    interval: int = LEAST_STEPS_BETWEEN
    regrow_share: float = 0.4
    criterion: Criterion = by_leverage
    regrow: Regrower = by_projection
    expansion: int = EXPANSION_CHANNELS
    terms: tuple[Term, ...] = ()

    name = "chex"
    shrinks = "channels of the trunk"

    def apply(self, network: Network, work: StageWork) -> Network:
        check_chain(network, self.name)
        before, after = work.plan.split(self._exploring_steps(work.plan.steps))
        allocator = budget_allocator(network, work.budget)
        graph = traced(network)
        coupled = couplings(graph)
        add_scales(network, trunk_names(network))
        layers = channel_layers(network, coupled)
        attach(self.terms, network, layers)
        criterion = with_importance(self.criterion, self.terms)
        plan = ExplorationPlan(
            before.steps, self.interval, self.regrow_share, criterion, self.regrow, work.seed
        )
        exploration = Exploration(layers, allocator, plan)
        beside = Companions([*self.terms, exploration])
        saved = work.checkpoint("chex-explore")
        overfit(network, work.sampler, before, saved, work.on_step, beside)
        fold_scales(network)
        cut_channels(graph, exploration.kept())
        small = rebuilt(network)
        attach(self.terms, small, ())
        return settle(small, work, after, "chex-settle", self.expansion, Companions(self.terms))

    def _exploring_steps(self, steps: int) -> int:
        """A whole number of intervals. Raises StageError where there is no room for one."""
        intervals = round(self.explore_share * steps) // self.interval
        if intervals < 1:
            raise StageError(
                f"--stages {self.name}: {steps} steps leave no room for an update every "
                f"{self.interval}: raise --steps to {round(self.interval / self.explore_share)}"
            )
        return intervals * self.interval
