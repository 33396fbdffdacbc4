"""The architecture of a network: what fixes its shape, and the layout of its tensors.

chain   trunk.0 .. trunk.D-1 (3x3, ReLU) -> up to four exits (1x1 to 3 (r u)^2 channels)
espcn   trunk (3x3, ReLU) -> tail (3x3 to 3 r^2 channels)
wdsr    head, blocks of expand and project, tail, and a 5x5 skip

A chain sees *units* of u x u LR pixels as one place with 3 u^2 planes, ordered (colour, dy, dx),
and makes r u x r u HR pixels of each. A filter at scale 1 on units of 2 x 2 costs a quarter of the
same layers on single pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.package.anchor import anchor_reach
from player.package.limits import MAX_BLOCKS, MAX_DEPTH, MAX_EXITS, MAX_UNITS, MAX_WIDTH
from player.package.package_error import PackageError
from player.package.paths import BICUBIC, PATHS_OF_EXITS
from player.package.scale import SCALES, Scale, scale_number

# As in the headers of blobs that are out there: a number is never given again.
ARCHITECTURE_IDS = {"chain": 1, "espcn": 2, "wdsr": 3}
INT8_ARCHITECTURES = ("chain", "espcn")  # every hidden value is after a ReLU
# The kernels store channels in blocks and read them in groups: other widths cost the next one's.
BLOCK, GROUP = 16, 4

Tensors = Mapping[str, NDArray[Any]]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Architecture:
    """What fixes a network's shape: its family and a few small numbers.

    `widths` are the output channels of the trunk's convolutions (chain, espcn), or
    (units, expanded units, blocks) for wdsr. `exits` are the trunk depths after which a path
    leaves, shallow to deep; a static network has one. `units` is u, the side of a unit.
    """

    name: str
    scale: Scale
    widths: tuple[int, ...]
    exits: tuple[int, ...]
    units: int = 1

    def __post_init__(self) -> None:
        """Raises PackageError where a number is outside its limit."""
        if self.name not in ARCHITECTURE_IDS:
            known = ", ".join(ARCHITECTURE_IDS)
            raise PackageError(f"unknown architecture {self.name!r}: this version knows {known}")
        _check_units(self)
        _check_widths(self)
        _check_exits(self)

    @property
    def paths(self) -> tuple[int, ...]:
        """The paths that need the network, shallow to deep: (easy, hard), or hard alone."""
        return PATHS_OF_EXITS[len(self.exits)]

    @property
    def planes(self) -> int:
        """Of a unit, as the first convolution sees it."""
        return 3 * self.units**2

    @property
    def hr_units(self) -> int:
        """r u: HR pixels on a side of what a unit becomes."""
        return int(self.scale * self.units)

    def depth(self, path: int) -> int:
        """Convolutions of the trunk that a path runs."""
        return self.exits[self.paths.index(path)]

    def source_of(self, convolution: int) -> int | None:
        """The convolution, by its place in the payload, whose output another reads; None: pixels.

        Of a chain or espcn.
        """
        depth = len(self.widths)
        read = convolution if convolution < depth else self.exits[convolution - depth]
        return read - 1 if read else None

    def halo_px(self, path: int) -> int:
        """Context that a path reads on every side, in LR pixels: whole units."""
        reach = anchor_reach(self.scale, self.units)
        if path == BICUBIC:
            return self.units * reach
        if self.name == "wdsr":
            # Head and tail, and two convolutions a block.
            return 2 * self.widths[2] + 2
        if self.name == "espcn":
            return len(self.widths) + 1
        return self.units * max(self.depth(path), reach)


@dataclass(frozen=True)
class TensorSpec:
    """A tensor of the deployed network: its name in the exported program, and its shape."""

    name: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))


def _check_units(arch: Architecture) -> None:
    if arch.scale not in SCALES or not 1 <= arch.units <= MAX_UNITS:
        raise PackageError(
            f"architecture {arch.name}: scale {arch.scale} on units of {arch.units} px is not of "
            f"1, 1.5, 2, 3, 4 on 1..{MAX_UNITS}"
        )
    if (arch.scale * arch.units).denominator != 1:
        raise PackageError(
            f"architecture {arch.name}: scale {scale_number(arch.scale)} makes no whole pixels of "
            f"units of {arch.units} px; use units of 2"
        )
    if arch.name != "chain" and (arch.units != 1 or arch.scale not in (2, 3, 4)):
        raise PackageError(f"architecture {arch.name}: only scales 2, 3, 4 on single pixels")


def _check_widths(arch: Architecture) -> None:
    if not 1 <= len(arch.widths) <= MAX_DEPTH:
        raise PackageError(
            f"architecture {arch.name}: depth {len(arch.widths)} is not in 1..{MAX_DEPTH}"
        )
    # The third number of wdsr counts its blocks, and is no width.
    channels = arch.widths[:2] if arch.name == "wdsr" else arch.widths
    if any(w % GROUP or not GROUP <= w <= MAX_WIDTH for w in channels):
        raise PackageError(
            f"architecture {arch.name}: widths {channels} are not multiples of 4 in 4..{MAX_WIDTH}"
        )
    if arch.name == "wdsr" and (len(arch.widths) != 3 or not 1 <= arch.widths[2] <= MAX_BLOCKS):
        raise PackageError("architecture wdsr: widths are (units, expanded, blocks 1..32)")


def _check_exits(arch: Architecture) -> None:
    deepest = arch.widths[2] if arch.name == "wdsr" else len(arch.widths)
    rising = tuple(sorted(set(arch.exits))) == arch.exits
    most = MAX_EXITS if arch.name == "chain" else 1
    if not (1 <= len(arch.exits) <= most and rising and arch.exits[0] >= 1):
        raise PackageError(f"architecture {arch.name}: exits {arch.exits} are not rising depths")
    # Convolutions behind the last exit would be shipped, and never run.
    if arch.exits[-1] != deepest:
        raise PackageError(f"architecture {arch.name}: the last exit is not the depth {deepest}")


def convolutions(arch: Architecture) -> tuple[tuple[str, Shape], ...]:
    """The name and the weight's shape [O, I, k, k] of each convolution, in the payload's order."""
    # Of each unit its HR pixels in three colours, as the pixel shuffle takes them.
    out, planes = 3 * arch.hr_units**2, arch.planes
    if arch.name == "wdsr":
        units, expanded, blocks = arch.widths
        body: list[tuple[str, Shape]] = []
        for i in range(blocks):
            body.append((f"blocks.{i}.expand", (expanded, units, 3, 3)))
            body.append((f"blocks.{i}.project", (units, expanded, 3, 3)))
        ends = [("tail", (out, units, 3, 3)), ("skip", (out, planes, 5, 5))]
        return (("head", (units, planes, 3, 3)), *body, *ends)
    inputs = (planes, *arch.widths)
    trunk = [(f"trunk.{i}", (w, inputs[i], 3, 3)) for i, w in enumerate(arch.widths)]
    if arch.name == "espcn":
        return (*trunk, ("tail", (out, arch.widths[-1], 3, 3)))
    # inputs[0] are the pixels, so that inputs[d] is what d convolutions have made.
    leaves = [(f"exits.{i}", (out, inputs[depth], 1, 1)) for i, depth in enumerate(arch.exits)]
    return (*trunk, *leaves)


def tensor_layout(arch: Architecture) -> tuple[TensorSpec, ...]:
    """The tensors of the deployed network, in the order of the payload: weight, bias, weight ..."""
    pairs = (
        (TensorSpec(f"{name}.weight", shape), TensorSpec(f"{name}.bias", shape[:1]))
        for name, shape in convolutions(arch)
    )
    return tuple(spec for pair in pairs for spec in pair)


def check_int8(arch: Architecture) -> None:
    """Raises PackageError where an architecture has no int8 form."""
    if arch.name not in INT8_ARCHITECTURES:
        raise PackageError(
            f"weights: {arch.name} has no int8 form, because not all of its hidden values come "
            f"after a ReLU ({', '.join(INT8_ARCHITECTURES)} have one); use f16 weights"
        )
