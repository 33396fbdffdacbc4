"""What the engine computes for a path of a chain: each layer's pixels, in the kernels' steps.

    out = 16: one block of outputs       in = 4: one group of inputs
    a 3x3 layer 20 -> 36 costs what 20 -> 48 costs: 5 groups, 3 blocks

Time is counted for the LR pixels that are really computed. Convolutions do not pad, so layer i of D
computes D - 1 - i pixels more on each side than the frame has; and a frame whose rings of rows
would leave the cache is cut into columns, whose margins are computed twice (`cuts_of` in
compiler/runtime/frame.c, for one thread).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from player.package.architecture import BLOCK, GROUP, Architecture
from sr.latency.latency_error import LatencyError

FAMILY = "chain"
_LEAST_COLUMNS, _MOST_COLUMNS = 64, 1024
_UNIT = 4  # PSR_UNIT: columns begin at its multiples
_RING = 3  # rows of a value that a 3x3 layer reads


@dataclass(frozen=True)
class Cache:
    """What decides how a frame is cut into columns.

    `cache_bytes`: a tile's working set (compiler.targets). `column_bytes`: of a column of the
    arena, beside the trunk's rings: image, anchor and detail. `value_bytes`: of one activation.
    """

    cache_bytes: int
    column_bytes: int
    value_bytes: int


@dataclass(frozen=True)
class Layer:
    """A 3x3 convolution of the trunk: its widths in the kernels' steps, and the pixels it makes.

    `groups` is 0 for the first one, which reads the image.
    """

    groups: int
    blocks: int
    pixels: int


@dataclass(frozen=True)
class PathWork:
    """Everything that a path computes for a frame."""

    trunk: tuple[Layer, ...]
    exit_groups: int
    frame_px: int


def path_widths(arch: Architecture, path: int) -> tuple[int, ...]:
    """The widths of the trunk that a path runs; raises LatencyError where there is none such."""
    if arch.name != FAMILY:
        raise LatencyError(f"latency: {arch.name} has no table, only {FAMILY} networks have one")
    if path not in arch.paths:
        raise LatencyError(f"latency: the network has no path {path}; it has {arch.paths}")
    return arch.widths[: arch.exits[arch.paths.index(path)]]


def path_work(arch: Architecture, path: int, size: tuple[int, int], cache: Cache) -> PathWork:
    """What a path computes for a whole frame of `size` (height, width) LR pixels.

    Raises LatencyError for another family than chain, and for a path that the network has not.
    """
    widths = path_widths(arch, path)
    columns = cut_columns(size[1], arena_column_bytes(widths, cache), cache.cache_bytes)
    inputs = (0, *(groups_of(width) for width in widths))
    margins = range(len(widths) - 1, -1, -1)
    trunk = tuple(
        Layer(groups, blocks_of(width), _pixels(size[0], columns, margin))
        for groups, width, margin in zip(inputs, widths, margins, strict=False)
    )
    return PathWork(trunk, inputs[-1], size[0] * size[1])


def groups_of(width: int) -> int:
    """Groups of input channels, rounded up."""
    return -(-width // GROUP)


def blocks_of(width: int) -> int:
    """Blocks of output channels, rounded up."""
    return -(-width // BLOCK)


def arena_column_bytes(widths: Sequence[int], cache: Cache) -> int:
    """Bytes of an arena's column: a ring of rows for each value, one row for the last."""
    channels = [BLOCK * blocks_of(width) for width in widths]
    return cache.column_bytes + cache.value_bytes * (_RING * sum(channels[:-1]) + channels[-1])


def cut_columns(width: int, column_bytes: int, cache_bytes: int) -> tuple[int, ...]:
    """The widths of the tiles that a frame of `width` pixels is cut into."""
    most = min(max(cache_bytes // column_bytes, _LEAST_COLUMNS), _MOST_COLUMNS)
    parts = -(-width // most)
    starts = [width * j // parts // _UNIT * _UNIT for j in range(parts)]
    return tuple(b - a for a, b in zip(starts, [*starts[1:], width], strict=True))


def _pixels(height: int, columns: Sequence[int], margin: int) -> int:
    return (height + 2 * margin) * sum(width + 2 * margin for width in columns)
