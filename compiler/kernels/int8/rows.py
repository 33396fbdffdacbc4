# mypy: disable-error-code="valid-type, no-untyped-def"
"""Kernels at the two ends of a path: pixels to rows of four bytes, s16 rows to pixels.

The anchor is all in s16, in Q6 (64 is one code value): a horizontal pass over each LR row, and a
vertical pass over each HR row, in which lanes are values of an HR row that lie together.
"""

from fractions import Fraction
from typing import Any

from tvm.script import tirx as T
from tvm.tirx import PrimFunc

from compiler.kernels.int8.dot import DotProduct
from compiler.kernels.load import load_kernel as place_kernel
from compiler.plan.formats import PIXEL
from player.package.anchor import TAPS, phase_owners
from player.package.architecture import BLOCK
from player.package.scale import Scale

_ROUND, _FRACTION_BITS = 32, 6
_WINDOW = 16  # bytes: four input pixels


def load_kernel(dot: DotProduct, units: int) -> PrimFunc:
    """Pixels as bytes; signed products take q - 128."""
    return place_kernel("uint8", lambda q: q ^ T.uint8(128 if dot.signed else 0), units)


def anchor_kernel(dot: DotProduct, scale: Scale) -> PrimFunc:
    """H of one row: of every q LR pixels 3 p values [phase][colour], each from five neighbours.

    Sixteen values are written for each group; the next one overwrites what was too many.
    """
    lanes = min(BLOCK, 2 * dot.lanes)
    p, q = Fraction(scale).as_integer_ratio()
    owners = phase_owners(scale)

    def neighbours(src: Any, x: Any, k: int, part: int) -> Any:
        """The values of tap k for lanes [phase][colour], shifted to 15 bits."""
        # Of single pixels one window of four holds four taps.
        first = k if q > 1 else 0 if k < 4 else 4
        window = src[T.ramp((x * q + first) * PIXEL, 1, _WINDOW)]
        if dot.signed:
            window = window ^ T.broadcast(T.uint8(128), _WINDOW)
        at = [
            (owners[min(j // 3, p - 1)] + k - first) * PIXEL + j % 3
            for j in range(part * lanes, (part + 1) * lanes)
        ]
        wide = T.cast(T.Shuffle([window], at), f"int16x{lanes}")
        return T.shift_left(wide, T.broadcast(T.int16(7), lanes))

    def values(src: Any, taps: Any, x: Any, part: int) -> Any:
        products = [
            dot.mulhrs(
                neighbours(src, x, k, part),
                taps[T.ramp(k * BLOCK + part * lanes, 1, lanes)],
                lanes,
            )
            for k in range(TAPS)
        ]
        return sum(products[1:], start=products[0])

    def group(src: Any, taps: Any, x: Any) -> Any:
        parts = [values(src, taps, x, part) for part in range(BLOCK // lanes)]
        return parts[0] if len(parts) == 1 else T.Shuffle(parts, list(range(BLOCK)))

    @T.prim_func(s_tir=True, private=True)
    def kernel(
        src_data: T.handle("uint8"),
        taps_data: T.handle("int16"),
        dst_data: T.handle("int16"),
        groups: T.int32,
    ):
        src = T.decl_buffer((1 << 30,), "uint8", data=src_data)
        taps = T.decl_buffer((TAPS * BLOCK,), "int16", data=taps_data)
        dst = T.decl_buffer((1 << 30,), "int16", data=dst_data)
        for x in T.serial(groups):
            dst[T.ramp(x * 3 * p, 1, BLOCK)] = group(src, taps, x)

    return kernel


def _to_pixels(value: Any, lanes: int) -> Any:
    """(value + 32) >> 6, clamped to a byte; `value` has the 32 added already."""
    low, high = T.broadcast(T.int16(0), lanes), T.broadcast(T.int16(255), lanes)
    shifted = T.shift_right(value, T.broadcast(T.int16(_FRACTION_BITS), lanes))
    return T.cast(T.min(T.max(shifted, low), high), f"uint8x{lanes}")


def store_kernel(dot: DotProduct, anchored: bool, detailed: bool) -> PrimFunc:
    """One HR row of `values` bytes: anchor + detail, or one of the two alone."""
    lanes = 2 * dot.lanes

    def summed(anchor: Any, rows: Any, taps: Any, detail: Any, x: Any) -> Any:
        """Saturating where both meet: what it cuts off is clamped anyway."""
        total = T.broadcast(T.int16(_ROUND), lanes)
        for k in range(TAPS if anchored else 0):
            row = anchor[T.ramp(rows[k] + x * lanes, 1, lanes)]
            total = total + dot.mulhrs(row, T.broadcast(taps[k], lanes), lanes)
        added = detail[T.ramp(x * lanes, 1, lanes)]
        return dot.add_saturated(total, added, lanes) if detailed else total

    @T.prim_func(s_tir=True, private=True)
    def kernel(
        anchor_data: T.handle("int16"),
        rows_data: T.handle("int32"),
        taps_data: T.handle("int16"),
        detail_data: T.handle("int16"),
        dst_data: T.handle("uint8"),
        values: T.int32,
    ):
        anchor = T.decl_buffer((1 << 30,), "int16", data=anchor_data)
        rows = T.decl_buffer((TAPS,), "int32", data=rows_data)
        taps = T.decl_buffer((TAPS,), "int16", data=taps_data)
        detail = T.decl_buffer((1 << 30,), "int16", data=detail_data)
        dst = T.decl_buffer((1 << 30,), "uint8", data=dst_data)
        for x in T.serial((values + lanes - 1) // lanes):
            dst[T.ramp(x * lanes, 1, lanes)] = _to_pixels(
                summed(anchor, rows, taps, detail, x), lanes
            )

    return kernel


def identity_kernel(dot: DotProduct) -> PrimFunc:
    """One HR row of `values` bytes at scale 1: LR + detail."""
    lanes = 2 * dot.lanes

    @T.prim_func(s_tir=True, private=True)
    def kernel(
        lr_data: T.handle("uint8"),
        detail_data: T.handle("int16"),
        dst_data: T.handle("uint8"),
        values: T.int32,
    ):
        lr = T.decl_buffer((1 << 30,), "uint8", data=lr_data)
        detail = T.decl_buffer((1 << 30,), "int16", data=detail_data)
        dst = T.decl_buffer((1 << 30,), "uint8", data=dst_data)
        for x in T.serial((values + lanes - 1) // lanes):
            dst[T.ramp(x * lanes, 1, lanes)] = _to_pixels(
                dot.add_saturated(
                    T.shift_left(
                        T.cast(lr[T.ramp(x * lanes, 1, lanes)], f"int16x{lanes}"),
                        T.broadcast(T.int16(_FRACTION_BITS), lanes),
                    )
                    + T.broadcast(T.int16(_ROUND), lanes),
                    detail[T.ramp(x * lanes, 1, lanes)],
                    lanes,
                ),
                lanes,
            )

    return kernel
