"""fp32 kernels of a version: their TIR, and the C table of runtime/fp32/kernels.h."""

from tvm.tirx import PrimFunc

from compiler.kernels.fp32.convolution import convolution_kernel
from compiler.kernels.fp32.rows import (
    load_kernel,
    store_anchor_kernel,
    store_residual_kernel,
    store_sum_kernel,
)
from compiler.kernels.tiles import SCALES, c_numbers, conv_table, tiles, version_table
from compiler.kernels.versions import Version
from player.package.anchor import TAPS, phase_taps


def functions(version: Version) -> dict[str, PrimFunc]:
    """C name -> kernel."""
    prefix, lanes = f"psr_{version.name}", version.lanes
    flat = [tile for groups in tiles(version) for shapes in groups for tile in shapes]
    convolutions = {t.name(version.name, "conv"): convolution_kernel(t, lanes) for t in flat}
    return convolutions | {
        f"{prefix}_load": load_kernel(),
        f"{prefix}_store_sum": store_sum_kernel(lanes),
        f"{prefix}_store_anchor": store_anchor_kernel(lanes),
        f"{prefix}_store_residual": store_residual_kernel(lanes),
    }


def table(version: Version) -> list[str]:
    """C text: declarations of the kernels, and the version that holds them."""
    prefix = f"psr_{version.name}"
    names = [
        [[t.name(version.name, "conv") for t in g] for g in groups] for groups in tiles(version)
    ]
    ends = ("load", "store_sum", "store_anchor", "store_residual")
    flat = [name for groups in names for shapes in groups for name in shapes]
    return [
        *(f"extern psr_conv_kernel {name};" for name in flat),
        *(f"extern psr_{end}_kernel {prefix}_{end};" for end in ends),
        *version_table(
            version,
            [
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
        for scale in SCALES
        for phase, taps in enumerate(phase_taps(scale))
    ]
    return [f"const float psr_bicubic_taps[5][4][{TAPS}] = {{", *rows, "};"]
