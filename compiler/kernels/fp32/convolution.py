# mypy: disable-error-code="valid-type, no-untyped-def"
"""The direct convolution: one row of output, a register tile at a time.

    rows of src   [k rows][in_blocks][pixels][IN]     IN = 16 channels (4 for RGB pixels)
    weights       [k][in_blocks][k][IN][out]          out = 16 * out_blocks, read in this order
    dst           pixel p, block b at p * dst_pixel + b * dst_block

A tile of P pixels times V vectors of outputs stays in registers while the sum runs over the
window and the input channels: V vector loads of weights, P broadcasts and P * V multiply-adds a
step. The arithmetic is the same for every tile shape, so that a pixel's value does not depend on
where in a row its tile began.
"""

from typing import Any

from tvm.script import tirx as T
from tvm.tirx import PrimFunc

from compiler.kernels.tiles import ConvolutionTile
from compiler.plan.formats import PIXEL
from player.package.architecture import BLOCK


def convolution_kernel(tile: ConvolutionTile, lanes: int) -> PrimFunc:  # noqa: C901 (a loop nest)
    """`tiles` tiles of one output row, for vectors of `lanes` floats."""
    vector = f"float32x{lanes}"
    pixels = tile.pixels
    depth = 3 if tile.in_channels == PIXEL else BLOCK
    per_block = BLOCK // lanes
    vectors = per_block * tile.out_blocks

    def outputs_at(pixel: Any, v: Any, pixel_stride: Any, block_stride: Any) -> Any:
        """Where the v-th vector of a pixel's outputs lies."""
        in_block = (v % per_block) * lanes
        return T.ramp(pixel * pixel_stride + (v // per_block) * block_stride + in_block, 1, lanes)

    def weights_at(tap: Any, i: Any, v: Any) -> Any:
        """Where the v-th vector of weights for input i of a tap lies."""
        return T.ramp((tap * depth + i) * BLOCK * tile.out_blocks + v * lanes, 1, lanes)

    @T.prim_func(s_tir=True, private=True)
    def kernel(  # noqa: C901 (loops, no decisions)
        src_data: T.handle("float32"),
        rows_data: T.handle("int32"),
        weight_data: T.handle("float32"),
        bias_data: T.handle("float32"),
        residual_data: T.handle("float32"),
        dst_data: T.handle("float32"),
        window_h: T.int32,
        window_w: T.int32,
        in_blocks: T.int32,
        in_stride: T.int32,
        tiles: T.int32,
        dst_pixel: T.int32,
        dst_block: T.int32,
        residual_pixel: T.int32,
        residual_block: T.int32,
        adds: T.int32,
        floor: T.float32,
    ):
        src = T.decl_buffer((1 << 30,), "float32", data=src_data)
        rows = T.decl_buffer((8,), "int32", data=rows_data)
        weight = T.decl_buffer((1 << 30,), "float32", data=weight_data)
        bias = T.decl_buffer((1 << 30,), "float32", data=bias_data)
        residual = T.decl_buffer((1 << 30,), "float32", data=residual_data)
        dst = T.decl_buffer((1 << 30,), "float32", data=dst_data)
        acc = T.alloc_buffer((pixels * vectors,), vector, scope="local")
        for t in T.serial(tiles):
            for v in T.unroll(vectors):
                for p in T.unroll(pixels):
                    acc[p * vectors + v] = bias[T.ramp(v * lanes, 1, lanes)]
            if adds != 0:
                for v in T.unroll(vectors):
                    for p in T.unroll(pixels):
                        acc[p * vectors + v] += residual[
                            outputs_at(t * pixels + p, v, residual_pixel, residual_block)
                        ]
            for ky in T.serial(window_h):
                for block in T.serial(in_blocks):
                    for kx in T.serial(window_w):
                        for i in T.serial(depth):
                            for p in T.unroll(pixels):
                                for v in T.unroll(vectors):
                                    acc[p * vectors + v] += weight[
                                        weights_at((ky * in_blocks + block) * window_w + kx, i, v)
                                    ] * T.broadcast(
                                        src[
                                            rows[ky]
                                            + block * in_stride
                                            + (t * pixels + p + kx) * tile.in_channels
                                            + i
                                        ],
                                        lanes,
                                    )
            for p in T.unroll(pixels):
                for v in T.unroll(vectors):
                    dst[outputs_at(t * pixels + p, v, dst_pixel, dst_block)] = T.max(
                        acc[p * vectors + v], T.broadcast(floor, lanes)
                    )

    return kernel
