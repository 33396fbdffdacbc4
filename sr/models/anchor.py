"""The anchor: bicubic upsampling as one fixed convolution, to which a network adds detail.

Bicubic upsampling by an integer factor r gives every HR pixel a weighted sum of a 5x5 LR
neighbourhood; the weights depend only on the pixel's phase (dy, dx) inside its LR pixel. So it is
a 5x5 convolution to 3 r^2 channels and a pixel shuffle, exact and linear. Du et al. (Anchor-based
plain net, CVPRW 2021) show what it buys: the network's output stays small, which int8 needs.
"""

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

ANCHOR_HALO_PX = 2
_KEYS_A = -0.5  # Keys (1981); the same as MATLAB's imresize and Pillow, but not OpenCV (-0.75)


def keys_kernel(distance_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cubic convolution kernel of Keys (IEEE TASSP 1981, eq. 4 with a = -1/2)."""
    x = np.abs(distance_px)
    near = (_KEYS_A + 2) * x**3 - (_KEYS_A + 3) * x**2 + 1
    far = _KEYS_A * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def phase_taps(scale: int) -> NDArray[np.float64]:
    """[r, 5]: for each phase, the weights of the LR pixels at offsets -2..2."""
    centres = (np.arange(scale) + 0.5) / scale - 0.5
    return keys_kernel(np.arange(-2, 3)[None, :] - centres[:, None])


@cache
def anchor_weight(scale: int) -> Tensor:
    """[3 r^2, 3, 5, 5] float32, channels in pixel shuffle's order (c, dy, dx)."""
    taps = phase_taps(scale)
    phases = np.einsum("yk,xl->yxkl", taps, taps).reshape(scale**2, 5, 5)
    weight = np.zeros((3, scale**2, 3, 5, 5))
    for colour in range(3):
        weight[colour, :, colour] = phases
    return torch.tensor(weight.reshape(3 * scale**2, 3, 5, 5), dtype=torch.float32)


def upsample(x: Tensor, scale: int) -> Tensor:
    """[N, 3, H + 4, W + 4] -> [N, 3, r H, r W], bicubic, not clamped."""
    return F.pixel_shuffle(F.conv2d(x, anchor_weight(scale)), scale)
