"""What a phone can do in the time of a frame, and what a network asks of it.

All numbers of phones are estimates (devices.json): nothing of this ran on a phone.
"""

import json
import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from player.costs import anchor_macs_per_pixel
from player.package.architecture import Architecture
from player.package.paths import BICUBIC
from sr.usage_error import UsageError

CLASSES = ("cpu", "npu", "none")
DEFAULT_CLASS = "cpu"
_SCHEMA = "pocketsr.devices/1"
_GROUP, _BLOCK = 4, 16  # channels that a kernel takes together: inputs and outputs


@dataclass(frozen=True)
class Device:
    """A phone, or the part of one that runs the network; estimated, int8."""

    name: str
    kind: str
    gmacs_per_s: float

    def ms(self, macs: float) -> float:
        """Milliseconds of so many multiply-accumulates."""
        return macs / self.gmacs_per_s / 1e6


@dataclass(frozen=True)
class Budget:
    """`ms` a frame on `device`; no device: whatever it costs."""

    device: Device | None
    ms: float

    @property
    def macs(self) -> float:
        """Multiply-accumulates a frame, as `frame_price` counts them."""
        return self.ms * self.device.gmacs_per_s * 1e6 if self.device else math.inf

    def to_json(self) -> dict[str, Any]:
        """As report.json has it."""
        if self.device is None:
            return {"device": None}
        return {"device": self.device.name, "ms_a_frame": round(self.ms, 2), "estimate": True}


@cache
def devices() -> tuple[Device, ...]:
    """The shipped table."""
    return _parse((files("sr.rate") / "devices.json").read_text(encoding="utf-8"), "devices.json")


def budget_of(
    budget_class: str, frame_rate: Fraction, ms: float | None = None, table: str | None = None
) -> Budget:
    """The budget of a class: the time of a frame on its first device, unless `ms` says less.

    `table` is the name of a shipped device, or a file of one's own whose first device counts.
    Raises UsageError where there is no such device.
    """
    if budget_class == "none":
        if ms is not None or table:
            raise UsageError("--budget-class none has no time of a frame and no device: leave out "
                             "--budget-ms and --device-table")  # fmt: skip
        return Budget(None, math.inf)
    kinds = [d for d in devices() if d.kind == budget_class]
    device = _named(table) if table else kinds[0]
    if device.kind != budget_class:
        raise UsageError(f"--device-table {table}: {device.name} is no {budget_class}; give "
                         f"--budget-class {device.kind}")  # fmt: skip
    return Budget(device, ms if ms is not None else float(1000 / frame_rate))


def _named(table: str) -> Device:
    for device in devices():
        if device.name == table:
            return device
    try:
        return _parse(Path(table).read_text(encoding="utf-8"), table)[0]
    except OSError as error:
        names = ", ".join(d.name for d in devices())
        raise UsageError(
            f"--device-table {table}: neither a file nor one of {names} ({error.strerror})"
        ) from error


def _parse(text: str, name: str) -> tuple[Device, ...]:
    try:
        table = json.loads(text)
        if table["schema"] != _SCHEMA:
            raise ValueError(f"schema {table['schema']} is not {_SCHEMA}")
        found = tuple(
            Device(str(d["name"]), str(d["class"]), float(d["gmacs_per_s"]))
            for d in table["devices"]
        )
        # Not a number at all is not above 0 either.
        if not found or not all(0 < d.gmacs_per_s < math.inf for d in found):
            raise ValueError("a device without a positive gmacs_per_s, or none at all")
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"--device-table {name}: not a table of devices ({error})") from error
    return found


def path_price(arch: Architecture, path: int) -> float:
    """Multiply-accumulates of a path for an LR pixel, channels rounded up as the kernels do."""
    if path == BICUBIC:
        return anchor_macs_per_pixel(arch.scale)
    number = arch.paths.index(path)
    inputs, macs = arch.planes, 0
    for width in arch.widths[: arch.exits[number]]:
        macs += 9 * _up(inputs, _GROUP) * _up(width, _BLOCK)
        inputs = width
    macs += _up(inputs, _GROUP) * _up(3 * arch.hr_units**2, _GROUP)
    return macs / arch.units**2 + anchor_macs_per_pixel(arch.scale)


def _up(channels: int, step: int) -> int:
    return -(-channels // step) * step
