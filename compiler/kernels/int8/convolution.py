# mypy: disable-error-code="valid-type, no-untyped-def"
"""The direct convolution on bytes: one row of output, a register tile at a time.

    rows of src   [k rows][in blocks][pixels][IN]     IN = 16 channels (4 for RGB pixels), u8
    weights       [k][in block][k][group of 4][out][4], read in this order, s8
    dst           hidden: pixel p, block b at p * 16 + b * dst_block, u8
                  detail: pixel p, phase dy at p * dst_pixel + dy * dst_block, s16

A tile of P pixels times V vectors of sums stays in registers while the sum runs over the window and
the groups of four input channels; groups that a pruned width lacks are not computed. Rounding is
part of the epilogue (sr/quant/reference.py is the definition).
"""

from dataclasses import dataclass
from typing import Any

from tvm.script import tirx as T
from tvm.tirx import PrimFunc

from compiler.kernels.int8.dot import BLOCK, GROUP, DotProduct

PIXEL = 4  # bytes of an input pixel: red, green, blue, anything
_GROUPS = BLOCK // GROUP


@dataclass(frozen=True)
class ConvolutionTile:
    """The shape of one kernel: the part of a convolution that the schedule decides."""

    in_channels: int
    out_blocks: int
    pixels: int

    def name(self, version: str, kind: str) -> str:
        return f"psr_{version}_{kind}_i{self.in_channels}_o{self.out_blocks}_p{self.pixels}"


def hidden_kernel(tile: ConvolutionTile, dot: DotProduct) -> PrimFunc:
    """q' = clamp(rne(f32(acc) m), 0, 255), as bytes."""
    low, high = T.broadcast(T.int32(0), dot.lanes), T.broadcast(T.int32(255), dot.lanes)

    def stored_form(rounded: Any) -> Any:
        q = T.cast(T.min(T.max(rounded, low), high), f"uint8x{dot.lanes}")
        return q ^ T.broadcast(T.uint8(128), dot.lanes) if dot.signed else q

    return convolution_kernel(tile, dot, "uint8", stored_form, BLOCK)


def detail_kernel(tile: ConvolutionTile, dot: DotProduct) -> PrimFunc:
    """R = clamp(rne(f32(acc) m), -2^15, 2^15 - 1), as s16; a pixel takes `dst_pixel` of 16."""
    low, high = (T.broadcast(T.int32(limit), dot.lanes) for limit in (-32768, 32767))

    def stored_form(rounded: Any) -> Any:
        return T.cast(T.min(T.max(rounded, low), high), f"int16x{dot.lanes}")

    return convolution_kernel(tile, dot, "int16", stored_form, None)


def convolution_kernel(  # noqa: C901 (a loop nest)
    tile: ConvolutionTile, dot: DotProduct, stored: str, stored_form: Any, fixed_pixel: int | None
) -> PrimFunc:
    """`tiles` tiles of one output row."""
    dot = dot.of_pixels if tile.in_channels == PIXEL else dot
    lanes, pixels = dot.lanes, tile.pixels
    per_block = BLOCK // lanes
    vectors = per_block * tile.out_blocks
    step = dot.weight_bytes * lanes
    part_groups = dot.groups // dot.parts

    def outputs_at(pixel: Any, v: int, dst_pixel: Any, dst_block: Any) -> Any:
        """Where the v-th vector of a pixel's outputs lies."""
        stride = fixed_pixel or dst_pixel
        in_block = (v % per_block) * lanes
        return T.ramp(pixel * stride + (v // per_block) * dst_block + in_block, 1, lanes)

    def blocks_of(in_groups: Any) -> Any:
        """At least one: guards for a loop that may be empty cost copies of all sums."""
        return 1 if tile.in_channels == PIXEL else T.max((in_groups + _GROUPS - 1) // _GROUPS, 1)

    def steps_of(in_groups: Any, block: Any) -> Any:
        if tile.in_channels == PIXEL or dot.groups == _GROUPS:
            return 1
        return T.min(_GROUPS, in_groups - block * _GROUPS) // dot.groups

    together = dot.pixels_together if stored == "uint8" else 0
    packs = pixels // together if together else 0
    packed = packs * together

    def rounded(acc: Any, scale: Any, p: Any, v: Any) -> Any:
        sums = T.cast(dot.sums(acc, p, v, vectors), f"float32x{lanes}")
        return dot.to_integers(sums * scale[T.ramp(v * lanes, 1, lanes)])

    def four_rounded(acc: Any, scale: Any, first: Any, block: Any) -> list[Any]:
        """The outputs of a block of `together` pixels: four vectors, as they lie in memory."""
        return [
            rounded(acc, scale, first + i // per_block, block * per_block + i % per_block)
            for i in range(4)
        ]

    @T.prim_func(s_tir=True, private=True)
    def kernel(  # noqa: C901 (loops, no decisions)
        src_data: T.handle("uint8"),
        rows_data: T.handle("int32"),
        weight_data: T.handle("int8"),
        bias_data: T.handle("int32"),
        scale_data: T.handle("float32"),
        dst_data: T.handle(stored),
        window_h: T.int32,
        window_w: T.int32,
        in_groups: T.int32,
        in_stride: T.int32,
        tiles: T.int32,
        dst_pixel: T.int32,
        dst_block: T.int32,
    ):
        src = T.decl_buffer((1 << 30,), "uint8", data=src_data)
        rows = T.decl_buffer((8,), "int32", data=rows_data)
        weight = T.decl_buffer((1 << 30,), "int8", data=weight_data)
        bias = T.decl_buffer((1 << 30,), "int32", data=bias_data)
        scale = T.decl_buffer((1 << 30,), "float32", data=scale_data)
        dst = T.decl_buffer((1 << 30,), stored, data=dst_data)
        acc = T.alloc_buffer((pixels * vectors,), f"int32x{lanes}", scope="local")
        for t in T.serial(tiles):
            for v in T.unroll(vectors):
                for p in T.unroll(pixels):
                    acc[p * vectors + v] = dot.start(bias, p, v)
            for ky in T.serial(T.max(window_h, 1)):
                for block in T.serial(blocks_of(in_groups)):
                    for kx in T.serial(T.max(window_w, 1)):
                        for g in T.serial(steps_of(in_groups, block)):
                            for part in T.unroll(dot.parts):
                                for p in T.unroll(pixels):
                                    for v in T.unroll(vectors):
                                        acc[p * vectors + v] = dot.step(
                                            acc[p * vectors + v],
                                            src,
                                            rows[ky]
                                            + block * in_stride
                                            + (t * pixels + p + kx) * tile.in_channels
                                            + g * dot.groups * GROUP,
                                            weight,
                                            (
                                                (
                                                    (ky * in_groups + block * _GROUPS) * window_w
                                                    + kx
                                                    * T.min(_GROUPS, in_groups - block * _GROUPS)
                                                    + g * dot.groups
                                                )
                                                * vectors
                                                + (part * vectors + v) * part_groups
                                            )
                                            * step,
                                            p,
                                            part,
                                        )
            if packs > 0:
                for p in T.unroll(packs):
                    for b in T.unroll(tile.out_blocks):
                        dst[
                            T.ramp(
                                (t * pixels + p * together) * BLOCK + b * dst_block, 1, 4 * lanes
                            )
                        ] = dot.to_bytes(four_rounded(acc, scale, p * together, b))
            for p in T.unroll(pixels - packed):
                for v in T.unroll(vectors):
                    dst[outputs_at(t * pixels + packed + p, v, dst_pixel, dst_block)] = stored_form(
                        rounded(acc, scale, packed + p, v)
                    )

    return kernel
