"""Which crops a network is overfitted to: `--patches`.

| name | crops | drawn |
|---|---|---|
| error | of 24 px, twice as many | by the generic network's error at their place, evenly spread |
| method | of 48 px | as the method's paper says (sr/encode/methods.py) |
| all | of 48 px | evenly over all patches |

A crop of a patch's size (48 px) is half flat in most films: training on it costs the same as on
texture. Four small crops at the worst places hold more of the film's error than one large crop, so
the same PSNR takes fewer pixels (docs/training.md has the numbers and the controls).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sr.encode.difficulty import CELL_PX, patch_sums
from sr.encode.methods import Difficulty, NetworkTask
from sr.encode.protect import PROTECTED_DRAWS
from sr.encode.work import Work
from sr.training.data import CropSampler, TrainingSet

SMALL_CROP_PX = 24  # LR
SMALL_CROPS_FOR_ONE = 2  # two of 24 px are half of the pixels of one of 48 px
_GOLDEN = 0.6180339887498949  # steps of this share of a whole leave the smallest gaps


@dataclass(frozen=True)
class SpreadSampler(CropSampler):
    """Draws along the golden-ratio sequence instead of one by one at random.

    Patches are drawn as often as their shares say in every few batches, not only in the long run
    (a rank-1 lattice; Niederreiter, 1992, chapter 5): less noise in what a batch stands for.
    """

    def cells(self, step: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """[N]: as in CropSampler; a function of seed and step, `rng` is not asked."""
        start = np.random.default_rng(self.seed).random()
        numbers = step * self.batch + np.arange(self.batch)
        places = (start + numbers * _GOLDEN) % 1.0 * self._ends[-1]
        found = np.searchsorted(self._ends, places, side="right")
        # A place may round up to the very end, where no patch is.
        return np.minimum(found, self._ends.size - 1)


@dataclass(frozen=True)
class Material:
    """What is known of the frames to learn from: the difficulty of their patches, for `fair` the
    content group of each patch, and the cells of CELL_PX that are protected."""

    difficulty: Difficulty
    groups: NDArray[np.int64] | None = None
    protected: NDArray[np.bool_] | None = None


def sampler_of(
    work: Work, task: NetworkTask, data: TrainingSet, material: Material, seed: int
) -> CropSampler:
    """The crops of one network, as `--patches` asks; protected places are drawn more often."""
    batch, protected = work.options.training.bounds.batch, material.protected
    choice = work.options.patch_choice
    if choice == "error":
        shares = np.sqrt(material.difficulty.cell_mse.astype(np.float64))
        if not shares.any():
            # The generic network reproduces the film exactly: all places are alike.
            shares = np.ones_like(shares)
        if protected is not None:
            shares = shares * np.where(protected, PROTECTED_DRAWS, 1.0)
        batch, cell_px = SMALL_CROPS_FOR_ONE * batch, (CELL_PX, CELL_PX)
        return SpreadSampler(data, shares, cell_px, batch, seed, side_px=SMALL_CROP_PX)
    shares = np.ones_like(task.shares) if choice == "all" else task.shares
    grid = work.film.grid
    if protected is not None:
        # A patch is drawn the more often, the more of its cells are protected.
        whole = patch_sums(np.ones(protected.shape), grid)
        cover = patch_sums(protected.astype(np.float64), grid) / whole
        shares = shares * (1 + (PROTECTED_DRAWS - 1) * cover)
    return CropSampler(data, shares, (grid.fine_h, grid.fine_w), batch, seed)
