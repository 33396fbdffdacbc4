"""The latency table: nanoseconds an LR pixel for each layer, by its widths; what a frame takes.

    ms = ( fixed px + first[b0] px0 + sum conv[g, b] px_i + exit[g] px ) / 10^6

with px_i the pixels that layer i really computes. Only sums over a whole path can be
measured: how `first`, `convolution` and `exit` share what they have in common is a convention of
the fit (`sr.latency.fit`). Widths count in the kernels' steps:

    out = 16: one block of outputs       in = 4: one group of inputs
    a 3x3 layer 20 -> 36 costs what 20 -> 48 costs: 5 groups, 3 blocks

Time is counted for the LR pixels that are really computed. Convolutions do not pad, so layer i of D
computes D - 1 - i pixels more on each side than the frame has; and a frame whose rings of rows
would leave the cache is cut into columns, whose margins are computed twice (`cuts_of` in
compiler/runtime/frame.c, for one thread).
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from player.package.architecture import BLOCK, GROUP, Architecture
from player.package.paths import BICUBIC

SCHEMA = "pocketsr.latency/1"
MS = 1e-6  # a nanosecond
MAX_ENTRIES = 64  # of groups or blocks: widths up to 256
_TEXTS = ("target", "dtype", "isa", "processor", "version", "utc")
_COUNTS = ("scale", "threads", "height_px", "width_px")
FAMILY = "chain"
_LEAST_COLUMNS, _MOST_COLUMNS = 64, 1024
_UNIT = 4  # PSR_UNIT: columns begin at its multiples
_RING = 3  # rows of a value that a 3x3 layer reads


"""The one error of latency tables."""


class LatencyError(Exception):
    """A table cannot be had, read or asked: what, where, what to do, in one line."""

    exit_code = 2


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


@dataclass(frozen=True)
class Machine:
    """Where, when and how a table was measured. `version`: of PocketSR. `utc`: ISO 8601.

    `height_px`, `width_px`: the LR frame. `threads` is 1: the pixels are counted for one.
    """

    target: str
    dtype: str
    isa: str
    processor: str
    version: str
    utc: str
    scale: int
    threads: int
    height_px: int
    width_px: int

    @property
    def frame_px(self) -> int:
        return self.height_px * self.width_px


@dataclass(frozen=True)
class LatencyTable:
    """What layers cost on one machine, nanoseconds an LR pixel.

    `fixed_ns`: load, anchor and store (the bicubic path). `first_ns` [blocks]: 3 -> width.
    `convolution_ns` [groups][blocks]: 3x3, width -> width. `exit_ns` [groups]: 1x1, width -> 3 r^2.
    """

    machine: Machine
    cache: Cache
    fixed_ns: float
    first_ns: tuple[float, ...]
    convolution_ns: tuple[tuple[float, ...], ...]
    exit_ns: tuple[float, ...]

    @property
    def widest(self) -> int:
        """The widest layer that the table knows."""
        return min(GROUP * len(self.convolution_ns), BLOCK * len(self.first_ns))

    @property
    def width_step(self) -> int:
        """The step of output widths that the kernels like: what is between costs the next one."""
        return BLOCK

    def first(self, out: int) -> float:
        """Nanoseconds a pixel of the first convolution, 3 -> `out`."""
        self._check(out)
        return self.first_ns[blocks_of(out) - 1]

    def convolution(self, inp: int, out: int) -> float:
        """Nanoseconds a pixel of a 3x3 convolution `inp` -> `out`."""
        self._check(inp, out)
        return self.convolution_ns[groups_of(inp) - 1][blocks_of(out) - 1]

    def exit(self, inp: int) -> float:
        """Nanoseconds a pixel of an exit, `inp` -> 3 r^2."""
        self._check(inp)
        return self.exit_ns[groups_of(inp) - 1]

    def predict_ms(self, arch: Architecture, path: int, height: int, width: int) -> float:
        """Milliseconds of the engine for a frame of height x width LR pixels, all on one path.

        Raises LatencyError for a network or path that the table does not know.
        """
        if arch.scale != self.machine.scale:
            raise LatencyError(
                f"latency: the table is of scale {self.machine.scale}, the network of {arch.scale}"
            )
        if path == BICUBIC:
            return self.fixed_ns * height * width * MS
        self._check(*path_widths(arch, path))
        return self.path_ns(path_work(arch, path, (height, width), self.cache)) * MS

    def path_ns(self, work: PathWork) -> float:
        """Nanoseconds of a path's work."""
        total = (self.fixed_ns + self.exit_ns[work.exit_groups - 1]) * work.frame_px
        for layer in work.trunk:
            row = self.convolution_ns[layer.groups - 1] if layer.groups else self.first_ns
            total += row[layer.blocks - 1] * layer.pixels
        return total

    def to_json(self) -> str:
        """The table as JSON text; `parse_table` is the inverse."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1) + "\n"

    def _check(self, *widths: int) -> None:
        if not 1 <= min(widths) <= max(widths) <= self.widest:
            raise LatencyError(
                f"latency: widths {widths} are not all within the table's 1..{self.widest}; "
                f"measure one with --widest {max(widths)}"
            )


def parse_table(text: str | bytes, where: str = "latency table") -> LatencyTable:
    """The table of a JSON text; raises LatencyError, naming `where`, for anything else."""
    try:
        fields = json.loads(text)
        if fields["schema"] != SCHEMA:
            raise ValueError(f"schema {fields['schema']!r}, not {SCHEMA}")
        rows = tuple(_numbers(row) for row in fields["convolution_ns"])
        first, exits = _numbers(fields["first_ns"]), _numbers(fields["exit_ns"])
        if len(rows) != len(exits) or any(len(row) != len(first) for row in rows):
            raise ValueError("its rows are of different lengths")
        cache = Cache(**{name: _count(value) for name, value in fields["cache"].items()})
        fixed = _numbers([fields["fixed_ns"]])[0]
        return LatencyTable(_machine_of(fields["machine"]), cache, fixed, first, rows, exits)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise LatencyError(
            f"{where}: not a latency table ({error}); make it again by `python -m "
            "benchmarks.latency_table`"
        ) from error


def _machine_of(fields: dict[str, Any]) -> Machine:
    texts: dict[str, Any] = {name: fields[name] for name in _TEXTS}
    for value in texts.values():
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is not a text")
    counts: dict[str, Any] = {name: _count(fields[name]) for name in _COUNTS}
    return Machine(**texts, **counts)


def _count(value: object) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"{value!r} is not a count")
    return value


def _numbers(values: Any) -> tuple[float, ...]:
    if not isinstance(values, list):
        raise ValueError(f"{values!r} is not a list")
    numbers = tuple(float(value) for value in values)
    if not 1 <= len(numbers) <= MAX_ENTRIES:
        raise ValueError(f"{len(numbers)} entries, not 1..{MAX_ENTRIES}")
    if not all(math.isfinite(n) and n >= 0 for n in numbers):
        raise ValueError("an entry is negative or not finite")
    return numbers
