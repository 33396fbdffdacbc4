"""CHEX (Hou et al., "CHEX: CHannel EXploration for CNN model compression", CVPR 2022).

Channels are taken away and given back while a network is trained, so that no dense training comes
first and no early mistake is final:

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
from typing import Any

import torch
from torch import Tensor

from sr.shrink.channels import ChannelLayer, kept_channels
from sr.training.loop import Companion

LEAST_STEPS_BETWEEN = 60  # fewer leave no time to learn in

Allocator = Callable[[Sequence[ChannelLayer], float], Sequence[int]]
Criterion = Callable[[ChannelLayer, int], Tensor]
Regrower = Callable[[Tensor, Tensor, int, torch.Generator], Tensor]


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


def by_leverage(layer: ChannelLayer, count: int) -> Tensor:
    """CHEX's criterion for what stays."""
    return leverage_scores(columns_of(layer), count)


def by_length(layer: ChannelLayer, count: int) -> Tensor:
    """The control: the L1 norm of a channel's weights (Li et al., ICLR 2017)."""
    return layer.weight.detach().flatten(1).abs().sum(dim=1) * layer.scale.detach().abs()


def by_projection(columns: Tensor, kept: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """CHEX's draw of `count` channels to give back: likelier, the less the kept ones span them."""
    chances = projection_distances(columns, kept).softmax(dim=0)
    return _drawn(chances, kept, count, rng)


def at_random(columns: Tensor, kept: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """The control: all alike."""
    return _drawn(torch.ones(columns.shape[1]), kept, count, rng)


def _drawn(chances: Tensor, kept: Tensor, count: int, rng: torch.Generator) -> Tensor:
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
    to nothing by a cosine. `criterion`, `regrow`: CHEX's or a control's.
    """

    steps: int
    interval: int = LEAST_STEPS_BETWEEN
    regrow_share: float = 0.4
    criterion: Criterion = by_leverage
    regrow: Regrower = by_projection
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
    to be removed left in. `on` holds a mask [C] for each layer.
    """

    def __init__(
        self, layers: Sequence[ChannelLayer], allocate: Allocator, plan: ExplorationPlan
    ) -> None:
        self.layers, self.allocate, self.plan = layers, allocate, plan
        self.on = [torch.ones(layer.channels, dtype=torch.bool) for layer in layers]
        self._last = [[row.detach().clone() for row in layer.rows] for layer in layers]

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
            on[:] = self._chosen(layer, k, max(n, k), rng)

    def _chosen(self, layer: ChannelLayer, k: int, n: int, rng: torch.Generator) -> Tensor:
        """The mask of the k channels that stay and n - k that are given back."""
        stay = self.plan.criterion(layer, k).topk(k).indices
        back = self.plan.regrow(columns_of(layer), stay, n - k, rng)
        mask = torch.zeros(layer.channels, dtype=torch.bool)
        mask[torch.cat([stay, back])] = True
        return mask

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
