"""Content groups: which group of content each fine patch of a clip belongs to, [T, gh, gw].

    difficulty ── equal counts ──► chunks          (chunking/chunks.py)
    masks, boxes ── coverage ────► what a user names, such as faces    (content_groups.py)

Fairness is judged between groups, so there are two at least, each of enough patches to learn from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sr.shrink.stage import StageError
from sr.training.data import Batch, CropSampler, Places

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
    alone moves the balance. Crops reach over their patches, so groups are told apart by pixels:
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
    def _cell_of_pixels(self) -> NDArray[np.int64]:
        """[h, w]: the patch that each LR pixel of a frame lies in, counted row by row."""
        height, width = self.data.size_px
        rows = np.arange(height) // self.cell_px[0]
        columns = np.arange(width) // self.cell_px[1]
        return rows[:, None] * self.labels.shape[2] + columns

    def _groups_of(self, cells: NDArray[np.int64], places: Places) -> Tensor:
        """[N, c, c]: each crop's group where it lies over its own patch, -1 elsewhere."""
        (h, w), a_frame = self.crop_px, self.labels[0].size
        groups = [
            np.where(
                self._cell_of_pixels[y : y + h, x : x + w] == cell % a_frame,
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
        sampler.data, sampler.shares, sampler.cell_px, sampler.batch, sampler.seed, labels
    )


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
