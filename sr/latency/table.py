"""The latency table: nanoseconds an LR pixel for each layer, by its widths; what a frame takes.

    ms = ( fixed px + first[b0] px0 + sum conv[g, b] px_i + exit[g] px ) / 10^6

with px_i the pixels that layer i really computes (`sr.latency.work`). Only sums over a whole path
can be measured: how `first`, `convolution` and `exit` share what they have in common is a
convention of the fit (`sr.latency.fit`).
"""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from player.package.architecture import BLOCK, GROUP, Architecture
from player.package.paths import BICUBIC
from sr.latency.latency_error import LatencyError
from sr.latency.work import Cache, PathWork, blocks_of, groups_of, path_widths, path_work

SCHEMA = "pocketsr.latency/1"
MS = 1e-6  # a nanosecond
MAX_ENTRIES = 64  # of groups or blocks: widths up to 256
_TEXTS = ("target", "dtype", "isa", "processor", "version", "utc")
_COUNTS = ("scale", "threads", "height_px", "width_px")


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
        return _table_of(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise LatencyError(
            f"{where}: not a latency table ({error}); make it again by `python -m "
            "benchmarks.latency_table`"
        ) from error


def _table_of(fields: dict[str, Any]) -> LatencyTable:
    if fields["schema"] != SCHEMA:
        raise ValueError(f"schema {fields['schema']!r}, not {SCHEMA}")
    rows = tuple(_numbers(row) for row in fields["convolution_ns"])
    first, exits = _numbers(fields["first_ns"]), _numbers(fields["exit_ns"])
    if len(rows) != len(exits) or any(len(row) != len(first) for row in rows):
        raise ValueError("its rows are of different lengths")
    return LatencyTable(
        machine=_machine_of(fields["machine"]),
        cache=Cache(**{name: _count(value) for name, value in fields["cache"].items()}),
        fixed_ns=_numbers([fields["fixed_ns"]])[0],
        first_ns=first,
        convolution_ns=rows,
        exit_ns=exits,
    )


def _machine_of(fields: dict[str, Any]) -> Machine:
    values: dict[str, Any] = {name: _text(fields[name]) for name in _TEXTS}
    values |= {name: _count(fields[name]) for name in _COUNTS}
    return Machine(**values)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a text")
    return value


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
