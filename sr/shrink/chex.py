"""The stage `chex`: explore channels while overfitting, cut out what is off, train on.

CHEX (Hou et al., "CHEX: CHannel EXploration for CNN model compression", CVPR 2022). Channels are
taken away and given back while a network is trained, so that no dense training comes first and no
early mistake is final:

    every `interval` steps: widths for the budget ── global reallocation ──► k for each layer
                            column subset selection ──► keep the k of highest leverage
                            orthogonal projection ──► give back some of the others, fewer each time
    after the exploration:  the structure is fixed; the channels that are off are cut out

An off channel's rows are zero, so that nothing flows through it in either direction; what it was
worth when it was last on comes back with it (the paper's most recently used parameters).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from sr.models import Network
from sr.shrink.budget import Budget
from sr.shrink.channels import ChannelLayer, kept_channels
from sr.shrink.stage import (
    Stage,
    StageWork,
    Term,
    attach,
    budget_widths,
    check_chain,
    cut_network,
    open_channels,
    steps_in_intervals,
    with_terms,
)
from sr.training.branches import overfit_with_branches
from sr.training.loop import Companion, Companions, TrainingPlan, overfit

LEAST_STEPS_BETWEEN = 60  # fewer leave no time to learn in
FINE_STEP = 4  # of widths in training, which are masks

Allocator = Callable[[Sequence[ChannelLayer], float], Sequence[int]]


def leverage_scores(columns: Tensor, rank: int) -> Tensor:
    """[C]: how much each of the columns [n, C] takes part in the best approximation of `rank`.

    The length of a column's row in the leading right singular vectors (CHEX, section 3.1; Boutsidis
    et al., column subset selection, SODA 2009).
    """
    *_, right = torch.linalg.svd(columns.float(), full_matrices=False)
    return right[:rank].norm(dim=0)


def projection_distances(columns: Tensor, kept: Tensor) -> Tensor:
    """[C]: how far each column [n, C] is from the span of the kept ones (CHEX, section 3.2)."""
    basis = torch.linalg.qr(columns[:, kept].float()).Q
    return (columns - basis @ (basis.T @ columns.float())).norm(dim=0)


def by_projection(columns: Tensor, kept: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """CHEX's draw of `count` channels to give back: likelier, the less the kept ones span them."""
    return drawn(projection_distances(columns, kept).softmax(dim=0), kept, count, rng)


def drawn(chances: Tensor, kept: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """`count` channels by their chances [C], none of them among those `kept`."""
    chances = chances.clone() + 1e-9  # softmax may underflow, and a draw needs enough candidates
    chances[kept] = 0
    return torch.multinomial(chances, count, generator=rng) if count else kept[:0]


def columns_of(layer: ChannelLayer) -> Tensor:
    """[n, C]: each channel's weights, times its factor, as a column."""
    scaled = layer.weight.detach().flatten(1) * layer.scale.detach()[:, None]
    return scaled.T.float()


@dataclass(frozen=True)
class ExplorationPlan:
    """How CHEX explores: for `steps` steps, with an update every `interval` of them.

    `regrow_share` is the part of what is to be removed that the first update gives back; it falls
    to nothing by a cosine.
    """

    steps: int
    interval: int = LEAST_STEPS_BETWEEN
    regrow_share: float = 0.4
    seed: int = 0

    def regrown(self, step: int) -> float:
        """The share given back at a step: cosine decay (CHEX, equation 4)."""
        return self.regrow_share * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps)))

    def is_due(self, step: int) -> bool:
        """Whether an update belongs after `step` steps; the last one ends the exploration."""
        at_interval = step % self.interval == 0 and self.steps - step >= self.interval
        return at_interval or step == self.steps


class Exploration(Companion):
    """Explores the channels of `layers` while the network is trained.

    `allocate(layers, share)` says how many channels each layer keeps, with a share 0..1 of what is
    to be removed left in. `terms` have a say in what channels are worth. `on` holds a mask [C] for
    each layer.
    """

    def __init__(
        self,
        layers: Sequence[ChannelLayer],
        allocate: Allocator,
        plan: ExplorationPlan,
        terms: Sequence[Term] = (),
    ) -> None:
        self.layers, self.allocate, self.plan, self.terms = layers, allocate, plan, terms
        self.on = [torch.ones(layer.channels, dtype=torch.bool) for layer in layers]
        self._last = [[row.detach().clone() for row in layer.rows] for layer in layers]

    def worth(self, layer: ChannelLayer, count: int) -> Tensor:
        """[C]: CHEX's criterion for the `count` channels that stay."""
        return leverage_scores(columns_of(layer), count)

    def regrow(self, columns: Tensor, kept: Tensor, count: int, rng: torch.Generator) -> Tensor:
        """CHEX's choice of the `count` channels that are given back."""
        return by_projection(columns, kept, count, rng)

    def after_step(self, step: int) -> None:
        done = step + 1
        if self.plan.is_due(done):
            self._update(done)
        self._silence()

    def _update(self, done: int) -> None:
        """Give back all that was off, then choose anew."""
        self._restore()
        rng = torch.Generator().manual_seed(self.plan.seed * 1_000_003 + done)
        ends = done == self.plan.steps
        share = 0.0 if ends else self.plan.regrown(done)
        kept = self.allocate(self.layers, 0.0)
        live = self.allocate(self.layers, share)
        for layer, on, k, n in zip(self.layers, self.on, kept, live, strict=True):
            stay = with_terms(self.worth(layer, k), self.terms, layer).topk(k).indices
            back = self.regrow(columns_of(layer), stay, max(n, k) - k, rng)
            on[:] = False
            on[torch.cat([stay, back])] = True

    @torch.no_grad()
    def _restore(self) -> None:
        """Off channels get their last parameters back."""
        for layer, on, last in zip(self.layers, self.on, self._last, strict=True):
            for row, saved in zip(layer.rows, last, strict=True):
                row[~on] = saved[~on]

    @torch.no_grad()
    def _silence(self) -> None:
        """Remember the channels that are on, zero those that are off."""
        for layer, on, last in zip(self.layers, self.on, self._last, strict=True):
            for row, saved in zip(layer.rows, last, strict=True):
                saved[on] = row[on]
                if not on.all():
                    row[~on] = 0

    def kept(self) -> dict[str, list[int]]:
        """For each layer's convolution the channels that are on."""
        return kept_channels(self.layers, self.on)

    def state_dict(self) -> dict[str, Any]:
        return {"on": self.on, "last": self._last}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for mine, saved in zip(self.on, state["on"], strict=True):
            mine[:] = saved
        self._last = state["last"]


def budget_allocator(network: Network, budget: Budget) -> Allocator:
    """Widths by importance for cost, within the budget loosened by a share.

    What a share gives back is trained only, so it comes in fewer channels than whole blocks.
    """
    whole, fine = budget_widths(network, budget), budget_widths(network, budget.stepped(FINE_STEP))

    def widths(layers: Sequence[ChannelLayer], share: float) -> Sequence[int]:
        importance = [layer.importance() for layer in layers]
        return (fine if share > 0 else whole)(importance, share)

    return widths


@dataclass(frozen=True)
class Chex(Stage):
    """CHEX on the trunk of a chain or an ESPCN.

    `explore_share` of the steps explore (the paper: 0.72 of far more epochs; here a cut network
    needs the time more). The rest trains what is left, at its own speed, with branches that fold
    away (sr/training/branches.py). `terms` add to the loss all the time, and to the criterion while
    channels are chosen.
    """

    explore_share: float = 0.2
    interval: int = LEAST_STEPS_BETWEEN
    terms: tuple[Term, ...] = ()

    name = "chex"
    shrinks = "channels of the trunk"
    exploration: ClassVar[type[Exploration]] = Exploration

    def apply(self, network: Network, work: StageWork) -> Network:
        check_chain(network, self.name)
        exploring = steps_in_intervals(
            self.name, work.plan.steps, self.explore_share, self.interval
        )
        before, after = work.plan.split(exploring)
        allocator = budget_allocator(network, work.budget)
        graph, layers = open_channels(network)
        attach(self.terms, network, layers)
        plan = ExplorationPlan(before.steps, self.interval, seed=work.seed)
        exploration = self.exploration(layers, allocator, plan, self.terms)
        beside = Companions([*self.terms, exploration])
        saved = work.checkpoint("chex-explore")
        overfit(network, work.sampler, before, saved, work.on_step, beside)
        small = cut_network(network, graph, exploration.kept())
        attach(self.terms, small, ())
        return self.settled(small, work, after)

    def settled(self, small: Network, work: StageWork, after: TrainingPlan) -> Network:
        """The cut network, trained on."""
        saved, beside = work.checkpoint("chex-settle"), Companions(self.terms)
        return overfit_with_branches(
            small, work.sampler, after, work.seed, saved, work.on_step, beside
        )
