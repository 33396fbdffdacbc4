"""Bicubic upscaling without an engine: the last step of the ladder, and the reference of path 0.

The integer anchor of `player.package.anchor` with edges replicated, bit for bit what an int8
engine makes of the path `bicubic` (`sr.quant.reference` defines it); an fp32 engine is within one
code value.
"""

import numpy as np
from numpy.typing import NDArray

from player.package.anchor import HALO_PX, integer_anchor
from player.package.scale import Scale, hr_px

_ROUND, _FRACTION_BITS = np.int16(32), 6  # of Q6: 64 is one code value
_BAND_PX = 16  # LR rows at a time, so that what lies between stays in the cache


def upscale_bicubic(lr: NDArray[np.uint8], scale: Scale) -> NDArray[np.uint8]:
    """[H, W, 3] u8 to [scale H, scale W, 3] u8, half a pixel counted as one."""
    if scale == 1:
        return lr
    height, width, planes = lr.shape
    # At 3/2 pixels go by twos: an odd frame is continued by its edge, as by the engine.
    odd_h, odd_w = (-side % scale.denominator for side in (height, width))
    margins = (HALO_PX, HALO_PX + odd_h), (HALO_PX, HALO_PX + odd_w), (0, 0)
    padded = np.pad(lr, margins, mode="edge")
    hr = np.empty((hr_px(height + odd_h, scale), hr_px(width + odd_w, scale), planes), np.uint8)
    for top in range(0, height + odd_h, _BAND_PX):
        rows = min(_BAND_PX, height + odd_h - top)
        # The halo's rows come from the padded frame, so that bands meet without a seam.
        band = integer_anchor(padded[top : top + rows + 2 * HALO_PX], scale)
        pixels = np.clip((band + _ROUND) >> _FRACTION_BITS, 0, 255)
        hr[hr_px(top, scale) : hr_px(top + rows, scale)] = pixels
    return hr[: hr_px(height, scale), : hr_px(width, scale)]
