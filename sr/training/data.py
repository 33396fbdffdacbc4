"""Training crops out of decoded frames: drawn by a share for each patch, repeatable by step."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chunking.grid import Patch, hr_window
from player.package.scale import Scale, hr_px
from sr.models.network import PIXEL_MAX

Image = NDArray[np.uint8]
Places = Sequence[tuple[int, int, int]]  # frame, top and left, in LR px

CROP_PX = 48  # LR; the smaller side of STDO's and Dy-DCA's fine patch


@dataclass(frozen=True)
class FramePair:
    """An LR frame as the phone decodes it [h, w, 3], and its HR frame [H, W, 3]; both u8."""

    lr: Image
    hr: Image


@dataclass(frozen=True)
class TrainingSet:
    """LR frames as the phone decodes them [T, h + 2m, w + 2m, 3], and HR frames [T, r h, r w, 3].

    The LR frames carry a margin m of repeated edge pixels, as deep as the deepest halo. Without it
    their sides are whole units of `units` px.
    """

    lr: NDArray[np.uint8]
    hr: NDArray[np.uint8]
    scale: Scale
    margin_px: int
    units: int = 1

    @property
    def size_px(self) -> tuple[int, int]:
        """Height and width of an LR frame without its margin."""
        beyond = 2 * self.margin_px
        return self.lr.shape[1] - beyond, self.lr.shape[2] - beyond

    def hr_crop(self, t: int, place: Sequence[int], size_px: Sequence[int]) -> NDArray[np.uint8]:
        """The HR pixels of an LR crop of frame t, at (top, left) with (height, width)."""
        return self.hr[t][hr_window(Patch(*place, *size_px), self.scale)]


def training_set(
    pairs: list[FramePair], scale: Scale, margin_px: int, units: int = 1
) -> TrainingSet:
    """LR frames of whole units with a margin, HR frames of r times that size; both are continued
    by their edge pixels."""
    height, width = (side + -side % units for side in pairs[0].lr.shape[:2])
    lr_h, lr_w = pairs[0].lr.shape[:2]
    margins = (margin_px, margin_px + height - lr_h), (margin_px, margin_px + width - lr_w), (0, 0)
    # As the engine continues a frame, so that borders are learned as they will be run.
    lr = np.stack([np.pad(p.lr, margins, mode="edge") for p in pairs])
    hr_h, hr_w = pairs[0].hr.shape[:2]
    beyond = ((0, hr_px(height, scale) - hr_h), (0, hr_px(width, scale) - hr_w), (0, 0))
    hr = np.stack([np.pad(p.hr, beyond, mode="edge") for p in pairs])
    return TrainingSet(lr, hr, scale, margin_px, units)


@dataclass(frozen=True)
class Batch:
    """Crops [N, 3, c + 2m, c + 2m] and their targets [N, 3, r c, r c], in unit range.

    Of a sampler that knows them: `groups` [N, c/u, c/u], the content group of each unit (-1: none),
    `balance` [N], how much a crop counts in a mean over the clip, and `cells` [N], the patches that
    the crops were drawn around.
    """

    lr: Tensor
    hr: Tensor
    groups: Tensor | None = None
    balance: Tensor | None = None
    cells: NDArray[np.int64] | None = None

    def mean(self, errors: Tensor) -> Tensor:
        """The mean over the clip of errors at each unit [N, c/u, c/u]."""
        by_crop = errors.flatten(1).mean(dim=1)
        return by_crop.mean() if self.balance is None else (by_crop * self.balance).mean()


@dataclass(frozen=True)
class CropSampler:
    """Draws crops around fine patches.

    `shares` [T, gh, gw] say how often each patch is drawn (any scale); `cell_px` is the patch's
    (height, width), `side_px` the crop's. A crop lies at a random place over its patch, across
    its borders too, so that seams are learned like everything else. It is whole units, as the
    network sees them in a frame.
    """

    data: TrainingSet
    shares: NDArray[np.float64]
    cell_px: tuple[int, int]
    batch: int
    seed: int
    side_px: int = field(default=CROP_PX, kw_only=True)

    def draw(self, step: int) -> Batch:
        """The batch of a step: a function of seed and step alone, so that training can resume."""
        # Of its own for each step, so that a checkpoint has no state of it to keep.
        rng = np.random.default_rng([self.seed, step])
        cells = self.cells(step, rng)
        places = [self.place(int(cell), rng) for cell in cells]
        return replace(self.batch_at(places), cells=cells)

    def cells(self, step: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """[N]: the patches that a batch is drawn around, counted row by row and frame by frame."""
        drawn = rng.random(self.batch) * self._ends[-1]
        # "right", so that a patch with a share of 0 has no width and is never hit.
        return np.searchsorted(self._ends, drawn, side="right")

    def batch_at(self, places: Places) -> Batch:
        """The crops at (frame, top, left)."""
        (h, w), halo = self.crop_px, 2 * self.data.margin_px
        # A frame begins m px before its first pixel, a crop m px before its own: the two cancel.
        lr = [self.data.lr[t, y : y + h + halo, x : x + w + halo] for t, y, x in places]
        hr = [self.data.hr_crop(t, (y, x), (h, w)) for t, y, x in places]
        return Batch(_stack(lr), _stack(hr))

    @cached_property
    def _ends(self) -> NDArray[np.float64]:
        return np.cumsum(self.drawing, dtype=np.float64)

    @property
    def drawing(self) -> NDArray[np.float64]:
        """[T, gh, gw]: how often each patch is drawn (any scale)."""
        return self.shares

    def place(self, cell: int, rng: np.random.Generator) -> tuple[int, int, int]:
        """Frame, top and left of a crop, whose centre lies within a quarter crop of the cell's; one
        of half the cell or less lies anywhere over it, and a quarter crop beyond."""
        t, *at = (int(i) for i in np.unravel_index(cell, self.shares.shape))
        jitter = rng.random(2) - 0.5
        corner = [0, 0]
        for axis, side in enumerate(self.crop_px):
            extent = self.cell_px[axis]
            reach = side / 2 if 2 * side > extent else extent - side / 2
            centred = at[axis] * extent + (extent - side) / 2 + jitter[axis] * reach
            # At the border a crop is moved inside, and not cut.
            whole = round(centred / self.data.units) * self.data.units
            corner[axis] = min(max(whole, 0), self.data.size_px[axis] - side)
        return t, corner[0], corner[1]

    @property
    def crop_px(self) -> tuple[int, int]:
        """The crop's height and width: smaller than `side_px` only where the frame is."""
        height, width = self.data.size_px
        return min(self.side_px, height), min(self.side_px, width)


def _stack(crops: list[NDArray[np.uint8]]) -> Tensor:
    """[N, H, W, 3] u8 crops -> [N, 3, H, W] float in unit range, channels last in memory."""
    pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
    return pixels.float().div_(PIXEL_MAX).contiguous(memory_format=torch.channels_last)
