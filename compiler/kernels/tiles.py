"""A version's convolution kernels, one a tile, and the C tables that both formats make of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from compiler.kernels.versions import Version
from player.package.architecture import BLOCK

PIXEL = 4  # numbers of an input pixel: red, green, blue, and one that is not read
SCALES = (2, 3, 4)


@dataclass(frozen=True)
class ConvolutionTile:
    """The shape of one kernel: the part of a convolution that the schedule decides."""

    in_channels: int
    out_blocks: int
    pixels: int

    def name(self, version: str, kind: str) -> str:
        return f"psr_{version}_{kind}_i{self.in_channels}_o{self.out_blocks}_p{self.pixels}"


def tiles(version: Version) -> list[list[list[ConvolutionTile]]]:
    """Every kernel that a row of any convolution may need: by input, outputs and pixels."""
    blocks = range(1, version.tile.blocks + 1)
    return [
        [[ConvolutionTile(source, b, pixels) for pixels in version.tile.pixels] for b in blocks]
        for source in (PIXEL, BLOCK)
    ]


def c_numbers(values: Iterable[int]) -> str:
    """1, 2, 3."""
    return ", ".join(str(v) for v in values)


def conv_table(field: str, names: Sequence[Sequence[Sequence[str]]]) -> list[str]:
    """names[RGB or blocks][blocks of output - 1][shape of tile] as a designated initialiser."""
    rows = [
        f"        [{source}][{blocks}] = {{{', '.join(shapes)}}},"
        for source, groups in enumerate(names)
        for blocks, shapes in enumerate(groups)
    ]
    return [f"    .{field} = {{", *rows, "    },"]


def version_table(version: Version, fields: Sequence[str]) -> list[str]:
    """The definition of psr_version_NAME."""
    return [
        f"static const psr_version psr_version_{version.name} = {{",
        f'    .name = "{version.name}",',
        f"    .needs = {' | '.join(f'PSR_CPU_{name}' for name in version.needs) or '0'},",
        f"    .group_blocks = {version.tile.blocks},",
        *fields,
        "};",
    ]
