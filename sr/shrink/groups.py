"""Content groups: which group of content each fine patch of a clip belongs to, [T, gh, gw].

    difficulty ── equal counts ──► chunks          (chunking/chunks.py)
    masks, boxes ── coverage ────► what a user names, such as faces    (group_files.py)

Fairness is judged between groups, so there are two at least, each of enough patches to learn from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from player.package.weights import HARD
from sr.models import Network
from sr.shrink.stage import StageError
from sr.training.data import Batch, CropSampler, Places, TrainingSet, whole_frame

LEAST_SHARE = 0.1  # of the crops, for a group that is rarer
LEAST_PATCHES = 8  # of a group; with fewer its error says more about the patches than the network

Labels = NDArray[np.int64]
ErrorMaps = NDArray[np.float32]


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
    those of a neighbour count as the neighbour's. `reference` [T, h, w]: another network's squared
    error at each LR pixel.
    """

    labels: Labels
    reference: ErrorMaps | None = None

    def draw(self, step: int) -> Batch:
        """The batch of a step, a function of seed and step alone."""
        rng = np.random.default_rng([self.seed, step])
        cells = self.cells(rng)
        places = [self.place(int(cell), rng) for cell in cells]
        counts = self._true_shares / self._drawn_shares
        return replace(
            self.batch_at(places),
            groups=self._cut(self._pixel_labels, places).long(),
            reference=None if self.reference is None else self._cut(self.reference, places),
            balance=torch.from_numpy(counts[self.labels.ravel()[cells]]).float(),
        )

    @cached_property
    def count(self) -> int:
        """How many groups there are."""
        return int(self.labels.max()) + 1

    def measured_by(self, reference: Network) -> "GroupedSampler":
        """The same crops, each with the error of `reference` on it."""
        return replace(self, reference=error_maps(reference, self.data))

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
    def _pixel_labels(self) -> NDArray[np.int8]:
        """[T, h, w]: the group of each LR pixel."""
        height, width = self.data.size_px
        rows, columns = self.cell_px
        labels = self.labels.astype(np.int8).repeat(rows, axis=1).repeat(columns, axis=2)
        return labels[:, :height, :width]

    def _cut(self, maps: NDArray[Any], places: Places) -> Tensor:
        """[N, c, c] of a map [T, h, w], where the crops lie."""
        h, w = self.crop_px
        return torch.from_numpy(np.stack([maps[t, y : y + h, x : x + w] for t, y, x in places]))


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


@torch.no_grad()
def error_maps(network: Network, data: TrainingSet) -> ErrorMaps:
    """[T, h, w]: the hard path's mean squared error (unit range) at each LR pixel.

    Convolutions do not pad, so that a crop's error is the mean of its pixels in the map: one pass
    over the frames serves any number of steps.
    """
    maps = [_error_map(network, whole_frame(data, t)) for t in range(len(data.lr))]
    return np.stack(maps)


def _error_map(network: Network, frame: Batch) -> NDArray[np.float32]:
    with torch.autocast("cpu", torch.bfloat16):
        residual = network.residuals(frame.lr)[HARD]
    scale = network.arch.scale
    detail = frame.hr - network.base(frame.lr, network.halo_px(HARD))
    squares = (F.pixel_shuffle(residual.float(), scale) - detail).square().mean(dim=1)
    errors: NDArray[np.float32] = F.avg_pool2d(squares, scale)[0].numpy()
    return errors


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
