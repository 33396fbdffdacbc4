"""The fields of schema `pocketsr.index/1`, in which every file is an object of its own.

Packages of before schema 2 are played as ever; nothing writes this form any more.
"""

from typing import Any

from player.package import fields, limits
from player.package.architecture import Architecture
from player.package.entries import (
    FileEntry,
    Index,
    RouterEntry,
    RoutesEntry,
    SegmentEntry,
    Size,
    SoundEntry,
    WeightsEntry,
)
from player.package.fields import Object
from player.package.limits import MAX_BLOB_BYTES, MAX_DEPTH, MAX_EXITS, MAX_UNITS, MAX_WIDTH
from player.package.package_error import PackageError
from player.package.router_blob import MAX_ROUTER_BYTES
from player.package.scale import parse_scale


def read_fields(source: Object) -> Index:
    """The index of a JSON object of schema 1, each field by itself in its bounds.

    Raises PackageError.
    """
    grid = fields.subobject(source, "grid")
    has_router = source.get("router") is not None
    return Index(
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
        sounds=(_sound(source),) if source.get("audio") else (),
        colour=_colour(source),
        version=fields.text(source, "version"),
        router=_router(fields.subobject(source, "router")) if has_router else None,
    )


def _sound(source: Object) -> SoundEntry:
    segments = fields.objects(source, "audio", limits.MAX_SEGMENTS, _segment)
    init = _file(fields.subobject(source, "audio_init"))
    return SoundEntry(init, segments, fields.ratio(source, "audio_time_base"))


def _size(source: Object, factor: int) -> Size:
    side = limits.MAX_LR_SIDE_PX * factor
    return Size(fields.integer(source, "width", 1, side), fields.integer(source, "height", 1, side))


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
