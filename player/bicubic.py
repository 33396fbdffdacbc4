"""Bicubic upscaling without an engine: the last step of the ladder, and the reference of path 0.

Keys' kernel with a = -0.5 (R. Keys, "Cubic convolution interpolation", IEEE TASSP 29(6), 1981),
half-pixel centres, edges replicated: what Pillow and MATLAB compute.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

_TAPS = np.arange(-2, 3)


def keys(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' cubic kernel at these distances in LR pixels."""
    d = np.abs(distance)
    near = 1.5 * d**3 - 2.5 * d**2 + 1
    far = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def phase_weights(scale: int) -> NDArray[np.float64]:
    """[scale, 5]: for each HR phase, the weights of the LR pixels -2..2 around it."""
    centres = (np.arange(scale) + 0.5) / scale - 0.5
    return keys(_TAPS[None, :] - centres[:, None])


def upscale_bicubic(lr: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """[H, W, 3] u8 to [scale H, scale W, 3] u8, rounded half to even."""
    if scale == 1:
        return lr
    height, width, planes = lr.shape
    weights = phase_weights(scale)
    hr = np.empty((height, scale, width, scale, planes), np.uint8)
    for y, column in enumerate(weights):
        for x, row in enumerate(weights):
            phase = cv2.sepFilter2D(lr, cv2.CV_32F, row, column, borderType=cv2.BORDER_REPLICATE)
            hr[:, y, :, x] = np.clip(np.rint(phase), 0, 255)
    return hr.reshape(height * scale, width * scale, planes)
