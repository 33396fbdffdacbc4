"""Bicubic upscaling without an engine: the last step of the ladder, and the reference of path 0.

The integer anchor of `player.package.anchor` with edges replicated, bit for bit what an int8
engine makes of the path `bicubic` (`sr.quant.reference` defines it); an fp32 engine is within one
code value.
"""

import numpy as np
from numpy.typing import NDArray

from player.package.anchor import HALO_PX, integer_anchor

_ROUND, _FRACTION_BITS = np.int16(32), 6  # of Q6: 64 is one code value
_BAND_PX = 16  # LR rows at a time, so that what lies between stays in the cache


def upscale_bicubic(lr: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """[H, W, 3] u8 to [scale H, scale W, 3] u8."""
    if scale == 1:
        return lr
    height, width, planes = lr.shape
    margin = (HALO_PX, HALO_PX)
    padded = np.pad(lr, (margin, margin, (0, 0)), mode="edge")
    hr = np.empty((height * scale, width * scale, planes), np.uint8)
    for top in range(0, height, _BAND_PX):
        rows = min(_BAND_PX, height - top)
        # The halo's rows come from the padded frame, so that bands meet without a seam.
        band = integer_anchor(padded[top : top + rows + 2 * HALO_PX], scale)
        pixels = np.clip((band + _ROUND) >> _FRACTION_BITS, 0, 255)
        hr[top * scale : (top + rows) * scale] = pixels
    return hr
