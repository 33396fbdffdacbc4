"""Dynamic sparse training: few weights at a time, and which ones is learned too.

As in Chase (Yin et al., "Dynamic sparsity is channel-level sparsity learner", NeurIPS 2023):

    start     non-zeros shared out over the layers by ERK (Evci et al., RigL, ICML 2020, section 3)
    explore   every `interval` steps: prune to the baseline by |weight| over all layers, grow by
              |gradient| over all layers to the soft memory bound, which falls to the baseline
    settle    ordinary: prune a falling share of the non-zeros, grow as many
    fixed     the masks stay

A weight outside its mask is exactly zero after every step, and what its gradient would be is only
read to decide what grows.
"""

import math
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sr.training.loop import Companion

FIRST_PRUNED, LAST_PRUNED = 0.5, 0.005  # shares of the non-zeros in the ordinary part

StartMask = Callable[[Tensor, int, torch.Generator], Tensor]


def erk_counts(shapes: Sequence[tuple[int, ...]], nonzeros: int) -> tuple[int, ...]:
    """How many weights of each layer [O, I, k, k] are non-zero, `nonzeros` in all.

    Erdős–Rényi kernels: a layer's density is in proportion to (O + I + k + k) / (O I k k); one that
    would exceed 1 is dense, and the others share what is left. Raises ValueError where there are
    fewer weights than `nonzeros`.
    """
    sizes = [math.prod(shape) for shape in shapes]
    if not 0 <= nonzeros <= sum(sizes):
        raise ValueError(f"{nonzeros} non-zeros do not fit in {sum(sizes)} weights")
    dense: set[int] = set()
    while True:
        left = nonzeros - sum(sizes[i] for i in dense)
        parts = [0 if i in dense else sum(shape) for i, shape in enumerate(shapes)]
        wanted = [left * part / max(1, sum(parts)) for part in parts]
        over = {i for i, want in enumerate(wanted) if want > sizes[i]}
        if not over:
            break
        dense |= over
    return _whole([sizes[i] if i in dense else want for i, want in enumerate(wanted)], sizes)


def _whole(wanted: Sequence[float], sizes: Sequence[int]) -> tuple[int, ...]:
    """Rounded so that the sum stays: the largest remainders are rounded up."""
    counts = [math.floor(want) for want in wanted]
    missing = round(sum(wanted)) - sum(counts)
    room = [i for i in range(len(wanted)) if counts[i] < sizes[i]]
    for i in sorted(room, key=lambda i: counts[i] - wanted[i])[:missing]:
        counts[i] += 1
    return tuple(counts)


def largest_mask(weight: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """The `count` largest weights: keeps the identity that a plain chain starts from."""
    return _largest(weight.detach().abs().flatten(), count).reshape(weight.shape)


def _largest(values: Tensor, count: int) -> Tensor:
    """The mask [n] of exactly `count` largest values [n]."""
    mask = torch.zeros(len(values), dtype=torch.bool)
    mask[values.topk(count).indices] = True
    return mask


@dataclass
class SparseWeights:
    """Weights, the mask of each, and where masks may be set at all (`allowed`).

    `dense`: the places of those that lose no weight but with a channel; they count all the same.
    """

    weights: list[nn.Parameter]
    masks: list[Tensor]
    allowed: list[Tensor]
    dense: frozenset[int] = frozenset()

    @classmethod
    def start(
        cls,
        weights: Sequence[nn.Parameter],
        nonzeros: int,
        seed: int = 0,
        mask: StartMask = largest_mask,
        dense: Set[int] = frozenset(),
    ) -> "SparseWeights":
        """ERK's masks, `nonzeros` in all; zeroes what they leave out. Raises ValueError."""
        rng = torch.Generator().manual_seed(seed)
        left = nonzeros - sum(weights[i].numel() for i in dense)
        thin = [tuple(w.shape) for i, w in enumerate(weights) if i not in dense]
        counts = iter(erk_counts(thin, left))
        masks = [
            torch.ones_like(w, dtype=torch.bool) if i in dense else mask(w, next(counts), rng)
            for i, w in enumerate(weights)
        ]
        return cls.of(weights, masks, dense)

    @classmethod
    def of(
        cls,
        weights: Sequence[nn.Parameter],
        masks: Sequence[Tensor],
        dense: Set[int] = frozenset(),
    ) -> "SparseWeights":
        """Given masks; zeroes what they leave out."""
        allowed = [torch.ones_like(mask) for mask in masks]
        made = cls(list(weights), [mask.clone() for mask in masks], allowed, frozenset(dense))
        made.apply()
        return made

    @property
    def nonzeros(self) -> int:
        return sum(int(mask.sum()) for mask in self.masks)

    @property
    def room(self) -> int:
        """How many weights are allowed."""
        return sum(int(allowed.sum()) for allowed in self.allowed)

    @torch.no_grad()
    def apply(self) -> None:
        """Zero the weights outside their masks."""
        for weight, mask in zip(self.weights, self.masks, strict=True):
            weight[~mask] = 0

    def prune(self, count: int) -> None:
        """Keep the `count` largest |weights| over all layers, and all of the dense ones."""
        on = _joined(self.masks)
        if int(on.sum()) > count:
            sizes = [
                torch.full_like(w, torch.inf) if i in self.dense else w.detach().abs()
                for i, w in enumerate(self.weights)
            ]
            self._set(_largest(_joined(sizes).masked_fill(~on, -1), count))

    def grow(self, count: int, gradients: Sequence[Tensor]) -> None:
        """Add the allowed weights of the largest |gradients| over all layers until `count` are on.

        They start from zero.
        """
        on, allowed = _joined(self.masks), _joined(self.allowed)
        more = min(count, int(allowed.sum())) - int(on.sum())
        if more > 0:
            sizes = _joined([g.abs() for g in gradients])
            self._set(on | _largest(sizes.masked_fill(on | ~allowed, -1), more))

    def forbid(self, index: int, outputs: Tensor | None, inputs: Tensor | None) -> None:
        """From now on zero in weight `index`: the rows and columns outside the masks [O], [I]."""
        if outputs is not None:
            self.allowed[index][~outputs] = False
        if inputs is not None:
            self.allowed[index][:, ~inputs] = False
        self.masks[index] &= self.allowed[index]

    def cut_masks(self) -> list[Tensor]:
        """The masks without the rows and columns that are forbidden."""
        pairs = zip(self.masks, self.allowed, strict=True)
        return [m[a.any(dim=(1, 2, 3))][:, a.any(dim=(0, 2, 3))] for m, a in pairs]

    def _set(self, joined: Tensor) -> None:
        parts = joined.split([mask.numel() for mask in self.masks])
        for mask, part in zip(self.masks, parts, strict=True):
            mask.copy_(part.reshape(mask.shape))


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([t.flatten() for t in tensors])


@dataclass(frozen=True)
class SparsePlan:
    """When and how far masks change, over `steps` of training of which `begin` are done before.

    `nonzeros`: the baseline. `extra`: weights above it in the soft memory bound's beginning. The
    growth reads the mean gradient of `averaged` batches, because one of few crops is mostly noise.
    Exploring ends after `explore_share` of the steps, settling after `settle_share`.
    """

    steps: int
    nonzeros: int
    extra: int
    interval: int = 30
    averaged: int = 8
    explore_share: float = 0.6
    settle_share: float = 0.75
    begin: int = 0

    @property
    def _explored(self) -> int:
        return self._whole_intervals(self.explore_share)

    @property
    def _settled(self) -> int:
        return self._whole_intervals(self.settle_share)

    def _whole_intervals(self, share: float) -> int:
        return round(share * self.steps) // self.interval * self.interval

    def is_due(self, done: int) -> bool:
        """Whether masks change after `done` steps."""
        return 0 < done <= max(self._settled, self._explored) and done % self.interval == 0

    def reads(self, step: int) -> bool:
        """Whether the gradient of the step after `step` steps counts for the next growth."""
        to_go = -(step + 1) % self.interval
        return to_go < self.averaged and self.is_due(step + 1 + to_go)

    def counts(self, done: int) -> tuple[int, int]:
        """After `done` steps: how many weights pruning leaves, how many there are after growth."""
        if done <= self._explored:
            return self.nonzeros, self.nonzeros + round(self.extra * _cosine(done / self._explored))
        part = (done - self._explored) / max(1, self._settled - self._explored)
        pruned = LAST_PRUNED + (FIRST_PRUNED - LAST_PRUNED) * _cosine(part)
        return self.nonzeros - round(pruned * self.nonzeros), self.nonzeros


def _cosine(part: float) -> float:
    """1 at 0, 0 from 1 on."""
    return 0.5 * (1 + math.cos(math.pi * min(1.0, part)))


class SparseTraining(Companion):
    """Holds `sparse` to its masks and changes them as `plan` says."""

    def __init__(self, sparse: SparseWeights, plan: SparsePlan) -> None:
        self.sparse, self.plan = sparse, plan
        self._sums = [torch.zeros_like(weight) for weight in sparse.weights]

    @torch.no_grad()
    def after_backward(self, step: int) -> None:
        reads = self.plan.reads(self.plan.begin + step)
        for weight, mask, total in zip(
            self.sparse.weights, self.sparse.masks, self._sums, strict=True
        ):
            assert weight.grad is not None
            if reads:
                total += weight.grad
            weight.grad[~mask] = 0

    def after_step(self, step: int) -> None:
        done = self.plan.begin + step + 1
        if self.plan.is_due(done):
            self._update(done)
        self.sparse.apply()

    def _update(self, done: int) -> None:
        """Prune, then grow; what is pruned now may grow back as far as its gradient says so."""
        keep, total = self.plan.counts(done)
        self.sparse.prune(keep)
        self.sparse.grow(total, self._sums)
        for gradient in self._sums:
            gradient.zero_()

    def state_dict(self) -> dict[str, Any]:
        return {
            "masks": self.sparse.masks,
            "allowed": self.sparse.allowed,
            "sums": self._sums,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        mine = (self.sparse.masks, self.sparse.allowed, self._sums)
        saved = (state["masks"], state["allowed"], state["sums"])
        for targets, sources in zip(mine, saved, strict=True):
            for target, source in zip(targets, sources, strict=True):
                target.copy_(source)


class KeepZeros(Companion):
    """Holds every weight of a convolution that is exactly zero now at zero, and its gradient too.

    What a sparse stage leaves out must still be zero when the weights have become integers, or the
    weights blob stores it after all.

    Takes the parameters themselves: they may pass to other modules, as `sr.quant.fake` does it.
    """

    def __init__(self, network: nn.Module) -> None:
        weights = [p for p in network.parameters() if p.dim() == 4]
        self._zeros = [(w, w.detach() == 0) for w in weights if bool((w == 0).any())]

    @torch.no_grad()
    def after_backward(self, step: int) -> None:
        for weight, zero in self._zeros:
            if weight.grad is not None:
                weight.grad[zero] = 0

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        for weight, zero in self._zeros:
            weight[zero] = 0
