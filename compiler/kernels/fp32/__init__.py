"""fp32 kernels of a version: their TIR, and the C table of runtime/fp32/kernels.h."""

from tvm.tirx import PrimFunc

from compiler.kernels.c_text import c_numbers, conv_table, version_table
from compiler.kernels.fp32.convolution import PIXEL, ConvolutionTile, convolution_kernel
from compiler.kernels.fp32.rows import (
    load_kernel,
    store_anchor_kernel,
    store_residual_kernel,
    store_sum_kernel,
)
from compiler.kernels.versions import Version
from player.package.anchor import TAPS, phase_taps
from player.package.architecture import BLOCK

_SCALES = (2, 3, 4)


def tiles(version: Version) -> list[list[list[ConvolutionTile]]]:
    """Every kernel that a row of any convolution may need: by input, outputs and pixels."""
    blocks = range(1, version.tile.blocks + 1)
    return [
        [[ConvolutionTile(source, b, pixels) for pixels in version.tile.pixels] for b in blocks]
        for source in (PIXEL, BLOCK)
    ]


def functions(version: Version) -> dict[str, PrimFunc]:
    """C name -> kernel."""
    flat = [tile for groups in tiles(version) for shapes in groups for tile in shapes]
    convolutions = {t.name(version.name): convolution_kernel(t, version.lanes) for t in flat}
    prefix = f"psr_{version.name}"
    return convolutions | {
        f"{prefix}_load": load_kernel(),
        f"{prefix}_store_sum": store_sum_kernel(version.lanes),
        f"{prefix}_store_anchor": store_anchor_kernel(version.lanes),
        f"{prefix}_store_residual": store_residual_kernel(version.lanes),
    }


def table(version: Version) -> list[str]:
    """C text: declarations of the kernels, and the version that holds them."""
    prefix = f"psr_{version.name}"
    names = [[[t.name(version.name) for t in g] for g in groups] for groups in tiles(version)]
    ends = ("load", "store_sum", "store_anchor", "store_residual")
    flat = [name for groups in names for shapes in groups for name in shapes]
    return [
        *(f"extern psr_conv_kernel {name};" for name in flat),
        *(f"extern psr_{end}_kernel {prefix}_{end};" for end in ends),
        *version_table(
            version.name,
            [
                f'    .name = "{version.name}",',
                f"    .needs = {version.c_needs},",
                f"    .group_blocks = {version.tile.blocks},",
                f"    .tile_pixels = {{{c_numbers(version.tile.pixels)}}},",
                *conv_table("conv", names),
                *(f"    .{end} = {prefix}_{end}," for end in ends),
            ],
        ),
    ]


def constants() -> list[str]:
    """C text: psr_bicubic_taps[scale][phase][tap]."""
    rows = [
        f"    [{scale}][{phase}] = {{{', '.join(f'{t:.9e}f' for t in taps)}}},"
        for scale in _SCALES
        for phase, taps in enumerate(phase_taps(scale))
    ]
    return [f"const float psr_bicubic_taps[5][4][{TAPS}] = {{", *rows, "};"]
