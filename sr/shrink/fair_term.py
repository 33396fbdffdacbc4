"""Fairness as a term of the loss: the same drop in PSNR from the unpruned network in every group.

    R_g = 10 log10(error of the pruned network on group g / error of the unpruned one)

(Performance-degradation fairness, definition 3 of "Fairness-aware structured pruning by bi-level
optimisation", BiFP.) The penalty is on how far the drops are apart. Plain squares around the mean
reward a group that does well for doing worse; here the mean is a target that nothing moves, and
only groups that lost more than it count (docs/shrinking.md compares the three).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from player.package.weights import HARD
from sr.shrink.stage import Term
from sr.training.data import Batch
from sr.training.loop import PixelErrors

Penalty = Callable[[Tensor], Tensor]  # drops [G] -> a scalar, zero iff they are equal


def above_mean(drops: Tensor) -> Tensor:
    """Squares of what each group lost above the mean: it pushes lagging groups up, none down."""
    return (drops - drops.mean().detach()).clamp(min=0).square().sum()


def squared_spread(drops: Tensor) -> Tensor:
    """Squares around the mean, both ways: it also pays to make the best group worse."""
    return (drops - drops.mean()).square().sum()


def worst_group(drops: Tensor) -> Tensor:
    """A smooth maximum (log-sum-exp, at 0.1 dB) above the mean."""
    sharp = 10.0
    smooth = (torch.logsumexp(sharp * drops, 0) - math.log(len(drops))) / sharp
    return smooth - drops.mean().detach()


@dataclass(frozen=True)
class Fairness:
    """How much fairness counts: `weight` times the penalty (dB^2), in units of the loss itself.

    `price_rate`: a price for each group's drop, which rises by this much a step for each dB that
    the group lost above the mean, and falls, to zero at least, below it. A penalty alone stops
    where it balances the loss, with part of the spread left; prices settle where there is none, as
    the multipliers of a constraint do. `memory`: how much of the drops is remembered from step to
    step. A batch shows a group by a crop or two, and a square of noise is no unfairness.
    """

    weight: float = 0.1
    price_rate: float = 0.003
    memory: float = 0.95
    penalty: Penalty = above_mean


class Spread:
    """The penalty as a term of the loss: drops averaged over steps, with the step's gradient."""

    def __init__(self, groups: int, fairness: Fairness) -> None:
        self.groups, self.fairness = groups, fairness
        self.sums, self.seen = torch.zeros(groups), torch.zeros(groups)
        self.prices = torch.zeros(groups)

    def loss(self, drops: Tensor) -> Tensor:
        """From this step's drops [G], NaN for a group that it did not show."""
        now = torch.where(drops.isnan(), 0.0, drops)
        averaged = self._averaged(drops)
        means = averaged.detach()
        self.prices = self.prices + self.fairness.price_rate * (means - means.mean())
        self.prices = (self.prices - self.prices.min()).clamp(min=0)
        return self.fairness.weight * self.fairness.penalty(averaged) + (self.prices * now).sum()

    def _averaged(self, drops: Tensor) -> Tensor:
        shown = ~drops.isnan()
        now = torch.where(shown, drops, 0.0)
        with torch.no_grad():
            fade = torch.where(shown, self.fairness.memory, 1.0)
            self.sums = fade * self.sums + (1 - fade) * now
            self.seen = fade * self.seen + (1 - fade)
        return self.means() + now - now.detach()

    def means(self) -> Tensor:
        """[G]: zero for a group that was never shown."""
        return self.sums / self.seen.clamp(min=1e-9)

    def state_dict(self) -> dict[str, Any]:
        return {"sums": self.sums, "seen": self.seen, "prices": self.prices}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.sums, self.seen, self.prices = (state[key] for key in ("sums", "seen", "prices"))


def group_means(values: Tensor, groups: Tensor, count: int) -> Tensor:
    """Values and their groups (-1: none), of any shape -> [G], NaN for a group without members."""
    belongs = groups >= 0
    members = groups[belongs]
    sums = torch.zeros(count).index_add(0, members, values[belongs])
    return sums / torch.bincount(members, minlength=count)


class GroupErrors:
    """The running errors of each group, of the network and of the reference, and the drops in dB
    that follow from them.

    The slope of a drop is that of the running error. A batch's own would weigh a crop by one over
    its error, so that flat ones, which say least, count most: it cost 0.3 dB.
    """

    def __init__(self, groups: int, memory: float) -> None:
        self.memory = memory
        self.sums, self.seen = torch.zeros(2, groups), torch.zeros(groups)

    def drops(self, errors: Tensor, reference: Tensor, groups: Tensor) -> Tensor:
        """Errors anywhere -> [G], dB, with a gradient; NaN for a group that is not shown."""
        count = len(self.seen)
        now = group_means(errors, groups, count)
        self._remember(torch.stack([now.detach(), group_means(reference.float(), groups, count)]))
        ours, theirs = (self.sums / self.seen.clamp(min=1e-9)).clamp(min=1e-9)
        slope = 10 / math.log(10) / ours
        return 10 * (ours / theirs).log10() + slope * (now - now.detach())

    def _remember(self, now: Tensor) -> None:
        shown = ~now[0].isnan()
        fade = torch.where(shown, self.memory, 1.0)
        self.sums = fade * self.sums + (1 - fade) * torch.where(shown, now, 0.0)
        self.seen = fade * self.seen + (1 - fade)

    def state_dict(self) -> dict[str, Any]:
        return {"sums": self.sums, "seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.sums, self.seen = state["sums"], state["seen"]


class FairTerm(Term):
    """The penalty on the hard path's drops, from step `begin` on, as a term of the loss.

    It needs the batches of a `GroupedSampler` with a reference.
    """

    def __init__(self, groups: int, fairness: Fairness, begin: int = 0) -> None:
        self.begin, self.spread = begin, Spread(groups, fairness)
        self.errors = GroupErrors(groups, fairness.memory)

    def extra_loss(self, batch: Batch, errors: PixelErrors, step: int) -> Tensor | None:
        if step < self.begin:
            return None
        assert batch.groups is not None and batch.reference is not None
        drops = self.errors.drops(errors[HARD], batch.reference, batch.groups)
        # In units of the loss, so that one weight serves dark clips and bright ones.
        return batch.reference.float().mean() * self.spread.loss(drops)

    def state_dict(self) -> dict[str, Any]:
        return {"spread": self.spread.state_dict(), "errors": self.errors.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.spread.load_state_dict(state["spread"])
        self.errors.load_state_dict(state["errors"])
