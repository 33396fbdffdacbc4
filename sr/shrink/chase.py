"""The stage `chase`: dynamic sparse training shows which channels are not needed; those go.

    plan: |── channels go ──| cut |── the smaller network trains on, masks change ──|── fixed ──|

    every `interval` steps    UMM, the mean |weight| of each filter, zeros counted
                              ──► the lowest channels go, by a cubic schedule
                              ──► what they held grows in those that stay (sr/shrink/sparse.py)

(Yin et al., "Dynamic sparsity is channel-level sparsity learner", NeurIPS 2023.) The non-zeros are
as many from the first step to the last, so the channels that stay become denser as others go. What
is cut out saves multiplications; what is zero in the channels that stay saves bytes of the weights
blob. `ChannelRemoval` works on any network that has `ChannelLayer`s: the chain, a ResNet.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil, prod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from player.package.architecture import Architecture, convolutions
from sr.models import Network
from sr.shrink.budget import Budget, WidthRule, Widths, allocate
from sr.shrink.channels import ChannelLayer, ScaledConvolution, kept_channels
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
    cut_network,
    open_channels,
    steps_in_intervals,
    with_terms,
    with_widths,
)
from sr.training.loop import Companion, Companions, overfit

EXTRA_SHARE = 0.05  # the paper's soft memory bound; 1 learns faster at first and ends lower

Remover = Callable[[Sequence[Tensor], Sequence[Tensor], float, torch.Generator], list[Tensor]]
"""(scores [C] of each layer, masks [C] of what is there, share 0..1 of what shall go that is still
left in, draw of ties) -> the new masks [C]."""


def cubic_left(done: int, first: int, last: int) -> float:
    """The share of what shall go that is still in: 1 before `first`, 0 from `last` on, cubic."""
    if done >= last:
        return 0.0
    return (1 - (done - first) / (last - first)) ** 3 if done > first else 1.0


@dataclass(frozen=True)
class BudgetRemover:
    """Ends in the widths that lose least UMM for the cost saved, within a budget.

    The end is decided anew each time, out of the channels that are left. A layer that has begun to
    shrink goes on to the next width that may be.
    """

    cost: Callable[[Widths], float]
    limit: float
    rule: WidthRule

    def __call__(
        self, scores: Sequence[Tensor], on: Sequence[Tensor], left: float, rng: torch.Generator
    ) -> list[Tensor]:
        step, reachable = self.rule.step, []
        for score, mask in zip(scores, on, strict=True):
            # The best live channels, as many as the widest end that may still be.
            live = score[mask].sort(descending=True).values
            whole = len(live) if bool(mask.all()) else len(live) // step * step
            reachable.append(live[: max(whole, self.rule.floor)].tolist())
        ends = allocate(reachable, self.cost, self.limit, self.rule)
        masks = []
        for score, mask, end in zip(scores, on, ends, strict=True):
            width = end + ceil((len(mask) - end) * left)
            order = rising(score.masked_fill(~mask, -1), rng)
            narrowed = mask.clone()
            narrowed[order[: max(0, len(mask) - width)]] = False
            masks.append(narrowed)
        return masks


def rising(scores: Tensor, rng: torch.Generator) -> Tensor:
    """Indices from the lowest score to the highest; ties in random order."""
    shuffled = torch.randperm(len(scores), generator=rng)
    return shuffled[scores[shuffled].argsort(stable=True)]


@dataclass(frozen=True)
class RemovalPlan:
    """Channels go at every `interval` from step `first` on, the last at step `last`.

    `first` = `last` removes all at once.
    """

    first: int
    last: int
    interval: int
    remove: Remover
    seed: int = 0

    def is_due(self, done: int) -> bool:
        """Whether channels go after `done` steps."""
        return self.first <= done <= self.last and (done % self.interval == 0 or done == self.last)


class ChannelRemoval(Companion):
    """Removes channels of `layers` while `training` keeps their weights sparse.

    `on` holds a mask [C] for each layer. A removed channel's rows are zero: nothing flows
    through it, and its readers' weights are given to others. `terms` have a say in what channels
    are worth.
    """

    def __init__(
        self,
        layers: Sequence[ChannelLayer],
        training: SparseTraining,
        plan: RemovalPlan,
        terms: Sequence[Term] = (),
    ) -> None:
        self.layers, self.training, self.plan, self.terms = layers, training, plan, terms
        self.on = [torch.ones(layer.channels, dtype=torch.bool) for layer in layers]

    def worth(self, layer: ChannelLayer, rng: torch.Generator) -> Tensor:
        """[C]: UMM, the mean magnitude over all of a filter, its zeros too (Chase, section 3.3)."""
        return layer.weight.detach().abs().mean(dim=(1, 2, 3))

    def after_backward(self, step: int) -> None:
        self.training.after_backward(step)

    def after_step(self, step: int) -> None:
        if self.plan.is_due(step + 1):
            self._remove(step + 1)
        self.training.after_step(step)
        self._silence()

    def _remove(self, done: int) -> None:
        rng = torch.Generator().manual_seed(self.plan.seed * 1_000_003 + done)
        scores = [with_terms(self.worth(layer, rng), self.terms, layer) for layer in self.layers]
        left = cubic_left(done, self.plan.first, self.plan.last)
        self.on = self.plan.remove(scores, self.on, left, rng)
        sparse = self.training.sparse
        for layer, on in zip(self.layers, self.on, strict=True):
            # No mask may be set in the rows and columns of what is off.
            for i, weight in enumerate(sparse.weights):
                if weight is layer.weight:
                    sparse.forbid(i, on, None)
                if any(weight is column for column in layer.columns):
                    sparse.forbid(i, None, on)

    @torch.no_grad()
    def _silence(self) -> None:
        for layer, on in zip(self.layers, self.on, strict=True):
            if not on.all():
                for row in layer.rows:
                    row[~on] = 0

    def kept(self) -> dict[str, list[int]]:
        """For each layer's convolution the channels that are on."""
        return kept_channels(self.layers, self.on)

    def state_dict(self) -> dict[str, Any]:
        return {"on": self.on, "training": self.training.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.on = list(state["on"])
        self.training.load_state_dict(state["training"])


def all_weights(network: Network) -> list[nn.Parameter]:
    """The weights of all convolutions, in the order in which the network holds them."""
    return [parameter for parameter in network.parameters() if parameter.dim() == 4]


def dense_places(network: Network) -> frozenset[int]:
    """Which of `all_weights` stay dense: the first and the last, which are few and touch pixels."""
    at_pixels = (*network.input_convolutions, *network.output_convolutions)
    owners = [name.rsplit(".", 1)[0] for name, p in network.named_parameters() if p.dim() == 4]
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
class Chase(Stage):
    """Chase on the trunk of a chain or an ESPCN.

    Channels go until `remove_until` of the steps, early, because a cut network needs time; the
    paper goes on until 0.8 of far more epochs. `density`: non-zeros among the hidden weights that
    the budget leaves. The first and the last convolutions are dense; what they lose with a channel
    grows elsewhere. `averaged`, `settle_share`: as in `SparsePlan`. `start` draws the first masks.
    `terms` add to the loss.
    """

    density: float = 0.5
    interval: int = 30
    averaged: int = 8
    settle_share: float = 0.75
    remove_until: float = 0.3
    start: StartMask = largest_mask
    terms: tuple[Term, ...] = ()

    name = "chase"
    shrinks = "channels of the trunk, bytes of weights"
    removal: ClassVar[type[ChannelRemoval]] = ChannelRemoval

    def apply(self, network: Network, work: StageWork) -> Network:
        check_chain(network, self.name)
        full = network.arch
        if self.remove_until > self.settle_share:  # nothing could grow in place of what goes
            raise StageError(
                f"--stages {self.name}: remove_until {self.remove_until} is after settle_share "
                f"{self.settle_share}, when masks are fixed; make it smaller"
            )
        removing = steps_in_intervals(self.name, work.plan.steps, self.remove_until, self.interval)
        before, after = work.plan.split(removing)
        graph, layers = open_channels(network)
        for module in network.modules():
            # UMM takes the weights as they are: the channels' factors stay 1.
            if isinstance(module, ScaledConvolution):
                module.scale.requires_grad_(False)
        training = self.sparse_training(network, work)
        attach(self.terms, network, layers)
        budget = work.budget
        remover = BudgetRemover(cost_of_widths(full, budget), budget.limit, budget.rule)
        first = self.first_removal(work.plan.steps, before.steps)
        plan = RemovalPlan(first, before.steps, self.interval, remover, work.seed)
        removal = self.removal(layers, training, plan, self.terms)
        beside = Companions([*self.terms, removal])
        saved = work.checkpoint("chase-remove")
        overfit(network, work.sampler, before, saved, work.on_step, beside)
        small = cut_network(network, graph, removal.kept())
        # Trained on with the masks that it has by now.
        old, dynamics = training.sparse, replace(training.plan, begin=work.plan.steps - after.steps)
        sparse = SparseWeights.of(all_weights(small), old.cut_masks(), old.dense)
        attach(self.terms, small, ())
        beside = Companions([*self.terms, SparseTraining(sparse, dynamics)])
        saved = work.checkpoint("chase-settle")
        overfit(small, work.sampler, after, saved, work.on_step, beside)
        return small

    def first_removal(self, steps: int, removing: int) -> int:
        """After how many of the `removing` steps, of `steps` in all, channels begin to go."""
        return 0

    def sparse_training(self, network: Network, work: StageWork) -> SparseTraining:
        """ERK's masks on the whole network. Raises BudgetError, StageError."""
        full = network.arch
        if not 0 < self.density <= 1:
            raise StageError(f"--stages {self.name}: density {self.density} is not within 0..1")
        dense, hidden = weight_counts(with_widths(full, even_widths(full, work.budget)))
        nonzeros = dense + round(self.density * hidden)  # from the first step to the last
        if nonzeros < (least := weight_counts(full)[0]):
            raise StageError(
                f"--stages {self.name}: density {self.density} leaves {nonzeros} weights, and the "
                f"first and last convolutions alone have {least}; raise the density or the budget"
            )
        extra = round(EXTRA_SHARE * sum(weight_counts(full)))
        plan = SparsePlan(
            work.plan.steps,
            nonzeros,
            extra,
            self.interval,
            self.averaged,
            settle_share=self.settle_share,
        )
        weights, places = all_weights(network), dense_places(network)
        sparse = SparseWeights.start(weights, nonzeros, work.seed, self.start, places)
        return SparseTraining(sparse, plan)
