"""From untrusted JSON to an `Index`: every field typed, every number bounded, all consistent."""

from typing import Any

from player.package import fields, limits
from player.package.errors import PackageError
from player.package.fields import Object
from player.package.index import (
    SCHEMA_NAME,
    SCHEMA_VERSION,
    FileEntry,
    Index,
    RouterEntry,
    RoutesEntry,
    SegmentEntry,
    Size,
    WeightsEntry,
)
from player.package.router import MAX_ROUTER_BYTES
from player.package.weights import (
    MAX_BLOB_BYTES,
    MAX_EXITS,
    MAX_WIDTH,
    MAX_WIDTHS,
    Architecture,
)


def parse_index(source: Object) -> Index:
    """The index of a JSON object; raises PackageError and says which field is wrong."""
    _check_schema(source)
    grid = fields.subobject(source, "grid")
    has_audio = bool(source.get("audio"))
    has_router = source.get("router") is not None
    index = Index(
        scale=fields.integer(source, "scale", limits.MIN_SCALE, limits.MAX_SCALE),
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


def _check_schema(source: Object) -> None:
    schema = fields.text(source, "schema")
    name, _, number = schema.partition("/")
    if name != SCHEMA_NAME or not number.isascii() or not number.isdigit():
        raise PackageError(f"index: schema {schema!r} is not {SCHEMA_NAME}/{SCHEMA_VERSION}")
    if int(number) > SCHEMA_VERSION:
        raise PackageError(f"index: schema {schema} is newer than this player; update PocketSR")


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
    arch = fields.subobject(source, "arch")
    return WeightsEntry(
        **_file_fields(source, MAX_BLOB_BYTES),
        arch=Architecture(
            name=fields.text(arch, "name"),
            scale=fields.integer(arch, "scale", limits.MIN_SCALE, limits.MAX_SCALE),
            widths=fields.integers(arch, "widths", MAX_WIDTHS, MAX_WIDTH),
            exits=fields.integers(arch, "exits", MAX_EXITS, MAX_WIDTH),
            planes=fields.integer(arch, "planes", 1, 255),
        ),
    )


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
    for shown, lr in ((index.hr.width, index.lr.width), (index.hr.height, index.lr.height)):
        if not index.scale * lr - 2 * index.scale < shown <= index.scale * lr:
            raise PackageError(f"index: HR side {shown} px is not {index.scale} x {lr} px cropped")


def _check_lists(index: Index) -> None:
    starts = [s.start for s in index.segments]
    if not starts or starts != sorted(set(starts)):
        raise PackageError("index: segments are missing or not in the order of their times")
    if sum(s.frames for s in index.segments) != index.frames:
        raise PackageError("index: the segments' frames do not add up to the film's")
    if any(w.arch.scale != index.scale for w in index.weights):
        raise PackageError("index: a network's scale is not the package's")
    known = [r.segment for r in index.routes if r.segment < len(starts)]
    if len(set(known)) != len(index.routes):
        raise PackageError("index: route maps name a segment twice, or one that is not there")
