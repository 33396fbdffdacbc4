"""The index: round trips, and every number bounded."""

import base64
import copy
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.package import limits
from player.package.architecture import Architecture
from player.package.entries import (
    FileEntry,
    Index,
    RouterEntry,
    RoutesEntry,
    SegmentEntry,
    Size,
    SoundEntry,
    TextEntry,
    WeightsEntry,
)
from player.package.fields import parse_object
from player.package.index import parse_index, read_index, write_index
from player.package.package_error import PackageError
from player.package.signature import signing_key
from player.package.streams import Label
from player.package.verify import verify_package
from tests.player.conftest import tiny_blob, write_film
from tests.player.indexes import as_json, source_of, with_field

BT709 = {"matrix": "bt709", "full_range": False, "primaries": "bt709", "transfer": "bt709"}


def test_an_index_comes_back_as_it_was(made_package):
    index = read_index(made_package).index
    assert parse_index(as_json(index)) == index
    assert index.time_base == Fraction(1, 600)
    assert index.grid_shape == (3, 3)
    assert index.colour["matrix"] == "smpte170m"
    assert [w.arch.exits for w in index.weights] == [(1, 2), (1, 2)]
    assert [f.file for f in index.files] == [
        "video/init.mp4", "sr/weights-000.bin", "sr/weights-001.bin",
        *(f"sr/routes-{i:05d}.bin" for i in range(1, 5)),
        *(f"video/seg-{i:05d}.m4s" for i in range(1, 5)),
    ]  # fmt: skip


def test_fields_of_the_future_are_ignored(index_json, old_index):
    for known in (index_json, old_index):
        future = copy.deepcopy(known) | {"hologram": [1, 2]}
        (future.get("video") or future["segments"][0])["smell"] = "rose"
        assert parse_index(future) == parse_index(known)


@pytest.mark.parametrize("number", [3, 10, 10**30])
def test_a_newer_schema_is_refused(index_json, number):
    with pytest.raises(PackageError, match="newer than this player; update"):
        parse_index(index_json | {"schema": f"pocketsr.index/{number}"})


HASH = base64.b64encode(bytes(20)).decode()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema", "pocketsr.package/2"),
        ("schema", "pocketsr.index/0"),
        ("schema", "pocketsr.index/²"),
        ("scale", True),
        ("scale", 2.5),
        ("scale", 3),
        ("scale", None),
        ("lr", [48]),
        ("lr", [48, 0]),
        ("lr", [1 << 40, 36]),
        ("lr", [8192, 8192]),
        ("lr", {"width": 48, "height": 36}),
        ("hr", [97, 70]),
        ("hr", [92, 70]),
        ("hr", [94, 70, 1]),
        ("cell", [0, 16]),
        ("cell", [16, 1025]),
        ("cell", 16),
        ("method", "x" * 201),
        ("colour", "bt709"),
        ("colour", []),
        ("colour", ["bt709"] * 4),
        ("colour", ["x" * 201]),
        ("colour", [1]),
        ("full_range", 1),
        ("full_range", None),
        ("video", None),
        ("video", []),
        ("video.timescale", 0),
        ("video.timescale", [1, 600]),
        ("video.hash", None),
        ("video.hash", ""),
        ("video.hash", "?" * 28),
        ("video.hash", 1234567890123456789012345678),
        ("video.hash", HASH[:-4]),
        ("video.hash", HASH),  # an initialisation alone
        ("video.bytes", [801]),
        ("video.bytes", [[801, 6]]),
        ("video.bytes", [[801, 5], -1]),
        ("video.bytes", [[801, 4], -1]),
        ("video.bytes", [[801, 4], (1 << 30) + 1]),
        ("video.bytes", [[801, 1 << 60]]),
        ("video.bytes", [[801, 0], [801, 5]]),
        ("video.bytes", [[801, True], [801, 4]]),
        ("video.bytes", [[801, 5, 1]]),
        ("video.bytes", [[[801, 5], 1]]),
        ("video.bytes", "801"),
        ("video.ticks", [[240, 3]]),
        ("video.ticks", [-1, [240, 3]]),
        ("video.ticks", [[0, 4]]),  # no segment may begin where another does
        ("video.ticks", [[1 << 62, 4]]),
        ("video.ticks", [1.5, [240, 3]]),
        ("video.frames", [[5, 5]]),
        ("video.frames", [[0, 4]]),
        ("video.frames", [0, [5, 3]]),  # its map has none
        ("video.frames", [1 << 16, [5, 3]]),
        ("video.frames", [[10_000_000, 4]]),
        ("video.gaps", [0]),
        ("video.gaps", [(1 << 62) + 1, 0, 0, 0]),
        ("video.gaps", [0, -10_000, 0, 0]),
        ("audio", None),
        ("audio.hash", HASH + HASH),
        ("audio.timescale", -1),
        ("audio.default", 1),
        ("audio.language", "x" * 201),
        ("audio.flags", ["forced", "secret"]),
        ("audio.flags", ["forced"] * 7),
        ("sounds", {}),
        ("sounds", [{}]),
        ("texts", []),
        ("texts", {"bytes": [1], "hash": HASH, "labels": [{}, {}]}),
        ("texts", {"bytes": [(8 << 20) + 1], "hash": HASH}),
        ("chapters", {"bytes": [1, 1], "hash": HASH + HASH}),
        ("weights", []),
        ("weights.hash", HASH),
        ("weights.hash", base64.b64encode(bytes(340)).decode()),
        ("weights.bytes", [[(4 << 20) + 1, 2]]),
        ("weights.networks", []),
        ("weights.networks", [{"widths": [4]}]),
        ("weights.networks", [{"widths": [4]}] * 3),
        ("weights.networks.0", 7),
        ("weights.networks.0.name", "transformer"),
        ("weights.networks.0.units", 0),
        ("weights.networks.0.units", 4),
        ("weights.networks.0.units", True),
        ("weights.networks.0.units", 3),  # 16 px are not whole units of it
        ("weights.networks.0.widths", []),
        ("weights.networks.0.widths", [5]),
        ("weights.networks.0.widths", [260]),
        ("weights.networks.0.widths", [[4, 13]]),
        ("weights.networks.0.exits", [9]),
        ("weights.networks.0.exits", [2, 1]),
        ("weights.networks.0.exits", []),
        ("routes", 7),
        ("routes.hash", HASH * 5),
        ("routes.bytes", [[(16 << 20) + 1, 4]]),
        ("routes.segments", [0, 1, 2, 2]),
        ("routes.segments", [0, 1, 2, 4]),
        ("routes.segments", [0, 1, 2]),
        ("router", None),
        ("router.bytes", [(512 << 10) + 1]),
        ("router.hash", base64.b64encode(bytes(40)).decode()),
        ("router.hash", HASH[:-2] + "B="),  # the same bytes in another spelling
    ],
)
def test_a_field_out_of_bounds_is_refused(index_json, path, value):
    with pytest.raises(PackageError):
        parse_index(with_field(index_json, path, value))


def test_what_no_field_can_say_is_not_written(made_package, tmp_path):
    """A file with a name of its own, a cut hash cut further, a map shorter than its segment."""
    index = read_index(made_package).index
    (tmp_path / "sr").mkdir()
    first, *rest = index.segments
    for change in ({"file": "video/first.m4s"}, {"sha256": first.sha256 + "00"}):
        with pytest.raises(PackageError, match="not as it must be"):
            moved = replace(index, segments=(replace(first, **change), *rest))
            write_index(tmp_path, moved, signing_key())
    with pytest.raises(PackageError, match="not as it must be"):
        routes = (replace(index.routes[0], frames=1), *index.routes[1:])
        write_index(tmp_path, replace(index, routes=routes), signing_key())
    assert not (tmp_path / "sr/index.bin").exists()


@pytest.fixture(scope="session")
def half_more(tmp_path_factory, lr_frames, source_clip, _home):
    """The index of a package of scale 1.5 on units of 2 px, as JSON."""
    arch = Architecture("chain", Fraction(3, 2), (4, 4), (1, 2), 2)
    folder = write_film(
        tmp_path_factory.mktemp("half") / "film", lr_frames, source_clip,
        scale=arch.scale, hr=Size(72, 54), weights=[tiny_blob(1, True, arch)] * 2,
    )  # fmt: skip
    assert verify_package(folder).ok
    return source_of(folder)


def test_scale_is_a_number_and_units_are_named(index_json, half_more):
    assert (index_json["scale"], half_more["scale"]) == (2, 1.5)
    network = {"widths": [[4, 2]], "exits": [1, 2], "units": 2}
    assert half_more["weights"]["networks"] == [network] * 2
    index = parse_index(half_more)
    assert (index.scale, index.weights[0].arch.units) == (Fraction(3, 2), 2)
    assert index.weights[0].arch.scale == Fraction(3, 2)


@pytest.mark.parametrize("cell", [[15, 16], [16, 7]])
def test_cells_that_are_not_whole_units_are_refused(half_more, cell):
    with pytest.raises(PackageError, match="px are not whole units of 2 px"):
        parse_index(half_more | {"cell": cell})
    # Without a network the anchor's own units are left: of 1.5, pairs of LR pixels.
    bare = {k: v for k, v in half_more.items() if k != "weights"}
    parse_index(bare)
    with pytest.raises(PackageError, match="px are not whole units of 2 px"):
        parse_index(bare | {"cell": cell})


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b"1" * 5000])
def test_what_is_no_object_is_refused(data):
    with pytest.raises(PackageError):
        parse_object(data, "sr/index.bin")


LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
VALUES = st.one_of(
    LEAVES, st.lists(LEAVES, max_size=3), st.dictionaries(st.text(max_size=4), LEAVES, max_size=3)
)


@pytest.mark.parametrize("schema", ["index_json", "old_index"])
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_field_may_hold_anything(request, schema, data):
    """Whatever stands in a field, the parser takes it or says PackageError."""
    changed = copy.deepcopy(request.getfixturevalue(schema))
    at = changed
    while True:
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        if not isinstance(at[key], dict | list) or not at[key] or data.draw(st.booleans()):
            at[key] = data.draw(VALUES)
            break
        at = at[key]
    with suppress(PackageError):
        parse_index(changed)


def drawn_files(data, names: list[str]) -> list[dict]:
    """The fields of file entries of these names, with some lengths the same."""
    draw = np.random.default_rng(data.draw(st.integers(0, 1 << 32)))
    hashes = [draw.bytes(20).hex() for _ in names]
    sizes = draw.choice([0, 700, limits.MAX_SEGMENT_BYTES], len(names)).tolist()
    rows = zip(names, hashes, sizes, strict=True)
    return [{"file": file, "sha256": sha256, "bytes": size} for file, sha256, size in rows]


def drawn_stream(data, kind: str) -> tuple[FileEntry, tuple[SegmentEntry, ...]]:
    """A stream of any times: with gaps, overlaps, before 0."""
    rows = data.draw(st.integers(1, 6))
    names = [f"{kind}/init.mp4", *(f"{kind}/seg-{i + 1:05d}.m4s" for i in range(rows))]
    init, *parts = drawn_files(data, names)
    most = limits.MAX_TICKS
    times = st.one_of(st.integers(-5, 20), st.integers(-most, most))
    starts = sorted(data.draw(st.lists(times, min_size=rows, max_size=rows, unique=True)))
    columns = st.lists(st.sampled_from([1, 4, most]), min_size=rows, max_size=rows)
    entries = [
        SegmentEntry(**part, start=start, duration=duration, frames=2)
        for part, start, duration in zip(parts, starts, data.draw(columns), strict=True)
    ]
    return FileEntry(**init), tuple(entries)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_whatever_an_index_holds_comes_back(data):
    """Any times, tracks or none, maps of some segments, networks of any shape."""
    video_init, segments = drawn_stream(data, "video")
    has_router = data.draw(st.booleans())
    words = st.text(alphabet='aé"<', max_size=3)
    labels = st.builds(Label, words, words, st.booleans())
    folders = ["audio", "audio-2", "audio-3"][: data.draw(st.integers(0, 3))]
    sounds = tuple(
        SoundEntry(*drawn_stream(data, folder), Fraction(1, 48_000), data.draw(labels))
        for folder in folders
    )
    names = [f"text/{i + 1}.vtt" for i in range(data.draw(st.integers(0, 3)))]
    *texts, chapters = drawn_files(data, [*names, "text/chapters.vtt"])
    mapped = sorted(data.draw(st.sets(st.integers(0, len(segments) - 1))))
    maps = drawn_files(data, [f"sr/routes-{i + 1:05d}.bin" for i in mapped])
    widths = data.draw(st.lists(st.sampled_from([4, 32, 256]), min_size=1, max_size=12))
    exits = data.draw(st.sampled_from(sorted({(len(widths),), (1, len(widths))[-len(widths) :]})))
    arch = Architecture("chain", 2, tuple(widths), exits, data.draw(st.integers(1, 2)))
    blobs = drawn_files(
        data, [f"sr/weights-{i:03d}.bin" for i in range(data.draw(st.integers(0, 16)))]
    )
    (router,) = drawn_files(data, ["sr/router.bin"])
    small = {"bytes": 7}  # a segment's length is more than a blob's may be
    full = {"full_range": data.draw(st.booleans())}
    names = ("matrix", "primaries", "transfer")
    colour = full | {name: data.draw(st.sampled_from(["bt709", "film"])) for name in names}
    index = Index(
        scale=2, lr=Size(48, 36), hr=data.draw(st.sampled_from([Size(96, 72), Size(94, 71)])),
        fine_h=12, fine_w=data.draw(st.sampled_from([12, 16])), frames=2 * len(segments),
        method=data.draw(st.sampled_from(["", "dydca", "plain"])),
        preset=data.draw(st.sampled_from(["", "balanced"])), time_base=Fraction(1, 90_000),
        weights=tuple(WeightsEntry(**b | small, arch=arch) for b in blobs),
        routes=tuple(
            RoutesEntry(**m | small, segment=i, frames=2) for i, m in zip(mapped, maps, strict=True)
        ),
        segments=segments, video_init=video_init, sounds=sounds,
        texts=tuple(TextEntry(**t | small, label=data.draw(labels)) for t in texts),
        chapters=TextEntry(**chapters | small) if data.draw(st.booleans()) else None,
        router=RouterEntry(**router | small) if has_router else None, colour=colour,
    )  # fmt: skip
    assert parse_index(as_json(index)) == index


@pytest.mark.parametrize("seconds", [5, 60, 3600])
def test_an_index_costs_a_short_film_little(tmp_path, seconds):
    """At most 250 bytes and 30 a segment; a network 70 more, its maps 20 and 25 each."""
    parts = -(-seconds // 4)
    draw = np.random.default_rng(seconds)
    hashes = [draw.bytes(20).hex() for _ in range(2 * parts + 2)]
    sizes = draw.integers(100_000, 999_999, parts).tolist()
    names = [f"video/seg-{i + 1:05d}.m4s" for i in range(parts)]
    lengths = [4] * (seconds // 4) + [seconds % 4] * (parts > seconds // 4)
    segments = tuple(
        SegmentEntry(names[i], hashes[i], sizes[i], 96_000 * i, 24_000 * n, 25 * n)
        for i, n in enumerate(lengths)
    )  # fmt: skip
    plain = Index(
        scale=1, lr=Size(1920, 1080), hr=Size(1920, 1080), fine_h=54, fine_w=48,
        frames=25 * seconds, method="plain", preset="best", time_base=Fraction(1, 24_000),
        weights=(), routes=(), segments=segments, version="0.10.0",
        video_init=FileEntry("video/init.mp4", hashes[-1], 812),
        colour=BT709 | {"matrix": "smpte170m"},  # as a film of 480 rows without tags has it
        manifests=draw.bytes(20).hex(),
    )  # fmt: skip
    arch = Architecture("chain", 1, (32,) * 8, (3, 8), 2)
    routes = tuple(
        RoutesEntry(f"sr/routes-{i + 1:05d}.bin", hashes[parts + i], 1234 + i, i, s.frames)
        for i, s in enumerate(segments)
    )
    weights = (WeightsEntry("sr/weights-000.bin", hashes[-2], 26_400, arch),)
    bare = _bytes_of(tmp_path, plain)
    taught = replace(plain, method="dydca", fine_h=12, fine_w=12, weights=weights)
    network = _bytes_of(tmp_path, taught) - bare
    maps = _bytes_of(tmp_path, replace(taught, routes=routes)) - bare - network
    assert bare <= 250 + 30 * parts and network <= 70 and maps <= 20 + 25 * parts


def _bytes_of(folder: Path, index: Index) -> int:
    (folder / "sr").mkdir(exist_ok=True)
    write_index(folder, index, signing_key())
    assert read_index(folder).index == index and read_index(folder).signer()
    return (folder / "sr/index.bin").stat().st_size
