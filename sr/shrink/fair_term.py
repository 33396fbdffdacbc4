"""Fairness as a term of the loss: the same drop in PSNR from the unpruned network in every group.

    R_g = 10 log10(error of the pruned network on group g / error of the unpruned one)

(Performance-degradation fairness, definition 3 of "Fairness-aware structured pruning by bi-level
optimisation", BiFP.) The penalty is on how far the drops are apart. Plain squares around the mean
reward a group that does well for doing worse; here the mean is a target that nothing moves, and
only groups that lost more than it count.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from player.package.paths import HARD
from sr.shrink.stage import Term
from sr.training.data import Batch
from sr.training.loop import Companion, PixelErrors


def above_mean(drops: Tensor) -> Tensor:
    """Drops [G] -> the squares of what each group lost above the mean: zero if all are equal.

    It pushes lagging groups up and none down.
    """
    return (drops - drops.mean().detach()).clamp(min=0).square().sum()


@dataclass(frozen=True)
class Fairness:
    """How much fairness counts: `weight` times the penalty (dB^2), in units of the loss itself.

    `memory`: how much of the drops is remembered from step to step. A batch shows a group by a crop
    or two, and a square of noise is no unfairness.
    """

    weight: float = 0.1
    memory: float = 0.95


class RunningMeans:
    """The running mean of a number of each group, of those steps that showed it."""

    def __init__(self, groups: int, memory: float) -> None:
        self.memory, self.sums, self.seen = memory, torch.zeros(groups), torch.zeros(groups)

    @torch.no_grad()
    def update(self, now: Tensor) -> None:
        """With this step's numbers [G], NaN for a group that it did not show."""
        shown = ~now.isnan()
        fade = torch.where(shown, self.memory, 1.0)
        self.sums = fade * self.sums + (1 - fade) * torch.where(shown, now, 0.0)
        self.seen = fade * self.seen + (1 - fade)

    def means(self) -> Tensor:
        """[G]: zero for a group that was never shown."""
        return self.sums / self.seen.clamp(min=1e-9)

    def state_dict(self) -> dict[str, Any]:
        return {"sums": self.sums, "seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.sums, self.seen = state["sums"], state["seen"]


class Spread(RunningMeans):
    """The penalty as a term of the loss: drops averaged over steps, with the step's gradient."""

    def __init__(self, groups: int, fairness: Fairness) -> None:
        super().__init__(groups, fairness.memory)
        self.weight = fairness.weight

    def loss(self, drops: Tensor) -> Tensor:
        """From this step's drops [G], NaN for a group that it did not show."""
        self.update(drops)
        now = torch.where(drops.isnan(), 0.0, drops)
        return self.weight * above_mean(self.means() + now - now.detach())


def group_means(values: Tensor, groups: Tensor, count: int) -> Tensor:
    """Values and their groups (-1: none), of any shape -> [G], NaN for a group without members."""
    belongs = groups >= 0
    members = groups[belongs]
    sums = torch.zeros(count).index_add(0, members, values[belongs])
    return sums / torch.bincount(members, minlength=count)


class GroupErrors(RunningMeans):
    """The running mean of each group's error."""

    def observe(self, errors: Tensor, groups: Tensor) -> Tensor:
        """Errors and their groups -> this step's mean of each group [G], NaN where it has none."""
        now = group_means(errors, groups, len(self.sums))
        self.update(now)
        return now

    def means(self) -> Tensor:
        """[G], above zero."""
        return super().means().clamp(min=1e-9)


class GroupTrace(Companion):
    """Writes down the running errors of each group, step by step: `table` [steps, G].

    The unpruned network's trace is what a pruned one is compared with at the same step of the same
    schedule. A network that has been trained to the end is no reference before: while rates are
    high, the easier a group, the more it seems to have lost.
    """

    def __init__(self, groups: int, steps: int, memory: float) -> None:
        self.errors, self.table = GroupErrors(groups, memory), torch.zeros(steps, groups)

    def extra_loss(self, batch: Batch, errors: PixelErrors, step: int) -> Tensor | None:
        assert batch.groups is not None
        self.errors.observe(errors[HARD].detach(), batch.groups)
        self.table[step] = self.errors.means()
        return None

    def state_dict(self) -> dict[str, Any]:
        return {"errors": self.errors.state_dict(), "table": self.table}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.errors.load_state_dict(state["errors"])
        self.table = state["table"]


class FairTerm(Term):
    """The penalty on the hard path's drops below the unpruned network's `trace` [steps, G], as a
    term of the loss.

    `begin`: the step of the trace that its first batch belongs to. Before the step `active` it only
    watches. It needs the batches of a `GroupedSampler`.
    """

    def __init__(self, trace: Tensor, fairness: Fairness, begin: int = 0, active: int = 0) -> None:
        groups = trace.shape[1]
        self.trace, self.step, self.active = trace, begin, active
        self.spread, self.errors = Spread(groups, fairness), GroupErrors(groups, fairness.memory)

    def extra_loss(self, batch: Batch, errors: PixelErrors, step: int) -> Tensor | None:
        assert batch.groups is not None
        now = self.errors.observe(errors[HARD], batch.groups)
        reference = self.trace[min(self.step, len(self.trace) - 1)]
        self.step += 1
        if self.step <= self.active:
            return None
        # In units of the loss, so that one weight serves dark clips and bright ones.
        return reference.mean() * self.spread.loss(self._drops(now, reference))

    def _drops(self, now: Tensor, reference: Tensor) -> Tensor:
        """[G], dB, by running errors; so is the slope. A batch's own would weigh crops by one over
        their errors, so that flat ones, which say least, count most."""
        ours = self.errors.means()
        slope = 10 / math.log(10) / ours
        return 10 * (ours / reference).log10() + slope * (now - now.detach())

    def state_dict(self) -> dict[str, Any]:
        own = {"spread": self.spread.state_dict(), "errors": self.errors.state_dict()}
        return {"step": self.step, **own}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step = int(state["step"])
        self.spread.load_state_dict(state["spread"])
        self.errors.load_state_dict(state["errors"])
