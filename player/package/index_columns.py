"""The fields of schema `pocketsr.index/2`, in columns: few bytes for each file of a package.

    {"schema":"pocketsr.index/2","version":"0.1.0","scale":2,"lr":[640,360],"preset":"best",
     "weights":{"bytes":[13021],"hash":"...","networks":[{"widths":[[32,6]],"exits":[2,6]}]},
     "routes":{"bytes":[210,187],"hash":"..."},
     "video":{"bytes":[801,91811,70212],"hash":"...","timescale":12800,"ticks":[51200,12800],
              "frames":[96,24]},
     "signature":["...","..."]}

No file is named: its name follows from its place. Hashes are cut and joined, numbers that repeat
are written once with their count, and what is as it mostly is is left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from player.package import fields, limits
from player.package.architecture import Architecture
from player.package.entries import (
    HASH_BYTES,
    ID_BYTES,
    Index,
    RouterEntry,
    RoutesEntry,
    SegmentEntry,
    Size,
    WeightsEntry,
)
from player.package.fields import Object
from player.package.file_columns import (
    files_json,
    joined_hashes,
    read_column,
    read_files,
    runs_json,
)
from player.package.index_tracks import (
    read_chapters,
    read_sounds,
    read_stream,
    read_texts,
    sounds_json,
    stream_json,
    texts_json,
)
from player.package.layout import (
    ROUTER_PATH,
    SHIPPED,
    SR,
    VIDEO,
    routes_path,
    weights_name,
)
from player.package.package_error import PackageError
from player.package.router_blob import MAX_ROUTER_BYTES
from player.package.scale import Scale, parse_scale, scale_number

SCHEMA_NAME, SCHEMA_VERSION = "pocketsr.index", 2

# What a field is where it is left out: of most packages it is.
_COLOUR_TAGS = ("matrix", "primaries", "transfer")  # full_range has a field of its own
_PLAIN: Object = {"preset": "balanced", "method": "plain", "cell": [54, 48]}
_TAUGHT: Object = {"preset": "balanced", "method": "dydca", "cell": [12, 12]}  # with a network
_ARCHITECTURE, _COLOUR = "chain", ["bt709"]


def index_to_json(index: Index) -> Object:
    """The JSON object of an index, without a signature."""
    hr, usual = [index.hr.width, index.hr.height], _TAUGHT if index.weights else _PLAIN
    found = {
        "version": index.version,
        "scale": scale_number(index.scale),
        "id": joined_hashes([index.id]) if index.id else None,
        "revision": _unless(1, index.revision),
        "lr": [index.lr.width, index.lr.height],
        "hr": _unless(_whole_hr(index.lr, index.scale), hr),
        "cell": _unless(usual["cell"], [index.fine_h, index.fine_w]),
        "method": _unless(usual["method"], index.method),
        "preset": _unless(usual["preset"], index.preset),
        "weights": _weights_json(index.weights),
        "routes": _routes_json(index),
        "router": files_json([index.router] if index.router else []),
        "video": stream_json(index.video_init, index.segments, index.time_base),
        **sounds_json(index.sounds),
        **texts_json(index.texts, index.chapters),
        "manifests": joined_hashes([index.manifests]) if index.manifests else None,
        "colour": _unless(_COLOUR, _colour_json(index.colour or {})),
        "full_range": _unless(False, (index.colour or {}).get("full_range")),
    }
    known = {k: v for k, v in found.items() if v not in (None, {})}
    return {"schema": f"{SCHEMA_NAME}/{SCHEMA_VERSION}"} | known


def _unless(usual: object, value: object) -> object:
    """What is written of a field: nothing where it is the usual."""
    return value if value != usual else None


def _colour_json(colour: Mapping[str, Any]) -> list[Any]:
    """Matrix, primaries and transfer, without those at the end that repeat the one before."""
    tags = [colour.get(name) for name in _COLOUR_TAGS]
    while len(tags) > 1 and tags[-1] == tags[-2]:
        tags.pop()
    return tags


def _weights_json(weights: Sequence[WeightsEntry]) -> Object:
    networks = []
    for entry in weights:
        arch = entry.arch
        network: Object = {"name": arch.name} if arch.name != _ARCHITECTURE else {}
        network["widths"] = runs_json(arch.widths)
        if arch.exits != (len(arch.widths),):
            network["exits"] = [*arch.exits]
        if arch.units != 1:
            network["units"] = arch.units
        if entry.shipped:
            network["shipped"] = True
        networks.append(network)
    return files_json(weights) | {"networks": networks} if weights else {}


def _routes_json(index: Index) -> Object:
    mapped = [r.segment for r in index.routes]
    some = mapped != [*range(len(index.segments))]
    return files_json(index.routes) | ({"segments": mapped} if mapped and some else {})


def read_fields(source: Object) -> Index:
    """The index of a JSON object of this schema, each field by itself in its bounds.

    Raises PackageError.
    """
    scale = parse_scale(fields.number(source, "scale"))
    lr = Size(*fields.pair(source, "lr", 1, limits.MAX_LR_SIDE_PX))
    hr_px = limits.MAX_LR_SIDE_PX * limits.MAX_SCALE
    cell_px = limits.MIN_CELL_PX, limits.MAX_CELL_PX
    usual = _TAUGHT if "weights" in source else _PLAIN
    whole = usual | {"hr": _whole_hr(lr, scale)} | source
    fine_h, fine_w = fields.pair(whole, "cell", *cell_px)
    video_init, segments, time_base = read_stream(fields.subobject(source, "video"), VIDEO)
    return Index(
        scale=scale,
        lr=lr,
        hr=Size(*fields.pair(whole, "hr", 1, hr_px)),
        fine_h=fine_h,
        fine_w=fine_w,
        frames=fields.integer(
            {"frames": sum(s.frames for s in segments)}, "frames", 1, limits.MAX_FRAMES
        ),
        method=fields.text(whole, "method"),
        preset=fields.text(whole, "preset"),
        time_base=time_base,
        weights=_weights(source, scale),
        routes=_routes(source, segments),
        segments=segments,
        video_init=video_init,
        sounds=read_sounds(source),
        texts=read_texts(source),
        chapters=read_chapters(source),
        colour=_colour(source),
        version=fields.text(source, "version"),
        router=_router(source),
        manifests=_hash(source, "manifests", HASH_BYTES),
        id=_hash(source, "id", ID_BYTES),
        revision=fields.integer({"revision": 1} | source, "revision", 1, limits.MAX_REVISION),
    )


def _hash(source: Object, name: str, size_bytes: int) -> str:
    """One hash as hexadecimal digits; empty where there is none."""
    return fields.hashes(source, name, size_bytes, 1)[0] if name in source else ""


def _colour(source: Object) -> dict[str, str | bool]:
    given = {"colour": _COLOUR, "full_range": False} | source
    tags = fields.texts(given, "colour", len(_COLOUR_TAGS))
    # Those that are left out are the last one that is there.
    tags += tags[-1:] * (len(_COLOUR_TAGS) - len(tags))
    full_range = fields.boolean(given, "full_range")
    return dict(zip(_COLOUR_TAGS, tags, strict=True)) | {"full_range": full_range}


def _whole_hr(lr: Size, scale: Scale) -> list[int]:
    """Width and height of HR that nothing was padded for."""
    return [int(lr.width * scale), int(lr.height * scale)]


def _weights(source: Object, scale: Scale) -> tuple[WeightsEntry, ...]:
    if "weights" not in source:
        return ()
    table = fields.subobject(source, "weights")
    files = read_files(table, limits.MAX_NETWORKS, limits.MAX_BLOB_BYTES)
    networks = fields.objects(table, "networks", limits.MAX_NETWORKS, lambda n: _network(n, scale))
    if len(networks) != len(files):
        raise PackageError(f"index: {len(networks)} networks are not {len(files)} files")
    entries: list[WeightsEntry] = []
    for number, (file, (arch, shipped)) in enumerate(zip(files, networks, strict=True)):
        name = SHIPPED if shipped else f"{SR}/{weights_name(number)}"
        first = entries[0] if entries else None
        entries.append(WeightsEntry(name, *file, arch, shipped, first))
    return tuple(entries)


def _network(source: Object, scale: Scale) -> tuple[Architecture, bool]:
    """A network's architecture, and whether it ships with the player."""
    widths = fields.runs(source, "widths", limits.MAX_DEPTH, 1, limits.MAX_WIDTH)
    usual = {"name": _ARCHITECTURE, "exits": [len(widths)], "units": 1, "shipped": False}
    given = usual | source
    arch = Architecture(
        name=fields.text(given, "name"),
        scale=scale,
        widths=widths,
        exits=fields.integers(given, "exits", limits.MAX_EXITS, limits.MAX_WIDTH),
        units=fields.integer(given, "units", 1, limits.MAX_UNITS),
    )
    return arch, fields.boolean(given, "shipped")


def _routes(source: Object, segments: Sequence[SegmentEntry]) -> tuple[RoutesEntry, ...]:
    """Each map is as long as its segment."""
    if "routes" not in source:
        return ()
    table = {"segments": [*range(len(segments))]} | fields.subobject(source, "routes")
    files = read_files(table, len(segments), limits.MAX_ROUTES_BYTES)
    mapped = read_column(table, "segments", len(files), 0, len(segments) - 1)
    entries = []
    for file, segment in zip(files, mapped, strict=True):
        frames = {"frames": segments[segment].frames}
        length = fields.integer(frames, "frames", 1, limits.MAX_SEGMENT_FRAMES)
        entries.append(RoutesEntry(routes_path(segment), *file, segment, length))
    return tuple(entries)


def _router(source: Object) -> RouterEntry | None:
    if "router" not in source:
        return None
    (file,) = read_files(fields.subobject(source, "router"), 1, MAX_ROUTER_BYTES)
    return RouterEntry(ROUTER_PATH, *file)
