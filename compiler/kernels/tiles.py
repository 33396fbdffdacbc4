"""A version's convolution kernels, one a tile, and the C tables that both formats make of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from numpy.typing import NDArray

from compiler.kernels.versions import Version
from compiler.plan.formats import PIXEL
from player.package.anchor import TAPS
from player.package.architecture import BLOCK
from player.package.scale import Scale

UNITS = (1, 2, 3)
# Scales with a bicubic anchor by their place in the C tables; at scale 1 the anchor is LR itself.
ANCHOR_SLOTS: dict[int, Scale] = {1: Fraction(3, 2), 2: 2, 3: 3, 4: 4}


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
        [
            [ConvolutionTile(source, b, pixels) for pixels in version.tile.pixels_of(b)]
            for b in blocks
        ]
        for source in (PIXEL, BLOCK)
    ]


def tile_pixels(version: Version) -> str:
    """C: the pixel counts of the kernels, by blocks of output."""
    blocks = range(1, version.tile.blocks + 1)
    return ", ".join(f"{{{c_numbers(version.tile.pixels_of(b))}}}" for b in blocks)


# Kernels of the store by whether they take an anchor, and a detail.
STORES = {"store_sum": (True, True), "store_anchor": (True, False), "store_detail": (False, True)}


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


def anchor_taps(values: Mapping[int, tuple[NDArray[Any], NDArray[Any]]], c_type: str) -> list[str]:
    """psr_taps_across[slot][tap][lane] and psr_taps_down[slot][phase][tap], by slot [p, 5] each.

    Across, lane j is value j of a group's [phase][colour]; what lies behind them is not read.
    """
    across, down = [], []
    for slot, (horizontal, vertical) in values.items():
        lanes = [min(j // 3, len(horizontal) - 1) for j in range(BLOCK)]
        numbers = [horizontal[phase, k] for k in range(TAPS) for phase in lanes]
        across.append(f"    [{slot}] = {{{c_numbers(numbers)}}},")
        down += [f"    [{slot}][{d}] = {{{c_numbers(t)}}}," for d, t in enumerate(vertical)]
    return [
        f"const {c_type} psr_taps_across[5][{TAPS * BLOCK}] = {{",
        *across,
        "};",
        f"const {c_type} psr_taps_down[5][4][{TAPS}] = {{",
        *down,
        "};",
    ]


def end_table(prefix: str) -> tuple[list[str], list[str]]:
    """C text: declarations of the kernels at the two ends of a path, and their entries of a
    version: the same names in both formats."""
    loads = {units - 1: f"{prefix}_load_u{units}" for units in UNITS}
    anchors = {slot: f"{prefix}_anchor_{slot}" for slot in ANCHOR_SLOTS}
    declared = [
        *(f"extern psr_load_kernel {name};" for name in loads.values()),
        *(f"extern psr_anchor_kernel {name};" for name in anchors.values()),
        *(f"extern psr_store_kernel {prefix}_{name};" for name in STORES),
        f"extern psr_identity_kernel {prefix}_store_identity;",
    ]
    tables = {"load": loads, "anchor": anchors}
    entries = [
        f"    .{field} = {{{', '.join(f'[{i}] = {name}' for i, name in names.items())}}},"
        for field, names in tables.items()
    ]
    entries += [f"    .{name} = {prefix}_{name}," for name in (*STORES, "store_identity")]
    return declared, entries
