"""Bicubic upscaling without an engine: the last step of the ladder, and the reference of path 0.

The anchor of `player.package.anchor` with edges replicated: what Pillow and MATLAB compute.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from player.package.anchor import phase_taps


def upscale_bicubic(lr: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """[H, W, 3] u8 to [scale H, scale W, 3] u8, rounded half to even."""
    if scale == 1:
        return lr
    height, width, planes = lr.shape
    weights = phase_taps(scale)
    hr = np.empty((height, scale, width, scale, planes), np.uint8)
    for y, column in enumerate(weights):
        for x, row in enumerate(weights):
            phase = cv2.sepFilter2D(lr, cv2.CV_32F, row, column, borderType=cv2.BORDER_REPLICATE)
            hr[:, y, :, x] = np.clip(np.rint(phase), 0, 255)
    return hr.reshape(height * scale, width * scale, planes)
