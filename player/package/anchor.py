"""The anchor: what the path `bicubic` shows, and what every other path adds its detail to.

Bicubic upsampling by r = p / q makes p HR pixels of q LR pixels: each of these p *phases* is a
weighted sum of the five LR pixels around the one that it lies in, in both directions, and the
weights depend on the phase alone. For a whole r, q is 1. At scale 1 the anchor is the picture
itself. So it is a convolution over units and a pixel shuffle, exact and linear. Trainer, compiler
and player all take it from here; it is part of what a package means.
"""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from player.package.scale import Scale

TAPS = 5  # LR pixels -2..2 around the one that an HR pixel lies in
HALO_PX = 2


def anchor_halo_px(scale: Scale) -> int:
    """LR pixels of context that the anchor reads on every side."""
    return 0 if scale == 1 else HALO_PX


def anchor_reach(scale: Scale, units: int) -> int:
    """The same in units of `units` px."""
    return -(-anchor_halo_px(scale) // units)


def keys_kernel(distance_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cubic convolution (Keys, IEEE TASSP 29(6), 1981, eq. 4) with a = -1/2.

    The same as MATLAB's imresize and Pillow; OpenCV and torch take a = -3/4.
    """
    x = np.abs(distance_px)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def phase_owners(scale: Scale) -> list[int]:
    """[p]: the LR pixel, of the q that repeat, in which each phase has its centre."""
    ratio = Fraction(scale)
    # Pixels have their centres at halves: phase i lies at (i + 1/2) / r.
    return [int((2 * i + 1) / (2 * ratio)) for i in range(ratio.numerator)]


def phase_taps(scale: Scale) -> NDArray[np.float64]:
    """[p, 5]: for each phase, the weights of the LR pixels -2..2 around its owner."""
    phases = np.arange(Fraction(scale).numerator)
    centres_px = (phases + 0.5) / float(scale) - 0.5 - phase_owners(scale)
    # The kernel reaches less than 2 px, a centre lies within half a pixel: five taps are all of it.
    return keys_kernel(np.arange(-2, 3) - centres_px[:, None])


def fixed_taps(scale: Scale) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """The taps of the integer anchor, both [p, 5]: across a row times 2^14, down times 2^15.

    `sr.quant.reference.anchor` says how they are used.
    """
    taps = phase_taps(scale)
    # A tap of 1 (x3, the middle phase) is 2^15, one more than 16 bits hold; rounding to a byte
    # hides what 32767 loses.
    down = np.minimum(np.rint(taps * 2**15), 2**15 - 1)
    # 2^14 across, for pixels times 2^7: 7 + 14 - 15 leaves the 6 bits of Q6, and 2^15 down keeps
    # them.
    return np.rint(taps * 2**14).astype(np.int16), down.astype(np.int16)


def integer_anchor(patch: NDArray[np.uint8], scale: Scale) -> NDArray[np.int16]:
    """The anchor in Q6 (64 is one code value), [r h, r w, 3] of a patch [h + 4, w + 4, 3].

    At scale 1 the patch has no halo. At 3/2 its sides are even. The integers of
    `sr.quant.reference.anchor`, which no sum of can leave 16 bits.
    """
    if scale == 1:
        return patch.astype(np.int16) << 6
    across, down = fixed_taps(scale)
    owners, (p, q) = phase_owners(scale), Fraction(scale).as_integer_ratio()
    height, width, planes = patch.shape[0] - TAPS + 1, patch.shape[1] - TAPS + 1, patch.shape[2]
    # 255 x 2^7 is just within 16 bits: the more bits go in, the less each product is rounded.
    values = patch.astype(np.int16) << 7
    # [row, column, phase, plane]: phases beside their columns, so that a reshape makes HR columns.
    wide = np.empty((height + TAPS - 1, width // q, p, planes), np.int16)
    # A phase's taps have sizes that add up to 1.25 at most; after both passes no sum is beyond
    # 255 x 64 x 1.25^2 = 25500.
    for dx, taps in enumerate(across):
        first = range(owners[dx], owners[dx] + TAPS)
        wide[:, :, dx] = _weighted(
            [values[:, k : k + width : q][:, : width // q] for k in first], taps
        )
    rows = wide.reshape(height + TAPS - 1, width // q * p, planes)
    tall = np.empty((height // q, p, width // q * p, planes), np.int16)
    for dy, taps in enumerate(down):
        first = range(owners[dy], owners[dy] + TAPS)
        tall[:, dy] = _weighted([rows[k : k + height : q][: height // q] for k in first], taps)
    return tall.reshape(height // q * p, width // q * p, planes)


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


def anchor_kernel(scale: Scale, units: int = 1) -> NDArray[np.float64]:
    """[3 (r u)^2, 3 u^2, k, k]: the same as one convolution over units, k = 2 reach + 1.

    Channels in the pixel shuffle's order, on both sides (colour, dy, dx).
    """
    reach = anchor_reach(scale, units)
    across = _unit_taps(scale, units, reach)
    # Separable: (dy, dx, unit row, row in it, unit column, column in it).
    phases = np.einsum("yka,xlb->yxkalb", across, across)
    # Axes (out colour, dy, dx, in colour, dy, dx, row, column): each colour reads itself alone.
    colours = np.einsum("cd,yxkalb->cyxdabkl", np.eye(3), phases)
    side = 2 * reach + 1
    return colours.reshape(3 * len(across) ** 2, 3 * units**2, side, side)


def _unit_taps(scale: Scale, units: int, reach: int) -> NDArray[np.float64]:
    """[r u, 2 reach + 1, u]: the weight of each LR pixel of the units around, for each HR pixel."""
    taps, owners, q = phase_taps(scale), phase_owners(scale), Fraction(scale).denominator
    side = int(scale * units)
    found = np.zeros((side, (2 * reach + 1) * units))
    for i in range(side):
        group, phase = divmod(i, len(owners))
        # The first LR pixel of its five, counted from the first of all that are read.
        first = group * q + owners[phase] + reach * units - HALO_PX
        for k, tap in enumerate(taps[phase]):
            if tap:
                found[i, first + k] = tap
    return found.reshape(side, 2 * reach + 1, units)
