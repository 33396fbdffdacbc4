"""Fairness between content groups: crops that know their group, and the term of the loss.

Fairness is judged between groups, so there are two at least, each of enough patches to learn from.
The term wants the same drop in PSNR from the unpruned network in every group:

    R_g = 10 log10(error of the pruned network on group g / error of the unpruned one)

(Performance-degradation fairness, definition 3 of "Fairness-aware structured pruning by bi-level
optimisation", BiFP.) The penalty is on how far the drops are apart. Plain squares around the mean
reward a group that does well for doing worse; here the mean is a target that nothing moves, and
only groups that lost more than it count.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from player.package.paths import HARD
from sr.shrink.stage import StageError, Term
from sr.training.data import Batch, CropSampler, Places
from sr.training.loop import Companion, PixelErrors

LEAST_SHARE = 0.1  # of the crops, for a group that is rarer
LEAST_PATCHES = 8  # of a group; with fewer its error says more about the patches than the network

Labels = NDArray[np.int64]


def check_groups(labels: Labels, names: Sequence[str] = ()) -> int:
    """The number of groups in `labels` (-1: none).

    Raises StageError for one group only and for a group of too few patches.
    """
    count = int(labels.max()) + 1
    if count < 2:
        raise StageError(
            "--stages fair: all patches are of one group, and fairness is between groups; give two "
            "or more"
        )
    sizes = np.bincount(labels[labels >= 0].ravel(), minlength=count)
    smallest = int(sizes.argmin())
    if sizes[smallest] < LEAST_PATCHES:
        name, size = names[smallest] if names else smallest, sizes[smallest]
        raise StageError(
            f"--stages fair: group {name} has {size} patches, of {LEAST_PATCHES} needed; "
            "give more frames, or join it to another group"
        )
    return count


@dataclass(frozen=True)
class GroupedSampler(CropSampler):
    """Draws as the clip's own sampler does, but a rare group at least `LEAST_SHARE` of the time:
    its error is else known from no batch.

    `labels` [T, gh, gw]: the patches' groups, -1 for patches that are not drawn. A batch says how
    much each crop counts in a mean over the clip, so that the loss stays what it was and fairness
    alone moves the balance. Crops reach over their patches, so groups are told apart by units:
    those beyond count for none, or every easy group would be judged by its borders with hard ones.
    """

    labels: Labels

    def draw(self, step: int) -> Batch:
        """The batch of a step, a function of seed and step alone."""
        rng = np.random.default_rng([self.seed, step])
        cells = self.cells(step, rng)
        places = [self.place(int(cell), rng) for cell in cells]
        counts = self._true_shares / self._drawn_shares
        return replace(
            self.batch_at(places),
            groups=self._groups_of(cells, places),
            balance=torch.from_numpy(counts[self.labels.ravel()[cells]]).float(),
        )

    @cached_property
    def count(self) -> int:
        """How many groups there are."""
        return int(self.labels.max()) + 1

    @cached_property
    def drawing(self) -> NDArray[np.float64]:
        """[T, gh, gw]: how often each patch is drawn."""
        factors = np.append(self._drawn_shares / self._true_shares, 0.0)  # the last for label -1
        drawn: NDArray[np.float64] = self.shares * factors[self.labels]
        return drawn

    @cached_property
    def _true_shares(self) -> NDArray[np.float64]:
        """[G]: of all that the clip's own sampler would draw."""
        belongs = self.labels >= 0
        totals = np.bincount(self.labels[belongs], self.shares[belongs], self.count)
        shares: NDArray[np.float64] = totals / totals.sum()
        return shares

    @cached_property
    def _drawn_shares(self) -> NDArray[np.float64]:
        """[G]: the same, the rare ones raised."""
        raised = np.maximum(self._true_shares, LEAST_SHARE)
        shares: NDArray[np.float64] = raised / raised.sum()
        return shares

    @cached_property
    def _cell_of_units(self) -> NDArray[np.int64]:
        """[h/u, w/u]: the patch that each unit of a frame lies in, counted row by row."""
        # Patches are whole units: all pixels of one lie where its first does.
        height, width = self.data.size_px
        rows = np.arange(0, height, self.data.units) // self.cell_px[0]
        columns = np.arange(0, width, self.data.units) // self.cell_px[1]
        return rows[:, None] * self.labels.shape[2] + columns

    def _groups_of(self, cells: NDArray[np.int64], places: Places) -> Tensor:
        """[N, c/u, c/u]: each crop's group where it lies over its own patch, -1 elsewhere."""
        (h, w), a_frame, u = self.crop_px, self.labels[0].size, self.data.units
        groups = [
            np.where(
                self._cell_of_units[y // u : (y + h) // u, x // u : (x + w) // u] == cell % a_frame,
                self.labels.ravel()[cell],
                -1,
            )
            for cell, (_, y, x) in zip(cells, places, strict=True)
        ]
        return torch.from_numpy(np.stack(groups))


def grouped(sampler: CropSampler, labels: Labels) -> GroupedSampler:
    """The same crops, of which a batch knows the groups.

    Raises StageError as `check_groups` does, and for labels of another shape.
    """
    if labels.shape != sampler.shares.shape:
        raise StageError(
            f"--stages fair: groups of {labels.shape} patches (frames, rows, columns) for "
            f"{sampler.shares.shape} of the clip; make them for this clip"
        )
    check_groups(np.where(sampler.shares > 0, labels, -1))
    return GroupedSampler(
        sampler.data, sampler.shares, sampler.cell_px, sampler.batch, sampler.seed, labels,
        side_px=sampler.side_px,
    )  # fmt: skip


def held_out(sampler: GroupedSampler, every: int) -> tuple[GroupedSampler, GroupedSampler]:
    """The sampler without every `every`-th patch of each group, and one of those alone."""
    out = np.zeros(sampler.labels.size, bool)
    for group in range(sampler.count):
        out[np.flatnonzero(sampler.labels == group)[every - 1 :: every]] = True
    kept_back = out.reshape(sampler.labels.shape)
    return (
        replace(sampler, labels=np.where(kept_back, -1, sampler.labels)),
        replace(sampler, labels=np.where(kept_back, sampler.labels, -1), seed=sampler.seed + 1),
    )


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
        # By running errors; so is the slope. A batch's own would weigh crops by one over their
        # errors, so that flat ones, which say least, count most.
        ours = self.errors.means()
        slope = 10 / math.log(10) / ours
        drops = 10 * (ours / reference).log10() + slope * (now - now.detach())  # [G], dB
        # In units of the loss, so that one weight serves dark clips and bright ones.
        return reference.mean() * self.spread.loss(drops)

    def state_dict(self) -> dict[str, Any]:
        own = {"spread": self.spread.state_dict(), "errors": self.errors.state_dict()}
        return {"step": self.step, **own}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step = int(state["step"])
        self.spread.load_state_dict(state["spread"])
        self.errors.load_state_dict(state["errors"])
