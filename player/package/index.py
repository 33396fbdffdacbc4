"""`sr/index.json`: what the package holds, as frozen dataclasses.

The index names every file with its length and SHA-256, so that one signature over it covers the
whole package. Fields that this version does not know are ignored; a newer schema is refused.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from player.package.weights import Architecture

SCHEMA_NAME, SCHEMA_VERSION = "pocketsr.index", 1
INDEX_PATH = "sr/index.json"


@dataclass(frozen=True)
class Size:
    """A frame's size in pixels, upright."""

    width: int
    height: int


@dataclass(frozen=True)
class FileEntry:
    """One file of the package: its path relative to the package, and what it must contain."""

    file: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class WeightsEntry(FileEntry):
    """A weights blob; its place in the list is the network number of the route codes."""

    arch: Architecture


@dataclass(frozen=True)
class RoutesEntry(FileEntry):
    """The route map of the segment with number `segment` (from 0)."""

    segment: int
    frames: int


@dataclass(frozen=True)
class RouterEntry(FileEntry):
    """The router blob, which decides where a segment has no route map."""


@dataclass(frozen=True)
class SegmentEntry(FileEntry):
    """A media segment: presentation `start` and `duration` in ticks of its time base."""

    start: int
    duration: int
    frames: int


@dataclass(frozen=True)
class Index:
    """The whole of `sr/index.json` but its signature.

    `hr` is the size to show: the network's output, `scale` times `lr`, cropped at the right and
    bottom. `time_base` is the length in seconds of a tick of `segments`, `audio_time_base` of
    `audio`. `colour` holds the tags of the video (matrix, full_range, primaries, transfer).
    `version` is the PocketSR that made the package.
    """

    scale: int
    lr: Size
    hr: Size
    fine_h: int
    fine_w: int
    frames: int
    method: str
    preset: str
    time_base: Fraction
    weights: tuple[WeightsEntry, ...]
    routes: tuple[RoutesEntry, ...]
    segments: tuple[SegmentEntry, ...]
    video_init: FileEntry
    audio: tuple[SegmentEntry, ...] = ()
    audio_init: FileEntry | None = None
    audio_time_base: Fraction | None = None
    colour: Mapping[str, Any] | None = None
    version: str = ""
    router: RouterEntry | None = None

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns of fine cells over an LR frame."""
        return -(-self.lr.height // self.fine_h), -(-self.lr.width // self.fine_w)

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """Every file that the index answers for, in the order of playing."""
        inits = [f for f in (self.video_init, self.audio_init) if f is not None]
        routers = [self.router] if self.router is not None else []
        return (*inits, *self.weights, *routers, *self.routes, *self.segments, *self.audio)


def file_entry(package: Path, path: Path) -> FileEntry:
    """The entry of a file that lies in the folder `package`. Raises OSError."""
    return FileEntry(path.relative_to(package).as_posix(), *digest(path))


def digest(path: Path) -> tuple[str, int]:
    """SHA-256 (hex) and length in bytes of a file, read in pieces. Raises OSError."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return sha256, file.tell()


def index_to_json(index: Index) -> dict[str, Any]:
    """The JSON object of an index, without a signature."""
    return {
        "schema": f"{SCHEMA_NAME}/{SCHEMA_VERSION}",
        "version": index.version,
        "scale": index.scale,
        "lr": {"width": index.lr.width, "height": index.lr.height},
        "hr": {"width": index.hr.width, "height": index.hr.height},
        "grid": {"fine_h": index.fine_h, "fine_w": index.fine_w},
        "frames": index.frames,
        "method": index.method,
        "preset": index.preset,
        "time_base": list(index.time_base.as_integer_ratio()),
        "weights": [_weights_json(w) for w in index.weights],
        "routes": [vars(r) for r in index.routes],
        "router": vars(index.router) if index.router else None,
        "segments": [vars(s) for s in index.segments],
        "video_init": vars(index.video_init),
        "audio": [vars(s) for s in index.audio],
        "audio_init": vars(index.audio_init) if index.audio_init else None,
        "audio_time_base": _ratio(index.audio_time_base),
        "colour": dict(index.colour or {}),
    }


def _ratio(value: Fraction | None) -> list[int] | None:
    return list(value.as_integer_ratio()) if value is not None else None


def _weights_json(entry: WeightsEntry) -> dict[str, Any]:
    arch = {**vars(entry.arch), "widths": [*entry.arch.widths], "exits": [*entry.arch.exits]}
    return {"file": entry.file, "sha256": entry.sha256, "bytes": entry.bytes, "arch": arch}
