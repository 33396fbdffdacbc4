"""The C file that ties an engine together: its networks, its kernels, its constants."""

import json
from collections.abc import Mapping, Sequence

from compiler.emit import PlannedNetwork, c_numbers
from compiler.kernels import ConvolutionTile, convolution_tiles
from compiler.targets import Target
from player.package.anchor import TAPS, phase_taps

_SCALES = (2, 3, 4)


def emit_engine(
    networks: Sequence[PlannedNetwork], target: Target, info: Mapping[str, object]
) -> str:
    """Definitions of everything that runtime/internal.h declares as generated."""
    tiles = convolution_tiles(target)
    archs = ", ".join(f"&{n.symbol}" for n in networks)
    text = json.dumps(json.dumps(info, sort_keys=True))
    lines = [
        '#include "internal.h"\n',
        *(f"extern const psr_arch {n.symbol};" for n in networks),
        *(f"extern psr_conv_kernel {t.name};" for t in tiles),
        f"\nconst psr_arch *const psr_archs[] = {{{archs}}};",
        f"const int32_t psr_n_archs = {len(networks)};",
        f"const int32_t psr_tile_pixels[PSR_TILE_SHAPES] = {{{c_numbers(target.tile.pixels)}}};",
        f"const int32_t psr_group_blocks = {target.tile.blocks};",
        f"const int32_t psr_cache_bytes = {target.cache_bytes};",
        f"const char psr_info[] = {text};",
        *_kernel_table(tiles, target),
        *_taps_table(),
        "",
    ]
    return "\n".join(lines)


def _kernel_table(tiles: list[ConvolutionTile], target: Target) -> list[str]:
    """psr_conv_kernels[RGB or blocks][blocks of output - 1][shape]."""
    rows = []
    for source, in_channels in enumerate(sorted({t.in_channels for t in tiles})):
        for blocks in range(1, target.tile.blocks + 1):
            group = [t for t in tiles if (t.in_channels, t.out_blocks) == (in_channels, blocks)]
            rows.append(f"    [{source}][{blocks - 1}] = {{{', '.join(t.name for t in group)}}},")
    return ["psr_conv_kernel *const psr_conv_kernels[2][2][PSR_TILE_SHAPES] = {", *rows, "};"]


def _taps_table() -> list[str]:
    """psr_bicubic_taps[scale][phase][tap]."""
    rows = [
        f"    [{scale}][{phase}] = {{{', '.join(f'{t:.9e}f' for t in taps)}}},"
        for scale in _SCALES
        for phase, taps in enumerate(phase_taps(scale))
    ]
    return [f"const float psr_bicubic_taps[5][4][{TAPS}] = {{", *rows, "};"]
