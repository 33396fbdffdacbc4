"""Crops where there is something to learn: small, drawn by the error at their place, evenly spread.

    error of the generic network at each 6 x 6 px cell --> how often a crop of 24 px is drawn there

A crop of a patch's size (48 px) is half flat in most films: training on it costs the same as on
texture. Four small crops at the worst places hold more of the film's error than one large crop, so
the same PSNR takes fewer pixels (docs/selection.md has the numbers and the controls).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sr.training.data import CropSampler

SMALL_CROP_PX = 24  # LR
SMALL_CROPS = 8  # a step
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
        return np.minimum(found, self._ends.size - 1)
