# mypy: disable-error-code="valid-type, no-untyped-def"
"""Kernels at the two ends of a path: pixels to float rows, float rows to pixels.

A stored pixel is 16 floats from the residual's [dy][dx][colour] (3 r of them count for one dy),
plus the vertical half of the bicubic kernel over five rows of the anchor, rounded half to even
and clamped. Neighbours overlap: each overwrites what the one before it wrote too much.
"""

from typing import Any

from tvm.script import tirx as T
from tvm.tirx import PrimFunc

from compiler.kernels.tiles import PIXEL
from player.package.anchor import TAPS
from player.package.architecture import BLOCK


def load_kernel() -> PrimFunc:
    """RGB bytes -> red, green, blue and an unused float a pixel."""

    @T.prim_func(s_tir=True, private=True)
    def kernel(src_data: T.handle("uint8"), dst_data: T.handle("float32"), pixels: T.int32):
        src = T.decl_buffer((1 << 30,), "uint8", data=src_data)
        dst = T.decl_buffer((1 << 30,), "float32", data=dst_data)
        for x in T.serial(pixels):
            for c in T.unroll(3):
                dst[x * PIXEL + c] = T.cast(src[x * 3 + c], "float32")

    return kernel


def _to_pixels(value: Any, lanes: int) -> Any:
    low, high = T.broadcast(T.float32(0), lanes), T.broadcast(T.float32(255), lanes)
    rounded = T.nearbyint(T.min(T.max(value, low), high))
    return T.cast(T.cast(rounded, f"int32x{lanes}"), f"uint8x{lanes}")


def store_sum_kernel(lanes: int) -> PrimFunc:
    """One HR row: residual + anchor."""

    @T.prim_func(s_tir=True, private=True)
    def kernel(
        anchor_data: T.handle("float32"),
        rows_data: T.handle("int32"),
        taps_data: T.handle("float32"),
        residual_data: T.handle("float32"),
        dst_data: T.handle("uint8"),
        pixels: T.int32,
        residual_pixel: T.int32,
        dst_pixel: T.int32,
    ):
        anchor = T.decl_buffer((1 << 30,), "float32", data=anchor_data)
        rows = T.decl_buffer((TAPS,), "int32", data=rows_data)
        taps = T.decl_buffer((TAPS,), "float32", data=taps_data)
        residual = T.decl_buffer((1 << 30,), "float32", data=residual_data)
        dst = T.decl_buffer((1 << 30,), "uint8", data=dst_data)
        acc = T.alloc_buffer((1,), f"float32x{lanes}", scope="local")
        for x in T.serial(pixels):
            for v in T.unroll(BLOCK // lanes):
                acc[0] = residual[T.ramp(x * residual_pixel + v * lanes, 1, lanes)]
                for k in T.unroll(TAPS):
                    acc[0] += (
                        T.broadcast(taps[k], lanes)
                        * anchor[T.ramp(rows[k] + x * BLOCK + v * lanes, 1, lanes)]
                    )
                dst[T.ramp(x * dst_pixel + v * lanes, 1, lanes)] = _to_pixels(acc[0], lanes)

    return kernel


def store_anchor_kernel(lanes: int) -> PrimFunc:
    """One HR row: the anchor alone."""

    @T.prim_func(s_tir=True, private=True)
    def kernel(
        anchor_data: T.handle("float32"),
        rows_data: T.handle("int32"),
        taps_data: T.handle("float32"),
        dst_data: T.handle("uint8"),
        pixels: T.int32,
        dst_pixel: T.int32,
    ):
        anchor = T.decl_buffer((1 << 30,), "float32", data=anchor_data)
        rows = T.decl_buffer((TAPS,), "int32", data=rows_data)
        taps = T.decl_buffer((TAPS,), "float32", data=taps_data)
        dst = T.decl_buffer((1 << 30,), "uint8", data=dst_data)
        acc = T.alloc_buffer((1,), f"float32x{lanes}", scope="local")
        for x in T.serial(pixels):
            for v in T.unroll(BLOCK // lanes):
                acc[0] = T.broadcast(T.float32(0), lanes)
                for k in T.unroll(TAPS):
                    acc[0] += (
                        T.broadcast(taps[k], lanes)
                        * anchor[T.ramp(rows[k] + x * BLOCK + v * lanes, 1, lanes)]
                    )
                dst[T.ramp(x * dst_pixel + v * lanes, 1, lanes)] = _to_pixels(acc[0], lanes)

    return kernel


def store_residual_kernel(lanes: int) -> PrimFunc:
    """One HR row: the network's output alone."""

    @T.prim_func(s_tir=True, private=True)
    def kernel(
        residual_data: T.handle("float32"),
        dst_data: T.handle("uint8"),
        pixels: T.int32,
        residual_pixel: T.int32,
        dst_pixel: T.int32,
    ):
        residual = T.decl_buffer((1 << 30,), "float32", data=residual_data)
        dst = T.decl_buffer((1 << 30,), "uint8", data=dst_data)
        for x in T.serial(pixels):
            for v in T.unroll(BLOCK // lanes):
                dst[T.ramp(x * dst_pixel + v * lanes, 1, lanes)] = _to_pixels(
                    residual[T.ramp(x * residual_pixel + v * lanes, 1, lanes)], lanes
                )

    return kernel
