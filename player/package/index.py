"""`sr/index.json`: what the package holds, as frozen dataclasses; read, checked and written here.

The index names every file with its length and SHA-256, so that one signature over it covers the
whole package. Fields that this version does not know are ignored; a newer schema is refused.

    bytes ──parse_object──► JSON ──parse_index──► Index, every field typed, every number bounded
    Index ──index_to_json──► JSON ──sign──► bytes
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from player.package import fields, limits
from player.package.architecture import Architecture
from player.package.artefact import write_text
from player.package.fields import Object, parse_object
from player.package.layout import INDEX_PATH
from player.package.limits import MAX_BLOB_BYTES, MAX_DEPTH, MAX_EXITS, MAX_UNITS, MAX_WIDTH
from player.package.package_error import PackageError
from player.package.paths import grid_shape
from player.package.router_blob import MAX_ROUTER_BYTES
from player.package.scale import Scale, parse_scale, scale_number
from player.package.signature import check_signature, sign

SCHEMA_NAME, SCHEMA_VERSION = "pocketsr.index", 1


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
    bottom. Without weights the anchor is shown. `time_base` is the length in seconds of a tick of
    `segments`, `audio_time_base` of `audio`. `colour` holds the tags of the video (matrix,
    full_range, primaries, transfer). `version` is the PocketSR that made the package.
    """

    scale: Scale
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
        return grid_shape(self.lr.height, self.lr.width, self.fine_h, self.fine_w)

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
        # The length of what was hashed; a second look at the path could find another file.
        return sha256, file.tell()


def index_to_json(index: Index) -> dict[str, Any]:
    """The JSON object of an index, without a signature."""
    audio_ratio = index.audio_time_base and list(index.audio_time_base.as_integer_ratio())
    weights = []
    for entry in index.weights:
        arch = {
            **vars(entry.arch),
            "scale": scale_number(entry.arch.scale),
            "widths": [*entry.arch.widths],
            "exits": [*entry.arch.exits],
            "planes": entry.arch.planes,  # players before `units` ask for it
        }
        weights.append({**vars(entry), "arch": arch})
    return {
        "schema": f"{SCHEMA_NAME}/{SCHEMA_VERSION}",
        "version": index.version,
        "scale": scale_number(index.scale),
        "lr": {"width": index.lr.width, "height": index.lr.height},
        "hr": {"width": index.hr.width, "height": index.hr.height},
        "grid": {"fine_h": index.fine_h, "fine_w": index.fine_w},
        "frames": index.frames,
        "method": index.method,
        "preset": index.preset,
        "time_base": list(index.time_base.as_integer_ratio()),
        "weights": weights,
        "routes": [vars(r) for r in index.routes],
        "router": vars(index.router) if index.router else None,
        "segments": [vars(s) for s in index.segments],
        "video_init": vars(index.video_init),
        "audio": [vars(s) for s in index.audio],
        "audio_init": vars(index.audio_init) if index.audio_init else None,
        "audio_time_base": audio_ratio,
        "colour": dict(index.colour or {}),
    }


@dataclass(frozen=True)
class IndexFile:
    """A parsed index, and the object it was parsed from (for its signature)."""

    index: Index
    source: Object

    def signer(self, trust: frozenset[str] | None = None) -> str:
        """The public key that signed it; raises PackageError as `check_signature` does."""
        return check_signature(self.source, trust)


def read_index(package: Path) -> IndexFile:
    """Parse the index of a package, its signature not looked at.

    Raises PackageError where it is missing, damaged or newer than this player.
    """
    path = package / INDEX_PATH
    try:
        with path.open("rb") as file:
            # One byte more than may be tells a file that is too long, and bounds the memory.
            data = file.read(limits.MAX_INDEX_BYTES + 1)
    except OSError as error:
        raise PackageError(f"{INDEX_PATH}: cannot be read ({error.strerror})") from error
    source = parse_object(data, INDEX_PATH)
    return IndexFile(parse_index(source), source)


def write_index(package: Path, index: Index, key: Ed25519PrivateKey) -> None:
    """Sign the index and put it in its place, whole or not at all.

    Raises PackageError where a player would refuse it, OSError.
    """
    source = index_to_json(index)
    # Read back before it is signed: what a player would refuse is not written.
    parse_index(source)
    signed = sign(source, key)
    # Spaced for people: what is signed is the canonical form, which no spacing changes.
    write_text(package / INDEX_PATH, json.dumps(signed, indent=1, ensure_ascii=False) + "\n")


def parse_index(source: Object) -> Index:
    """The index of a JSON object; raises PackageError and says which field is wrong."""
    schema = fields.text(source, "schema")
    name, _, number = schema.partition("/")
    # `isdigit` alone takes superscripts and other scripts' digits, at some of which `int` fails.
    if name != SCHEMA_NAME or not number.isascii() or not number.isdigit():
        raise PackageError(f"index: schema {schema!r} is not {SCHEMA_NAME}/{SCHEMA_VERSION}")
    if int(number) > SCHEMA_VERSION:
        raise PackageError(f"index: schema {schema} is newer than this player; update PocketSR")
    grid = fields.subobject(source, "grid")
    has_audio = bool(source.get("audio"))
    has_router = source.get("router") is not None
    index = Index(
        scale=parse_scale(fields.number(source, "scale")),
        lr=_size(fields.subobject(source, "lr"), 1),
        hr=_size(fields.subobject(source, "hr"), limits.MAX_SCALE),
        fine_h=fields.integer(grid, "fine_h", limits.MIN_CELL_PX, limits.MAX_CELL_PX),
        fine_w=fields.integer(grid, "fine_w", limits.MIN_CELL_PX, limits.MAX_CELL_PX),
        frames=fields.integer(source, "frames", 1, limits.MAX_FRAMES),
        method=fields.text(source, "method"),
        preset=fields.text(source, "preset"),
        time_base=fields.ratio(source, "time_base"),
        weights=fields.objects(source, "weights", limits.MAX_NETWORKS, _weights),
        routes=fields.objects(source, "routes", limits.MAX_SEGMENTS, _routes),
        segments=fields.objects(source, "segments", limits.MAX_SEGMENTS, _segment),
        video_init=_file(fields.subobject(source, "video_init")),
        audio=fields.objects(source, "audio", limits.MAX_SEGMENTS, _segment),
        audio_init=_file(fields.subobject(source, "audio_init")) if has_audio else None,
        audio_time_base=fields.ratio(source, "audio_time_base") if has_audio else None,
        colour=_colour(source),
        version=fields.text(source, "version"),
        router=_router(fields.subobject(source, "router")) if has_router else None,
    )
    _check_sizes(index)
    _check_lists(index)
    return index


def _size(source: Object, factor: int) -> Size:
    side = limits.MAX_LR_SIDE_PX * factor
    size = Size(fields.integer(source, "width", 1, side), fields.integer(source, "height", 1, side))
    if size.width * size.height > limits.MAX_LR_PIXELS * factor**2:
        raise PackageError(f"index: {size.width}x{size.height} is more pixels than the limit")
    return size


def _file_fields(source: Object, most_bytes: int) -> dict[str, Any]:
    return {
        "file": fields.relative_path(source),
        "sha256": fields.sha256(source),
        "bytes": fields.integer(source, "bytes", 0, most_bytes),
    }


def _file(source: Object) -> FileEntry:
    return FileEntry(**_file_fields(source, limits.MAX_SEGMENT_BYTES))


def _weights(source: Object) -> WeightsEntry:
    given = fields.subobject(source, "arch")
    arch = Architecture(
        name=fields.text(given, "name"),
        scale=parse_scale(fields.number(given, "scale")),
        widths=fields.integers(given, "widths", MAX_DEPTH, MAX_WIDTH),
        exits=fields.integers(given, "exits", MAX_EXITS, MAX_WIDTH),
        units=fields.integer({"units": 1, **given}, "units", 1, MAX_UNITS),
    )
    fields.integer(given, "planes", arch.planes, arch.planes)
    return WeightsEntry(**_file_fields(source, MAX_BLOB_BYTES), arch=arch)


def _router(source: Object) -> RouterEntry:
    return RouterEntry(**_file_fields(source, MAX_ROUTER_BYTES))


def _routes(source: Object) -> RoutesEntry:
    return RoutesEntry(
        **_file_fields(source, limits.MAX_ROUTES_BYTES),
        segment=fields.integer(source, "segment", 0, limits.MAX_SEGMENTS - 1),
        frames=fields.integer(source, "frames", 1, limits.MAX_SEGMENT_FRAMES),
    )


def _segment(source: Object) -> SegmentEntry:
    return SegmentEntry(
        **_file_fields(source, limits.MAX_SEGMENT_BYTES),
        start=fields.integer(source, "start", -limits.MAX_TICKS, limits.MAX_TICKS),
        duration=fields.integer(source, "duration", 0, limits.MAX_TICKS),
        frames=fields.integer(source, "frames", 0, limits.MAX_FRAMES),
    )


def _colour(source: Object) -> dict[str, str | int | bool]:
    """The tags that are plain values; others are of no use to this version."""
    tags = source.get("colour") or {}
    if not isinstance(tags, dict) or len(tags) > 16:
        raise PackageError("index: colour is not a small object")
    return {k: v for k, v in tags.items() if isinstance(v, str | int) and len(str(v)) < 64}


def _check_sizes(index: Index) -> None:
    """HR is scale x LR but for the few columns and rows that padding to even LR added."""
    # LR is 2 ceil(shown / 2 r) px, so that r times it is less than 2 r px too much.
    for shown, lr in ((index.hr.width, index.lr.width), (index.hr.height, index.lr.height)):
        if not index.scale * lr - 2 * index.scale < shown <= index.scale * lr:
            factor = scale_number(index.scale)
            raise PackageError(f"index: HR side {shown} px is not {factor} x {lr} px cropped")


def _check_lists(index: Index) -> None:
    starts = [s.start for s in index.segments]
    # Strictly rising, because a player finds a frame's segment by bisection.
    if not starts or starts != sorted(set(starts)):
        raise PackageError("index: segments are missing or not in the order of their times")
    if sum(s.frames for s in index.segments) != index.frames:
        raise PackageError("index: the segments' frames do not add up to the film's")
    if any(w.arch.scale != index.scale for w in index.weights):
        raise PackageError("index: a network's scale is not the package's")
    # A patch that began within a unit, or whose HR pixels did, could not be computed.
    sides = [index.scale.denominator, *(w.arch.units for w in index.weights)]
    for side in sides:
        if index.fine_h % side or index.fine_w % side:
            cell = f"{index.fine_w}x{index.fine_h}"
            raise PackageError(f"index: cells of {cell} px are not whole units of {side} px")
    known = [r.segment for r in index.routes if r.segment < len(starts)]
    # As many segments that exist as there are maps: none twice, and none that is not there.
    if len(set(known)) != len(index.routes):
        raise PackageError("index: route maps name a segment twice, or one that is not there")
