"""The anchor: what the path `bicubic` shows, and what every other path adds its detail to.

Bicubic upsampling by a whole factor r gives every HR pixel a weighted sum of a 5x5 LR
neighbourhood, and the weights depend only on the pixel's place (its phase) inside its LR pixel. So
it is a 5x5 convolution to 3 r^2 channels and a pixel shuffle, exact and linear. Trainer, compiler
and player all take it from here; it is part of what a package means.
"""

import numpy as np
from numpy.typing import NDArray

TAPS = 5  # LR pixels -2..2 around the one that an HR pixel lies in
HALO_PX = 2


def keys_kernel(distance_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cubic convolution (Keys, IEEE TASSP 29(6), 1981, eq. 4) with a = -1/2.

    The same as MATLAB's imresize and Pillow; OpenCV and torch take a = -3/4.
    """
    x = np.abs(distance_px)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def phase_taps(scale: int) -> NDArray[np.float64]:
    """[scale, 5]: for each phase, the weights of the LR pixels -2..2, at half-pixel centres."""
    # Pixels have their centres at halves: HR pixel p lies at (p + 1/2) / r of its LR pixel.
    centres_px = (np.arange(scale) + 0.5) / scale - 0.5
    # The kernel reaches less than 2 px, a centre lies within half a pixel: five taps are all of it.
    return keys_kernel(np.arange(-2, 3) - centres_px[:, None])


def fixed_taps(scale: int) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """The taps of the integer anchor, both [scale, 5]: across a row times 2^14, down times 2^15.

    `sr.quant.reference.anchor` says how they are used.
    """
    taps = phase_taps(scale)
    # A tap of 1 (x3, the middle phase) is 2^15, one more than 16 bits hold; rounding to a byte
    # hides what 32767 loses.
    down = np.minimum(np.rint(taps * 2**15), 2**15 - 1)
    # 2^14 across, for pixels times 2^7: 7 + 14 - 15 leaves the 6 bits of Q6, and 2^15 down keeps
    # them.
    return np.rint(taps * 2**14).astype(np.int16), down.astype(np.int16)


def integer_anchor(patch: NDArray[np.uint8], scale: int) -> NDArray[np.int16]:
    """The anchor in Q6 (64 is one code value), [r h, r w, 3] of a patch [h + 4, w + 4, 3].

    The integers of `sr.quant.reference.anchor`, which no sum of can leave 16 bits.
    """
    across, down = fixed_taps(scale)
    height, width, planes = patch.shape[0] - TAPS + 1, patch.shape[1] - TAPS + 1, patch.shape[2]
    # 255 x 2^7 is just within 16 bits: the more bits go in, the less each product is rounded.
    values = patch.astype(np.int16) << 7
    # [row, column, phase, plane]: phases beside their column, so that a reshape makes HR columns.
    wide = np.empty((height + TAPS - 1, width, scale, planes), np.int16)
    # A phase's taps have sizes that add up to 1.25 at most; after both passes no sum is beyond
    # 255 x 64 x 1.25^2 = 25500.
    for dx, taps in enumerate(across):
        wide[:, :, dx] = _weighted([values[:, k : k + width] for k in range(TAPS)], taps)
    rows = wide.reshape(height + TAPS - 1, width * scale, planes)
    tall = np.empty((height, scale, width * scale, planes), np.int16)
    for dy, taps in enumerate(down):
        tall[:, dy] = _weighted([rows[k : k + height] for k in range(TAPS)], taps)
    return tall.reshape(height * scale, width * scale, planes)


def _weighted(values: list[NDArray[np.int16]], taps: NDArray[np.int16]) -> NDArray[np.int16]:
    """The sum of (value tap + 2^14) >> 15, each rounded by itself."""
    total = np.zeros(values[0].shape, np.int16)
    for value, tap in zip(values, taps, strict=True):
        # (0 + 2^14) >> 15 is nothing: many phases have a tap of 0 at one end.
        if tap:
            # 32 bits within, as in the instructions that kernels use (pmulhrsw, sqrdmulh).
            product = np.multiply(value, tap, dtype=np.int32)
            total += ((product + (1 << 14)) >> 15).astype(np.int16)
    return total


def anchor_kernel(scale: int) -> NDArray[np.float64]:
    """[3 scale^2, 3, 5, 5]: the same as one convolution, channels in pixel shuffle's order."""
    taps = phase_taps(scale)
    # Separable: a phase's 5x5 is the outer product of its rows and columns; phases by (dy, dx).
    phases = np.einsum("yk,xl->yxkl", taps, taps).reshape(scale**2, TAPS, TAPS)
    # Axes (out colour, phase, in colour, row, column): each colour reads itself alone.
    colours = np.einsum("cd,pkl->cpdkl", np.eye(3), phases)
    return colours.reshape(3 * scale**2, 3, TAPS, TAPS)
