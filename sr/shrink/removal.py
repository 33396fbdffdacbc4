"""Which channels go in Chase: those that dynamic sparse training has left with little.

    every `interval` steps    UMM, the mean |weight| of each filter, zeros counted
                              ──► the lowest channels go, by a cubic schedule
                              ──► what they held grows in those that stay (sr/shrink/sparse.py)

(Yin et al., "Dynamic sparsity is channel-level sparsity learner", NeurIPS 2023.) Works on any
network that has `ChannelLayer`s: the chain of super-resolution, a ResNet.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from torch import Tensor

from sr.shrink.allocate import WidthRule, Widths, allocate
from sr.shrink.channels import ChannelLayer, kept_channels
from sr.shrink.sparse import SparseTraining
from sr.training.loop import Companion

Score = Callable[[ChannelLayer, torch.Generator], Tensor]  # [C]: what channels are worth
Remover = Callable[[Sequence[Tensor], Sequence[Tensor], float, torch.Generator], list[Tensor]]
"""(scores [C] of each layer, masks [C] of what is there, share 0..1 of what shall go that is still
left in, draw of ties) -> the new masks [C]."""


def by_umm(layer: ChannelLayer, rng: torch.Generator) -> Tensor:
    """[C]: unmasked mean magnitude, over all of a filter, its zeros too (Chase, section 3.3)."""
    return layer.weight.detach().abs().mean(dim=(1, 2, 3))


def by_nonzero_mean(layer: ChannelLayer, rng: torch.Generator) -> Tensor:
    """The paper's ablation: how large the non-zeros are, no matter how few."""
    weight = layer.weight.detach()
    return weight.abs().sum(dim=(1, 2, 3)) / (weight != 0).sum(dim=(1, 2, 3)).clamp_min(1)


def by_chance(layer: ChannelLayer, rng: torch.Generator) -> Tensor:
    """The control: random channels."""
    return torch.rand(layer.channels, generator=rng)


def cubic_left(done: int, first: int, last: int) -> float:
    """The share of what shall go that is still in: 1 before `first`, 0 from `last` on, cubic."""
    if done >= last:
        return 0.0
    return (1 - (done - first) / (last - first)) ** 3 if done > first else 1.0


@dataclass(frozen=True)
class RankedRemover:
    """The paper's: `share` of all channels go, the lowest of all layers first.

    Each layer keeps C (1 - share) `least`; what may not go there goes elsewhere.
    """

    share: float = 0.5
    least: float = 0.5

    def __call__(
        self, scores: Sequence[Tensor], on: Sequence[Tensor], left: float, rng: torch.Generator
    ) -> list[Tensor]:
        masks = [mask.clone() for mask in on]
        floors = [max(1, ceil(len(m) * (1 - self.share) * self.least)) for m in masks]
        channels = sum(len(mask) for mask in masks)
        excess = sum(int(m.sum()) for m in masks) - round(channels * (1 - self.share * (1 - left)))
        owners = torch.cat([torch.full((len(m),), i) for i, m in enumerate(masks)])
        places = torch.cat([torch.arange(len(m)) for m in masks])
        for at in _rising(torch.cat(list(scores)), rng):
            layer, channel = int(owners[at]), int(places[at])
            if excess > 0 and masks[layer][channel] and int(masks[layer].sum()) > floors[layer]:
                masks[layer][channel] = False
                excess -= 1
        return masks


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
        ends = allocate(
            [self._reachable(s, m) for s, m in zip(scores, on, strict=True)],
            self.cost,
            self.limit,
            self.rule,
        )
        widths = [end + ceil((len(m) - end) * left) for end, m in zip(ends, on, strict=True)]
        return [_narrowed(s, m, w, rng) for s, m, w in zip(scores, on, widths, strict=True)]

    def _reachable(self, scores: Tensor, on: Tensor) -> list[float]:
        """The best live channels, as many as the widest end that may still be."""
        live = scores[on].sort(descending=True).values
        whole = len(live) if bool(on.all()) else len(live) // self.rule.step * self.rule.step
        return [float(score) for score in live[: max(whole, self.rule.floor)]]


def _narrowed(scores: Tensor, on: Tensor, width: int, rng: torch.Generator) -> Tensor:
    """Of the channels that are on, the `width` of the highest scores."""
    order = _rising(scores.masked_fill(~on, -1), rng)
    mask = on.clone()
    mask[order[: max(0, len(on) - width)]] = False
    return mask


def _rising(scores: Tensor, rng: torch.Generator) -> Tensor:
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
    score: Score = by_umm
    seed: int = 0

    def is_due(self, done: int) -> bool:
        """Whether channels go after `done` steps."""
        return self.first <= done <= self.last and (done % self.interval == 0 or done == self.last)


class ChannelRemoval(Companion):
    """Removes channels of `layers` while `training` keeps their weights sparse.

    `on` holds a mask [C] for each layer. A removed channel's rows are zero: nothing flows
    through it, and its readers' weights are given to others.
    """

    def __init__(
        self, layers: Sequence[ChannelLayer], training: SparseTraining, plan: RemovalPlan
    ) -> None:
        self.layers, self.training, self.plan = layers, training, plan
        self.on = [torch.ones(layer.channels, dtype=torch.bool) for layer in layers]

    def after_backward(self, step: int) -> None:
        self.training.after_backward(step)

    def after_step(self, step: int) -> None:
        if self.plan.is_due(step + 1):
            self._remove(step + 1)
        self.training.after_step(step)
        self._silence()

    def _remove(self, done: int) -> None:
        rng = torch.Generator().manual_seed(self.plan.seed * 1_000_003 + done)
        scores = [self.plan.score(layer, rng) for layer in self.layers]
        left = cubic_left(done, self.plan.first, self.plan.last)
        self.on = self.plan.remove(scores, self.on, left, rng)
        for layer, on in zip(self.layers, self.on, strict=True):
            self._forbid(layer, on)

    def _forbid(self, layer: ChannelLayer, on: Tensor) -> None:
        """No mask may be set in the rows and columns of what is off."""
        for i, weight in enumerate(self.training.sparse.weights):
            if weight is layer.weight:
                self.training.sparse.forbid(i, on, None)
            if any(weight is column for column in layer.columns):
                self.training.sparse.forbid(i, None, on)

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
