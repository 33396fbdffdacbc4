"""The stage `chase`: dynamic sparse training shows which channels are not needed; those go.

    plan: |── channels go ──| cut |── the smaller network trains on, masks change ──|── fixed ──|

The non-zeros are as many from the first step to the last (sr/shrink/sparse.py), so the channels
that stay become denser as others go (sr/shrink/removal.py). What is cut out saves multiplications;
what is zero in the channels that stay saves bytes of the weights blob.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor, nn

from player.package.architecture import Architecture, convolutions
from sr.models import Network
from sr.shrink.allocate import Widths, allocate
from sr.shrink.budget import Budget
from sr.shrink.channels import (
    ChannelLayer,
    ScaledConvolution,
    add_scales,
    channel_layers,
    couplings,
    cut_channels,
    fold_scales,
)
from sr.shrink.removal import BudgetRemover, ChannelRemoval, RemovalPlan, Score, by_umm
from sr.shrink.sparse import (
    SparsePlan,
    SparseTraining,
    SparseWeights,
    StartMask,
    largest_mask,
)
from sr.shrink.stage import (
    Stage,
    StageError,
    StageWork,
    Term,
    attach,
    check_chain,
    cost_of_widths,
    rebuilt,
    traced,
    trunk_names,
    with_widths,
)
from sr.training.loop import Companions, TrainingPlan, overfit

EXTRA_SHARE = 0.05  # the paper's soft memory bound; 1 learns faster at first and ends lower


def all_weights(network: Network) -> list[nn.Parameter]:
    """The weights of all convolutions, in the order in which the network holds them."""
    return [parameter for parameter in network.parameters() if parameter.dim() == 4]


def dense_places(network: Network) -> frozenset[int]:
    """Which of `all_weights` stay dense: the first and the last, which are few and touch pixels."""
    at_pixels = (*network.input_convolutions, *network.output_convolutions)
    names = [name for name, parameter in network.named_parameters() if parameter.dim() == 4]
    owners = [name.rsplit(".", 1)[0] for name in names]
    return frozenset(i for i, owner in enumerate(owners) if owner in at_pixels)


def weight_counts(arch: Architecture) -> tuple[int, int]:
    """How many weights of a chain or an ESPCN stay dense, and how many others there are."""
    sizes = {name: prod(shape) for name, shape in convolutions(arch)}
    hidden = sum(n for name, n in sizes.items() if name.startswith("trunk.") and name != "trunk.0")
    return sum(sizes.values()) - hidden, hidden


def even_widths(full: Architecture, budget: Budget) -> Widths:
    """The widths within the budget where all channels are worth the same. Raises BudgetError."""
    alike = [[1.0] * width for width in full.widths]
    return allocate(alike, cost_of_widths(full, budget), budget.limit, budget.rule)


@dataclass(frozen=True)
class SparseStage(Stage):
    """The control of `Chase`: as many non-zeros in a network that keeps all its channels.

    `density`: non-zeros among the hidden weights that the budget leaves. The first and the last
    convolutions are dense; what they lose with a channel grows elsewhere. `start`: the first masks.
    `extra_share`: the soft memory bound above the baseline, of all weights. `averaged`,
    `explore_share`, `settle_share`: as in `SparsePlan`. `terms` add to the loss.
    """

    density: float = 0.5
    interval: int = 30
    averaged: int = 8
    extra_share: float = EXTRA_SHARE
    explore_share: float = 0.6
    settle_share: float = 0.75
    start: StartMask = largest_mask
    terms: tuple[Term, ...] = ()

    name = "sparse"
    shrinks = "bytes of weights"

    def apply(self, network: Network, work: StageWork) -> Network:
        check_chain(network, self.name)
        attach(self.terms, network, ())
        beside = Companions([*self.terms, self._training(network, work)])
        saved = work.checkpoint(self.name)
        overfit(network, work.sampler, work.plan, saved, work.on_step, beside)
        return network

    def _training(self, network: Network, work: StageWork) -> SparseTraining:
        """ERK's masks on the whole network. Raises BudgetError."""
        full = network.arch
        if not 0 < self.density <= 1:
            raise StageError(f"--stages {self.name}: density {self.density} is not within 0..1")
        nonzeros = self._nonzeros(full, work.budget)
        extra = round(self.extra_share * sum(weight_counts(full)))
        plan = SparsePlan(
            work.plan.steps,
            nonzeros,
            extra,
            self.interval,
            self.averaged,
            self.explore_share,
            self.settle_share,
        )
        weights, dense = all_weights(network), dense_places(network)
        sparse = SparseWeights.start(weights, nonzeros, work.seed, self.start, dense)
        return SparseTraining(sparse, plan)

    def _nonzeros(self, full: Architecture, budget: Budget) -> int:
        """Of the whole network, from the first step to the last. Raises StageError."""
        dense, hidden = weight_counts(with_widths(full, even_widths(full, budget)))
        nonzeros = dense + round(self.density * hidden)
        if nonzeros < (least := weight_counts(full)[0]):
            raise StageError(
                f"--stages {self.name}: density {self.density} leaves {nonzeros} weights, and the "
                f"first and last convolutions alone have {least}; raise the density or the budget"
            )
        return nonzeros


@dataclass(frozen=True)
class Chase(SparseStage):
    """Chase on the trunk of a chain or an ESPCN.

    Channels go from `remove_from` to `remove_until` (shares of the steps; equal: all at once), and
    early, because a cut network needs time. The paper goes on until 0.8 of far
    more epochs. `score`: the paper's or a control's.
    """

    remove_from: float = 0.0
    remove_until: float = 0.3
    score: Score = by_umm

    name = "chase"
    shrinks = "channels of the trunk, bytes of weights"

    def apply(self, network: Network, work: StageWork) -> Network:
        check_chain(network, self.name)
        before, after = work.plan.split(self._removing_steps(work.plan.steps))
        graph = traced(network)
        coupled = couplings(graph)
        _add_fixed_scales(network)
        training = self._training(network, work)
        layers = channel_layers(network, coupled)
        attach(self.terms, network, layers)
        removal = ChannelRemoval(layers, training, self._removal_plan(network.arch, before, work))
        saved = work.checkpoint("chase-remove")
        beside = Companions([*self.terms, removal])
        overfit(network, work.sampler, before, saved, work.on_step, beside)
        fold_scales(network)
        cut_channels(graph, removal.kept())
        return self._settled(rebuilt(network), training, after, work)

    def _removing_steps(self, steps: int) -> int:
        """A whole number of intervals. Raises StageError where there is no room for one, and where
        nothing could grow any more in place of what goes."""
        if self.remove_until > self.settle_share:
            raise StageError(
                f"--stages {self.name}: remove_until {self.remove_until} is after settle_share "
                f"{self.settle_share}, when masks are fixed; make it smaller"
            )
        intervals = round(self.remove_until * steps) // self.interval
        if intervals < 1:
            raise StageError(
                f"--stages {self.name}: {steps} steps leave no room for an update every "
                f"{self.interval}: raise --steps to {round(self.interval / self.remove_until)}"
            )
        return intervals * self.interval

    def _removal_plan(
        self, full: Architecture, before: TrainingPlan, work: StageWork
    ) -> RemovalPlan:
        first = min(round(self.remove_from * work.plan.steps), before.steps)
        remover = BudgetRemover(
            cost_of_widths(full, work.budget), work.budget.limit, work.budget.rule
        )
        score = with_terms(self.score, self.terms)
        return RemovalPlan(first, before.steps, self.interval, remover, score, work.seed)

    def _settled(
        self, small: Network, training: SparseTraining, after: TrainingPlan, work: StageWork
    ) -> Network:
        """The cut network, trained on with the masks that it has by now."""
        old = training.sparse
        sparse = SparseWeights.of(all_weights(small), old.cut_masks(), old.dense)
        plan = replace(training.plan, begin=work.plan.steps - after.steps)
        attach(self.terms, small, ())
        beside = Companions([*self.terms, SparseTraining(sparse, plan)])
        saved = work.checkpoint("chase-settle")
        overfit(small, work.sampler, after, saved, work.on_step, beside)
        return small


def with_terms(score: Score, terms: Sequence[Term]) -> Score:
    """The score times what the terms make of each channel."""

    def weighed(layer: ChannelLayer, rng: torch.Generator) -> Tensor:
        found = [term.importance(layer) for term in terms]
        factors = [factor for factor in found if factor is not None]
        return torch.stack([score(layer, rng), *factors]).prod(dim=0)

    return weighed


def _add_fixed_scales(network: Network) -> None:
    """Channel factors of one, not trained: UMM takes the weights as they are."""
    add_scales(network, trunk_names(network))
    for module in network.modules():
        if isinstance(module, ScaledConvolution):
            module.scale.requires_grad_(False)
