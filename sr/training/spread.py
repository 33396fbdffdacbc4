"""Many small crops, drawn evenly along the shares of the places that they lie over.

A crop of a patch's size (48 px) is half flat in most films: training on it costs the same as on
texture. Small crops at the worst places hold more of the film's error than few large ones, so the
same PSNR takes fewer pixels (docs/training.md has the numbers and the controls).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from player.package.scale import Scale
from sr.training.data import CropSampler

SMALL_CROP_PX = 24  # LR
CELL_PX = 6  # LR; the finest place that is asked for its error, a divisor of all patches' sides
# In place of one crop of 48 px. At scale 4 two: half of its pixels. The larger the LR frames, the
# fainter is what can be learned beside what a codec leaves at random (docs/training.md).
SMALL_CROPS_FOR_ONE: Mapping[Scale, int] = {1: 16, Fraction(3, 2): 8, 2: 4, 3: 2, 4: 2}
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
