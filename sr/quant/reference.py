"""The integer arithmetic of an int8 network, slow and obvious: the definition of every pixel.

    pixels u8 --> conv s8, + bias --> x m, round, clamp --> u8 --> ... --> conv s8, + bias --> x m
       |              s32                 f32                                  s32           |
       |                                                                                R, s16 in Q6
       +--> anchor: across the row, then down, 5 taps each, s16 in Q6 ------------- A -->  +
                                                                                           |
                                                               pixel = clamp((A + R + 32) >> 6)

Every kernel on every target computes these bits. Each step is one that all machines round alike:
sums stay below 2^24 (the packer proves it), so their float32 is exact; then one correctly rounded
float32 multiplication and one rounding half to even; the anchor is 16-bit arithmetic with the
rounding multiplication that x86 (pmulhrsw) and ARM (sqrdmulh) have. Nothing is fused.
Q6: 64 is one code value.
"""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.package.anchor import TAPS, anchor_halo_px, fixed_taps, phase_owners
from player.package.architecture import Architecture, Tensors, check_int8
from player.package.paths import BICUBIC
from player.package.scale import Scale

FRACTION_BITS = 6
_ROUND = 1 << (FRACTION_BITS - 1)
# u8, whose lower bound is the ReLU; and s16.
_HIDDEN, _DETAIL = (0, 255), (-32768, 32767)

Pixels = NDArray[np.uint8]
Integers = NDArray[np.int32]


def upscale(arch: Architecture, tensors: Tensors, patch: Pixels, path: int) -> Pixels:
    """One patch with its halo [h + 2R, w + 2R, 3] u8 -> [r h, r w, 3] u8; whole units.

    `tensors` are those of an int8 weights blob. Raises PackageError where the architecture has no
    int8 form, ValueError where it has no such path.
    """
    check_int8(arch)
    base = anchor(crop(patch, arch.halo_px(path) - anchor_halo_px(arch.scale)), arch.scale)
    if path == BICUBIC:
        return store(base, np.int32(0))
    residual = shuffle(detail(arch, tensors, patch, path), arch.hr_units)
    # espcn has no anchor: its residual is the whole picture.
    return store(np.int32(0) if arch.name == "espcn" else base, residual)


def detail(arch: Architecture, tensors: Tensors, patch: Pixels, path: int) -> Integers:
    """The residual R [h / u, w / u, 3 (r u)^2] in Q6 of a patch with the path's halo."""
    depth = arch.depth(path)
    last = "tail" if arch.name == "espcn" else f"exits.{arch.paths.index(path)}"
    q = unshuffle(patch, arch.units)
    if arch.name == "chain":
        q = crop(q, arch.halo_px(path) // arch.units - depth)
    for i in range(depth):
        q = hidden_layer(q, *layer_of(tensors, f"trunk.{i}"))
    return detail_layer(q, *layer_of(tensors, last))


def layer_of(
    tensors: Tensors, name: str
) -> tuple[NDArray[np.int8], NDArray[np.int32], NDArray[np.float32]]:
    """Weight [O, I, k, k], bias [O] and multiplier [O] of a convolution."""
    return tensors[f"{name}.weight"], tensors[f"{name}.bias"], tensors[f"{name}.multiplier"]


def crop(image: NDArray[Any], margin_px: int) -> NDArray[Any]:
    """[H, W, C] -> [H - 2 margin, W - 2 margin, C], the centre."""
    height, width = image.shape[:2]
    return image[margin_px : height - margin_px, margin_px : width - margin_px]


def convolve(q: Pixels, weight: NDArray[np.int8], bias: NDArray[np.int32]) -> Integers:
    """Sums [H - k + 1, W - k + 1, O] of a layer's input [H, W, I] u8, no padding."""
    outputs, _, window, _ = weight.shape
    height, width = q.shape[0] - window + 1, q.shape[1] - window + 1
    sums = np.zeros((height, width, outputs), np.int32) + bias
    for y in range(window):
        for x in range(window):
            seen = q[y : y + height, x : x + width].astype(np.int32)
            # One place of the window at a time, [h, w, I] @ [I, O]; of whole numbers the order is
            # no matter.
            sums += seen @ weight[:, :, y, x].T.astype(np.int32)
    return sums


def scaled(
    sums: Integers, multiplier: NDArray[np.float32], least_and_most: tuple[int, int]
) -> Integers:
    """Sums [..., O] times the multipliers [O], rounded half to even, clamped."""
    # The one place where floats round: the sum is exact as a float32, `rint` goes half to even.
    products = sums.astype(np.float32) * multiplier
    return np.clip(np.rint(products), *least_and_most).astype(np.int32)


def hidden_layer(
    q: Pixels,
    weight: NDArray[np.int8],
    bias: NDArray[np.int32],
    multiplier: NDArray[np.float32],
) -> Pixels:
    """A convolution and its ReLU: [H, W, I] u8 -> [H - k + 1, W - k + 1, O] u8."""
    return scaled(convolve(q, weight, bias), multiplier, _HIDDEN).astype(np.uint8)


def detail_layer(
    q: Pixels,
    weight: NDArray[np.int8],
    bias: NDArray[np.int32],
    multiplier: NDArray[np.float32],
) -> Integers:
    """The last convolution: [H, W, I] u8 -> [H - k + 1, W - k + 1, 3 (r u)^2] in Q6."""
    return scaled(convolve(q, weight, bias), multiplier, _DETAIL)


def shuffle(values: NDArray[Any], side: int) -> NDArray[Any]:
    """Channels [h, w, 3 s^2], ordered (colour, dy, dx), to their pixels [s h, s w, 3]."""
    height, width = values.shape[:2]
    # (y, x, colour, dy, dx) becomes (y, dy, x, dx, colour).
    cells = values.reshape(height, width, 3, side, side)
    return cells.transpose(0, 3, 1, 4, 2).reshape(height * side, width * side, 3)


def unshuffle(pixels: Pixels, side: int) -> Pixels:
    """The inverse: pixels [s h, s w, 3] to units [h, w, 3 s^2]."""
    height, width = pixels.shape[0] // side, pixels.shape[1] // side
    # (y, dy, x, dx, colour) becomes (y, x, colour, dy, dx).
    cells = pixels.reshape(height, side, width, side, 3)
    return cells.transpose(0, 2, 4, 1, 3).reshape(height, width, 3 * side**2)


def mulhrs(a: Integers, b: Integers | np.int32) -> Integers:
    """16-bit values multiplied, the upper half kept and rounded: (a b + 2^14) >> 15."""
    return (a * b + (1 << 14)) >> 15


def anchor(patch: Pixels, scale: Scale) -> Integers:
    """The anchor A [r h, r w, 3] in Q6 of a patch [h + 4, w + 4, 3] u8, bicubic; at scale 1 of a
    patch without halo, which it is itself."""
    if scale == 1:
        return patch.astype(np.int32) << FRACTION_BITS
    across, down = (taps.astype(np.int32) for taps in fixed_taps(scale))
    # p phases for every q LR pixels, each around the LR pixel that owns it.
    owners, (p, q) = phase_owners(scale), Fraction(scale).as_integer_ratio()
    height, width = patch.shape[0] - TAPS + 1, patch.shape[1] - TAPS + 1
    wide = np.zeros((height + TAPS - 1, width * p // q, 3), np.int32)
    for dx in range(p):
        for k in range(TAPS):
            first = owners[dx] + k
            values = patch[:, first : first + width : q][:, : width // q].astype(np.int32) << 7
            # Every product is rounded, not their sum: so the 16-bit instruction does it.
            wide[:, dx::p] += mulhrs(values, across[dx, k])
    tall = np.zeros((height * p // q, width * p // q, 3), np.int32)
    for dy in range(p):
        for k in range(TAPS):
            first = owners[dy] + k
            rows = wide[first : first + height : q][: height // q]
            tall[dy::p] += mulhrs(rows, down[dy, k])
    return tall


def store(base: Integers | np.int32, residual: Integers | np.int32) -> Pixels:
    """Anchor and residual in Q6 to pixels: their sum rounded half up, clamped to u8."""
    # The shift rounds down, below zero too: with 32 added that is half up.
    return np.clip((base + residual + _ROUND) >> FRACTION_BITS, 0, 255).astype(np.uint8)
