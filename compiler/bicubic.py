"""The anchor's numbers: the bicubic kernel that the engine computes in separable form."""

import numpy as np
from numpy.typing import NDArray

TAPS = 5  # LR pixels -2..2 around the pixel that an HR pixel lies in


def bicubic_taps(scale: int) -> NDArray[np.float64]:
    """[scale, 5]: weights of the LR pixels -2..2 for each phase of an HR pixel.

    Cubic convolution with a = -1/2 (Keys, IEEE TASSP 1981, eq. 4) at half-pixel centres.
    """
    phase_px = (np.arange(scale) + 0.5) / scale - 0.5
    x = np.abs(np.arange(-2, 3) - phase_px[:, None])
    near = ((1.5 * x) - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def anchor_kernel(scale: int) -> NDArray[np.float64]:
    """[3 scale^2, 3, 5, 5]: the same as one convolution, channels in pixel shuffle's order."""
    taps = bicubic_taps(scale)
    phases = np.einsum("yk,xl->yxkl", taps, taps).reshape(scale**2, TAPS, TAPS)
    colours = np.einsum("cd,pkl->cpdkl", np.eye(3), phases)
    return colours.reshape(3 * scale**2, 3, TAPS, TAPS)
