"""A clip as the stages see it: frames in pairs, what is drawn how often, content groups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.shrinking.vsd4k import frame_files, is_vsd4k, read_pair
from chunking.difficulty import patch_samples
from chunking.grid import Grid
from chunking.lr import downscale
from chunking.video import read_frames
from player.package.architecture import Architecture
from player.package.generic import generic_blob
from player.package.paths import HARD
from sr.encode.difficulty import measure_difficulty
from sr.encode.methods import METHODS, Difficulty, chunk_labels
from sr.encode.records import TrainingOptions
from sr.models import architecture, build_network
from sr.scoring import scored_network
from sr.training.data import CropSampler, FramePair, TrainingSet, training_set
from sr.training.spread import CELL_PX, SMALL_CROP_PX, SMALL_CROPS_FOR_ONE, SpreadSampler

SCALE, BATCH = 4, 4
SMALL_BATCH = BATCH * SMALL_CROPS_FOR_ONE[SCALE]
CROP_PX = (360, 640)  # height and width of the HR frame's middle, which is the clip
GROUPS = 4


@dataclass(frozen=True)
class Clip:
    """The middle of some of a film's frames, its LR without a codec between."""

    name: str
    pairs: tuple[FramePair, ...]

    @property
    def arch(self) -> Architecture:
        """The default network."""
        return architecture("chain", SCALE, dynamic=True)

    @cached_property
    def grid(self) -> Grid:
        height, width = self.pairs[0].lr.shape[:2]
        return Grid(height, width)

    @cached_property
    def samples(self) -> NDArray[np.int64]:
        """RGB samples of each patch [gh, gw]."""
        height, width = self.pairs[0].hr.shape[:2]
        return patch_samples(self.grid, SCALE, height, width)

    @cached_property
    def difficulty(self) -> Difficulty:
        generic = scored_network(generic_blob(SCALE, "int8"))
        return measure_difficulty(generic, self.pairs, self.grid, self.samples)

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """[T, gh, gw]: chunks of equal counts by difficulty, as `encode` makes them for `fair`."""
        return chunk_labels(self.difficulty, TrainingOptions(chunks=GROUPS))

    def sampler(self, seed: int) -> CropSampler:
        """Draws crops of 48 px as `encode --patches method` does."""
        (task,) = METHODS["dydca"].tasks(self.difficulty, TrainingOptions())
        cell_px = self.grid.fine_h, self.grid.fine_w
        return CropSampler(self._data(), task.shares, cell_px, BATCH, seed)

    def small_sampler(self, seed: int) -> CropSampler:
        """Draws crops of 24 px by the generic network's error, as `encode` does by itself."""
        shares = np.sqrt(self.difficulty.cell_mse.astype(np.float64))
        cells = CELL_PX, CELL_PX
        return SpreadSampler(self._data(), shares, cells, SMALL_BATCH, seed, side_px=SMALL_CROP_PX)

    def _data(self) -> TrainingSet:
        return training_set(list(self.pairs), SCALE, build_network(self.arch).halo_px(HARD))


def read_clip(path: Path, frames: int) -> Clip:
    """The clip in the first `frames` of a film, or of pictures as VSD4K has them. Raises InputError
    where it cannot be read."""
    return Clip(path.stem, tuple(_pairs(path, range(frames))))


def read_spread(path: Path, frames: int) -> Clip:
    """The same of so many frames, spread evenly over all of it."""
    # Read twice: what a file says of its length may be wrong, and all of it would fill the memory.
    count = len(frame_files(path, SCALE)) if is_vsd4k(path) else sum(1 for _ in read_frames(path))
    numbers = np.linspace(0, count - 1, frames).round().astype(int)
    return Clip(path.stem, tuple(_pairs(path, sorted({*numbers.tolist()}))))


def _pairs(path: Path, numbers: Sequence[int]) -> Iterator[FramePair]:
    """The frames of these numbers, rising, their middle."""
    if is_vsd4k(path):
        files = frame_files(path, SCALE)
        for number in (n for n in numbers if n < len(files)):
            yield _middle_pair(read_pair(files[number], SCALE))
        return
    wanted = {*numbers}
    for frame in read_frames(path, numbers[-1] + 1):
        if frame.index in wanted:
            hr = middle(frame.rgb)
            yield FramePair(downscale(hr, SCALE), hr)


def _middle_pair(pair: FramePair) -> FramePair:
    """The middle of both sides, of whole LR pixels."""
    sides = [min(a, b // SCALE) for a, b in zip(pair.lr.shape[:2], CROP_PX, strict=True)]
    y, x = ((a - b) // 2 for a, b in zip(pair.lr.shape[:2], sides, strict=True))
    lr = pair.lr[y : y + sides[0], x : x + sides[1]]
    top, left, height, width = (SCALE * side for side in (y, x, *sides))
    hr = pair.hr[top : top + height, left : left + width]
    return FramePair(np.ascontiguousarray(lr), np.ascontiguousarray(hr))


def middle(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[H, W, 3] cut to CROP_PX, or to what there is."""
    height, width = (min(a, b) for a, b in zip(picture.shape[:2], CROP_PX, strict=True))
    y, x = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return np.ascontiguousarray(picture[y : y + height, x : x + width])
