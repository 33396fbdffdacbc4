# mypy: disable-error-code="valid-type, no-untyped-def"
"""Kernels of the passes that the engine has fused away, in vector TIR like the engine's own.

They are as good as a compiler without vertical fusion could make them: whole vectors, the same
instructions. What they cannot help is that every number goes to memory and comes back.
"""

from typing import Any

from tvm.script import tirx as T
from tvm.tirx import PrimFunc

from compiler.kernels.int8 import DOT_PRODUCTS
from compiler.kernels.int8.convolution import convolution_kernel
from compiler.kernels.int8.dot import DotProduct
from compiler.kernels.tiles import ConvolutionTile, conv_table, tiles
from compiler.kernels.versions import Version
from compiler.plan.formats import PIXEL
from player.package.anchor import TAPS
from player.package.architecture import BLOCK

# Kernel -> the kind of it that unfused.h declares.
_NAMES = {
    "hidden": "requantise",
    "detail": "requantise",
    "shuffle": "shuffle",
    "down": "down",
    "add": "add",
}


def functions(version: Version) -> dict[str, PrimFunc]:
    """C name -> kernel."""
    dot, prefix = DOT_PRODUCTS[version.name], f"unfused_{version.name}"
    flat = [tile for groups in tiles(version) for shapes in groups for tile in shapes]
    found = {_sums_name(version, tile): sums_kernel(tile, dot) for tile in flat}
    found |= {
        f"{prefix}_hidden": hidden_kernel(dot),
        f"{prefix}_detail": detail_kernel(dot),
        f"{prefix}_shuffle": shuffle_kernel(),
        f"{prefix}_down": down_kernel(dot),
        f"{prefix}_add": add_kernel(dot),
    }
    return found


def table(versions: tuple[Version, ...]) -> str:
    """C text: declarations, and the array of unfused.h."""
    lines = ['#include "unfused.h"\n', *(line for v in versions for line in _declared(v))]
    lines += ["const unfused_kernels unfused_versions[] = {"]
    lines += [line for version in versions for line in _entry(version)]
    lines += ["};", f"const int32_t unfused_n_versions = {len(versions)};", ""]
    return "\n".join(lines)


def _sums_name(version: Version, tile: ConvolutionTile) -> str:
    return tile.name(version.name, "sums").replace("psr_", "unfused_")


def _sums_names(version: Version) -> list[list[list[str]]]:
    return [
        [[_sums_name(version, tile) for tile in shapes] for shapes in groups]
        for groups in tiles(version)
    ]


def _declared(version: Version) -> list[str]:
    prefix = f"unfused_{version.name}"
    sums = [name for groups in _sums_names(version) for shapes in groups for name in shapes]
    return [
        *(f"extern psr_conv_kernel {name};" for name in sums),
        *(f"extern unfused_{kind}_kernel {prefix}_{name};" for name, kind in _NAMES.items()),
    ]


def _entry(version: Version) -> list[str]:
    prefix = f"unfused_{version.name}"
    return [
        f'    {{.version = "{version.name}",',
        *conv_table("sums", _sums_names(version)),
        *(f"    .{name} = {prefix}_{name}," for name in _NAMES),
        "    },",
    ]


def sums_kernel(tile: ConvolutionTile, dot: DotProduct) -> PrimFunc:
    """The engine's convolution, whose sums leave the registers as they are."""
    dot = dot.of_pixels if tile.in_channels == PIXEL else dot
    # The epilogue rounds float32(sums) * scale: taken apart again, the sums are left.
    replaced = {"to_integers": lambda _, x: x.a.value, "of_pixels": property(lambda self: self)}
    bare = type(f"Bare{type(dot).__name__}", (type(dot),), replaced)
    return convolution_kernel(tile, bare(), "int32", lambda sums: sums, BLOCK)


def _requantised(dot: DotProduct, sums: Any, bias: Any, scale: Any, first: Any, v: int) -> Any:
    """Bias, multiplication and rounding of the v-th vector from `first` on."""
    lanes = dot.lanes
    constants = T.ramp(v * lanes % BLOCK, 1, lanes)
    biased = sums[T.ramp(first + v * lanes, 1, lanes)] + bias[constants]
    return dot.to_integers(T.cast(biased, f"float32x{lanes}") * scale[constants])


def hidden_kernel(dot: DotProduct) -> PrimFunc:
    """Sums of one block to bytes, four vectors at a time."""
    step = 4 * dot.lanes

    def quads(sums: Any, bias: Any, scale: Any, first: Any) -> list[Any]:
        return [_requantised(dot, sums, bias, scale, first, v) for v in range(4)]

    @T.prim_func(s_tir=True, private=True)
    def kernel(
        sums_data: T.handle("int32"),
        bias_data: T.handle("int32"),
        scale_data: T.handle("float32"),
        dst_data: T.handle("uint8"),
        pixels: T.int32,
    ):
        sums = T.decl_buffer((1 << 30,), "int32", data=sums_data)
        bias = T.decl_buffer((BLOCK,), "int32", data=bias_data)
        scale = T.decl_buffer((BLOCK,), "float32", data=scale_data)
        dst = T.decl_buffer((1 << 30,), "uint8", data=dst_data)
        for x in T.serial((pixels * BLOCK + step - 1) // step):
            dst[T.ramp(x * step, 1, step)] = dot.to_bytes(quads(sums, bias, scale, x * step))

    return kernel


def detail_kernel(dot: DotProduct) -> PrimFunc:
    """Sums of one block to s16 in Q6."""
    lanes = dot.lanes
    low, high = (T.broadcast(T.int32(limit), lanes) for limit in (-32768, 32767))

    def clamped(rounded: Any) -> Any:
        return T.cast(T.min(T.max(rounded, low), high), f"int16x{lanes}")

    @T.prim_func(s_tir=True, private=True)
    def kernel(
        sums_data: T.handle("int32"),
        bias_data: T.handle("int32"),
        scale_data: T.handle("float32"),
        dst_data: T.handle("int16"),
        pixels: T.int32,
    ):
        sums = T.decl_buffer((1 << 30,), "int32", data=sums_data)
        bias = T.decl_buffer((BLOCK,), "int32", data=bias_data)
        scale = T.decl_buffer((BLOCK,), "float32", data=scale_data)
        dst = T.decl_buffer((1 << 30,), "int16", data=dst_data)
        for x in T.serial(pixels):
            for v in T.unroll(BLOCK // lanes):
                dst[T.ramp(x * BLOCK + v * lanes, 1, lanes)] = clamped(
                    _requantised(dot, sums, bias, scale, x * BLOCK, v)
                )

    return kernel


def shuffle_kernel() -> PrimFunc:
    """One HR row: blocks of 16 numbers, whose first `width` go side by side.

    Sixteen numbers are written for each pixel; the next one overwrites what was too many.
    """

    @T.prim_func(s_tir=True, private=True)
    def kernel(
        src_data: T.handle("int16"), dst_data: T.handle("int16"), width: T.int32, pixels: T.int32
    ):
        src = T.decl_buffer((1 << 30,), "int16", data=src_data)
        dst = T.decl_buffer((1 << 30,), "int16", data=dst_data)
        for x in T.serial(pixels):
            dst[T.ramp(x * width, 1, BLOCK)] = src[T.ramp(x * BLOCK, 1, BLOCK)]

    return kernel


def down_kernel(dot: DotProduct) -> PrimFunc:
    """The vertical half of the bicubic kernel: one HR row in Q6."""
    lanes = 2 * dot.lanes

    def summed(anchor: Any, rows: Any, taps: Any, x: Any) -> Any:
        products = [
            dot.mulhrs(
                anchor[T.ramp(rows[k] + x * lanes, 1, lanes)], T.broadcast(taps[k], lanes), lanes
            )
            for k in range(TAPS)
        ]
        return sum(products[1:], start=products[0])

    @T.prim_func(s_tir=True, private=True)
    def kernel(
        anchor_data: T.handle("int16"),
        rows_data: T.handle("int32"),
        taps_data: T.handle("int16"),
        dst_data: T.handle("int16"),
        values: T.int32,
    ):
        anchor = T.decl_buffer((1 << 30,), "int16", data=anchor_data)
        rows = T.decl_buffer((TAPS,), "int32", data=rows_data)
        taps = T.decl_buffer((TAPS,), "int16", data=taps_data)
        dst = T.decl_buffer((1 << 30,), "int16", data=dst_data)
        for x in T.serial((values + lanes - 1) // lanes):
            dst[T.ramp(x * lanes, 1, lanes)] = summed(anchor, rows, taps, x)

    return kernel


def add_kernel(dot: DotProduct) -> PrimFunc:
    """Saturating, like the engine's: what it cuts off is clamped anyway."""
    lanes = 2 * dot.lanes

    @T.prim_func(s_tir=True, private=True)
    def kernel(
        a_data: T.handle("int16"),
        b_data: T.handle("int16"),
        dst_data: T.handle("int16"),
        values: T.int32,
    ):
        a = T.decl_buffer((1 << 30,), "int16", data=a_data)
        b = T.decl_buffer((1 << 30,), "int16", data=b_data)
        dst = T.decl_buffer((1 << 30,), "int16", data=dst_data)
        for x in T.serial((values + lanes - 1) // lanes):
            dst[T.ramp(x * lanes, 1, lanes)] = dot.add_saturated(
                a[T.ramp(x * lanes, 1, lanes)], b[T.ramp(x * lanes, 1, lanes)], lanes
            )

    return kernel
