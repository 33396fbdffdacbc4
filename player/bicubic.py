"""Bicubic upscaling without an engine: the last step of the ladder, and the reference of path 0.

The integer anchor of `player.package.anchor` with edges replicated, bit for bit what an int8
engine makes of the path `bicubic` (`sr.quant.reference.anchor` defines it); an fp32 engine is
within one code value.
"""

import numpy as np
from numpy.typing import NDArray

from player.package.anchor import HALO_PX, TAPS, fixed_taps

_ROUND, _FRACTION_BITS = 32, 6  # of Q6: 64 is one code value
_BAND_PX = 16  # LR rows at a time, so that what lies between stays in the cache


def upscale_bicubic(lr: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """[H, W, 3] u8 to [scale H, scale W, 3] u8."""
    if scale == 1:
        return lr
    height, width, planes = lr.shape
    margin = (HALO_PX, HALO_PX)
    padded = np.pad(lr, (margin, margin, (0, 0)), mode="edge").astype(np.int16) << 7
    hr = np.empty((height, scale, width * scale, planes), np.uint8)
    for top in range(0, height, _BAND_PX):
        band = hr[top : top + _BAND_PX]
        _upscale_band(padded[top : top + len(band) + 2 * HALO_PX], band)
    return hr.reshape(height * scale, width * scale, planes)


def _upscale_band(padded: NDArray[np.int16], out: NDArray[np.uint8]) -> None:
    """LR rows with their halo, times 128, into HR rows [H, scale, scale W, 3]."""
    rows, scale, columns, planes = out.shape
    across, down = fixed_taps(scale)
    width = columns // scale
    wide = np.empty((len(padded), width, scale, planes), np.int16)
    for dx, taps in enumerate(across):
        wide[:, :, dx] = _weighted([padded[:, k : k + width] for k in range(TAPS)], taps)
    wide = wide.reshape(len(padded), columns, planes)
    for dy, taps in enumerate(down):
        tall = _weighted([wide[k : k + rows] for k in range(TAPS)], taps)
        out[:, dy] = np.clip((tall + np.int16(_ROUND)) >> _FRACTION_BITS, 0, 255)


def _weighted(values: list[NDArray[np.int16]], taps: NDArray[np.int16]) -> NDArray[np.int16]:
    """The sum of (value tap + 2^14) >> 15, each rounded by itself; fits 16 bits."""
    total = np.zeros(values[0].shape, np.int16)
    for value, tap in zip(values, taps, strict=True):
        if tap:
            total += ((np.multiply(value, tap, dtype=np.int32) + (1 << 14)) >> 15).astype(np.int16)
    return total
