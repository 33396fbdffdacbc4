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

from typing import Any, NamedTuple

from tvm.script import tirx as T
from tvm.tirx import Buffer, PrimFunc

from compiler.kernels.int8.dot import DotProduct
from compiler.kernels.tiles import ConvolutionTile
from compiler.plan.formats import PIXEL
from player.package.architecture import BLOCK, GROUP

_GROUPS = BLOCK // GROUP


class Axes(NamedTuple):
    """A place in the loops over one pixel's window, outermost first: also the order of the weights.

    Blocks lie outside kx: a row of activations has a block's pixels side by side, so that the
    window's columns are steps of one pixel through the same cache lines.
    """

    ky: Any
    block: Any  # of 16 inputs
    kx: Any
    step: Any  # of `dot.groups` groups of inputs within the block
    part: Any  # instruction of the step


class _Layout:
    """How a tile's sums, its inputs, weights and outputs lie, for one dot product."""

    def __init__(self, tile: ConvolutionTile, dot: DotProduct, fixed_pixel: int | None) -> None:
        self.tile, self.dot, self.fixed_pixel = tile, dot, fixed_pixel
        self.is_rgb = tile.in_channels == PIXEL
        self.per_block = BLOCK // dot.lanes  # vectors
        self.vectors = self.per_block * tile.out_blocks

    def blocks(self, in_groups: Any) -> Any:
        # At least one: guards for a loop that may be empty cost copies of all sums.
        return 1 if self.is_rgb else T.max((in_groups + _GROUPS - 1) // _GROUPS, 1)

    def steps(self, in_groups: Any, block: Any) -> Any:
        if self.is_rgb or self.dot.groups == _GROUPS:
            return 1
        return self.groups_in(in_groups, block) // self.dot.groups

    def groups_in(self, in_groups: Any, block: Any) -> Any:
        """Of a block: the last one may have fewer than four."""
        return T.min(_GROUPS, in_groups - block * _GROUPS)

    def source_at(self, rows: Buffer, in_stride: Any, pixel: Any, at: Axes) -> Any:
        """The first of the activations that a step reads for an output pixel."""
        return (
            rows[at.ky]
            + at.block * in_stride
            + (pixel + at.kx) * self.tile.in_channels
            + at.step * self.dot.groups * GROUP
        )

    def weight_at(self, in_groups: Any, window_w: Any, v: Any, at: Axes) -> Any:
        """The first weight of the v-th vector: groups before it, then vectors within the step."""
        groups = (
            (at.ky * in_groups + at.block * _GROUPS) * window_w
            + at.kx * self.groups_in(in_groups, at.block)
            + at.step * self.dot.groups
        )
        vectors = (at.part * self.vectors + v) * (self.dot.groups // self.dot.parts)
        return (groups * self.vectors + vectors) * (self.dot.weight_bytes * self.dot.lanes)

    def output_at(self, pixel: Any, v: int, dst_pixel: Any, dst_block: Any) -> Any:
        """Where the v-th vector of a pixel's outputs lies."""
        # A number, where it is one, leaves a shift in the loop instead of a multiplication.
        stride, lanes = self.fixed_pixel or dst_pixel, self.dot.lanes
        in_block = (v % self.per_block) * lanes
        return T.ramp(pixel * stride + (v // self.per_block) * dst_block + in_block, 1, lanes)

    def rounded(self, acc: Any, scale: Any, p: Any, v: Any) -> Any:
        lanes = self.dot.lanes
        sums = T.cast(self.dot.sums(acc, p, v, self.vectors), f"float32x{lanes}")
        return self.dot.to_integers(sums * scale[T.ramp(v * lanes, 1, lanes)])

    def four_rounded(self, acc: Any, scale: Any, first: Any, block: Any) -> list[Any]:
        """A block's outputs of the pixels that are packed at once, as they lie in memory."""
        places = [divmod(i, self.per_block) for i in range(4)]
        return [self.rounded(acc, scale, first + p, block * self.per_block + v) for p, v in places]


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


def convolution_kernel(  # noqa: C901 (three phases of loops, no decisions)
    tile: ConvolutionTile, dot: DotProduct, stored: str, stored_form: Any, fixed_pixel: int | None
) -> PrimFunc:
    """`tiles` tiles of one output row.

    The three macros are the kernel's three phases: they are put in where they are called, so the
    sums never leave the registers.
    """
    dot = dot.of_pixels if tile.in_channels == PIXEL else dot
    lay = _Layout(tile, dot, fixed_pixel)
    pixels, vectors = tile.pixels, lay.vectors
    together = dot.pixels_together if stored == "uint8" else 0
    packs = pixels // together if together else 0
    packed = packs * together

    @T.macro
    def begin(acc, bias):
        for v in T.unroll(vectors):
            for p in T.unroll(pixels):
                acc[p * vectors + v] = dot.start(bias, p, v)

    @T.macro
    def add_step(acc, src, rows, weight, sizes, first, ky, block, kx, g):
        for part in T.unroll(dot.parts):
            for p in T.unroll(pixels):
                for v in T.unroll(vectors):
                    acc[p * vectors + v] = dot.step(
                        acc[p * vectors + v],
                        src,
                        lay.source_at(rows, sizes[2], first + p, Axes(ky, block, kx, g, part)),
                        weight,
                        lay.weight_at(sizes[0], sizes[1], v, Axes(ky, block, kx, g, part)),
                        p,
                        part,
                    )

    @T.macro
    def store(acc, scale, dst, first, dst_pixel, dst_block):
        if packs > 0:
            for p in T.unroll(packs):
                for b in T.unroll(tile.out_blocks):
                    dst[
                        T.ramp((first + p * together) * BLOCK + b * dst_block, 1, 4 * dot.lanes)
                    ] = dot.to_bytes(lay.four_rounded(acc, scale, p * together, b))
        for p in T.unroll(pixels - packed):
            for v in T.unroll(vectors):
                dst[lay.output_at(first + packed + p, v, dst_pixel, dst_block)] = stored_form(
                    lay.rounded(acc, scale, packed + p, v)
                )

    @T.prim_func(s_tir=True, private=True)
    def kernel(
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
        acc = T.alloc_buffer((pixels * vectors,), f"int32x{dot.lanes}", scope="local")
        for t in T.serial(tiles):
            begin(acc, bias)
            for ky in T.serial(T.max(window_h, 1)):
                for block in T.serial(lay.blocks(in_groups)):
                    for kx in T.serial(T.max(window_w, 1)):
                        for g in T.serial(lay.steps(in_groups, block)):
                            add_step(
                                acc, src, rows, weight, (in_groups, window_w, in_stride),
                                t * pixels, ky, block, kx, g,
                            )  # fmt: skip
            store(acc, scale, dst, t * pixels, dst_pixel, dst_block)

    return kernel
