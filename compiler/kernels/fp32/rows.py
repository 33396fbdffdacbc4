# mypy: disable-error-code="valid-type, no-untyped-def"
"""Kernels at the two ends of a path: pixels to float rows, float rows to pixels.

The anchor is a horizontal pass over each LR row, and a vertical pass over each HR row, in which
lanes are values of an HR row that lie together. Pixels are rounded half to even and clamped.
"""

from fractions import Fraction
from typing import Any

from tvm.script import tirx as T
from tvm.tirx import PrimFunc

from compiler.kernels.load import load_kernel as place_kernel
from compiler.plan.formats import PIXEL
from player.package.anchor import TAPS, phase_owners
from player.package.architecture import BLOCK
from player.package.scale import Scale

_WINDOW = 16  # numbers: four input pixels


def load_kernel(units: int) -> PrimFunc:
    """Pixels as floats."""
    return place_kernel("float32", lambda q: T.cast(q, "float32"), units)


def anchor_kernel(lanes: int, scale: Scale) -> PrimFunc:
    """H of one row: of every q LR pixels 3 p values [phase][colour], each from five neighbours.

    Sixteen values are written for each group; the next one overwrites what was too many.
    """
    p, q = Fraction(scale).as_integer_ratio()
    owners = phase_owners(scale)

    def neighbours(src: Any, x: Any, k: int, part: int) -> Any:
        window = src[T.ramp((x * q + k) * PIXEL, 1, _WINDOW)]
        at = [
            owners[min(j // 3, p - 1)] * PIXEL + j % 3
            for j in range(part * lanes, (part + 1) * lanes)
        ]
        return T.Shuffle([window], at)

    def summed(src: Any, taps: Any, x: Any, part: int) -> Any:
        products = [
            neighbours(src, x, k, part) * taps[T.ramp(k * BLOCK + part * lanes, 1, lanes)]
            for k in range(TAPS)
        ]
        return sum(products[1:], start=products[0])

    def group(src: Any, taps: Any, x: Any) -> Any:
        parts = [summed(src, taps, x, part) for part in range(BLOCK // lanes)]
        return parts[0] if len(parts) == 1 else T.Shuffle(parts, list(range(BLOCK)))

    @T.prim_func(s_tir=True, private=True)
    def kernel(
        src_data: T.handle("float32"),
        taps_data: T.handle("float32"),
        dst_data: T.handle("float32"),
        groups: T.int32,
    ):
        src = T.decl_buffer((1 << 30,), "float32", data=src_data)
        taps = T.decl_buffer((TAPS * BLOCK,), "float32", data=taps_data)
        dst = T.decl_buffer((1 << 30,), "float32", data=dst_data)
        for x in T.serial(groups):
            dst[T.ramp(x * 3 * p, 1, BLOCK)] = group(src, taps, x)

    return kernel


def _to_pixels(value: Any, lanes: int) -> Any:
    low, high = T.broadcast(T.float32(0), lanes), T.broadcast(T.float32(255), lanes)
    rounded = T.nearbyint(T.min(T.max(value, low), high))
    return T.cast(T.cast(rounded, f"int32x{lanes}"), f"uint8x{lanes}")


def store_kernel(lanes: int, anchored: bool, detailed: bool) -> PrimFunc:
    """One HR row of `values` bytes: anchor + detail, or one of the two alone."""

    def summed(anchor: Any, rows: Any, taps: Any, detail: Any, x: Any) -> Any:
        total = T.broadcast(T.float32(0), lanes)
        if detailed:
            total = detail[T.ramp(x * lanes, 1, lanes)]
        for k in range(TAPS if anchored else 0):
            row = anchor[T.ramp(rows[k] + x * lanes, 1, lanes)]
            total = total + T.broadcast(taps[k], lanes) * row
        return total

    @T.prim_func(s_tir=True, private=True)
    def kernel(
        anchor_data: T.handle("float32"),
        rows_data: T.handle("int32"),
        taps_data: T.handle("float32"),
        detail_data: T.handle("float32"),
        dst_data: T.handle("uint8"),
        values: T.int32,
    ):
        anchor = T.decl_buffer((1 << 30,), "float32", data=anchor_data)
        rows = T.decl_buffer((TAPS,), "int32", data=rows_data)
        taps = T.decl_buffer((TAPS,), "float32", data=taps_data)
        detail = T.decl_buffer((1 << 30,), "float32", data=detail_data)
        dst = T.decl_buffer((1 << 30,), "uint8", data=dst_data)
        for x in T.serial((values + lanes - 1) // lanes):
            dst[T.ramp(x * lanes, 1, lanes)] = _to_pixels(
                summed(anchor, rows, taps, detail, x), lanes
            )

    return kernel


def identity_kernel(lanes: int) -> PrimFunc:
    """One HR row of `values` bytes at scale 1: LR + detail."""

    @T.prim_func(s_tir=True, private=True)
    def kernel(
        lr_data: T.handle("uint8"),
        detail_data: T.handle("float32"),
        dst_data: T.handle("uint8"),
        values: T.int32,
    ):
        lr = T.decl_buffer((1 << 30,), "uint8", data=lr_data)
        detail = T.decl_buffer((1 << 30,), "float32", data=detail_data)
        dst = T.decl_buffer((1 << 30,), "uint8", data=dst_data)
        for x in T.serial((values + lanes - 1) // lanes):
            dst[T.ramp(x * lanes, 1, lanes)] = _to_pixels(
                T.cast(lr[T.ramp(x * lanes, 1, lanes)], f"float32x{lanes}")
                + detail[T.ramp(x * lanes, 1, lanes)],
                lanes,
            )

    return kernel
