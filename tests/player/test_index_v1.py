"""Indexes of schema 1, which PocketSR wrote before: read as ever, every number bounded."""

import copy
from dataclasses import replace
from hashlib import sha256

import pytest

from player.package.entries import (
    Size,
)
from player.package.index import parse_index
from player.package.package_error import PackageError
from player.package.signature import check_signature
from tests.player.indexes import with_field


def test_an_index_of_schema_1_is_read_as_ever(old_index, index_json):
    index = parse_index(old_index)
    assert check_signature(old_index)
    assert (index.scale, index.lr, index.hr) == (2, Size(48, 36), Size(94, 70))
    assert (
        index.router is not None
        and len(index.sounds) == 1
        and index.sounds[0].segments[0].start == 0
    )
    assert [s.frames for s in index.segments] == [5, 6, 6, 3]
    assert [len(f.sha256) for f in index.files] == [64] * len(index.files)
    # The schemas say the same, but that this one's hashes are cut.
    cut = {f: replace(f, sha256=f.sha256[:40]) for f in index.files}
    assert parse_index(index_json).files == tuple(cut[f] for f in index.files)
    assert vars(parse_index(index_json)).keys() == vars(index).keys()


def test_an_old_packages_files_are_held_against_whole_hashes(old_index, tmp_path):
    entry, data = parse_index(old_index).segments[0], b"a segment"
    whole = sha256(data).hexdigest()
    (tmp_path / "video").mkdir()
    (tmp_path / entry.file).write_bytes(data)
    for hashed in (whole, whole[:40]):
        assert replace(entry, sha256=hashed, bytes=len(data)).read(tmp_path) == data
    for hashed, size in ((whole[:40] + "0" * 24, 9), (whole, 8), (whole, 10)):
        with pytest.raises(PackageError, match=r"SHA-256|bytes"):
            replace(entry, sha256=hashed, bytes=size).read(tmp_path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema", "pocketsr.package/1"),
        ("schema", "pocketsr.index/1.5"),
        ("schema", 1),
        ("scale", 1),
        ("scale", 5),
        ("scale", True),
        ("scale", 1.5),
        ("scale", 2.5),
        ("scale", "2"),
        ("scale", [2, 1]),
        ("lr.width", 0),
        ("lr.width", 1 << 40),
        ("hr.width", 97),
        ("hr.width", 92),
        ("hr.height", 10),
        ("grid.fine_h", 0),
        ("grid", None),
        ("frames", 19),
        ("frames", -1),
        ("time_base", [1, 0]),
        ("time_base", [1]),
        ("time_base", "1/600"),
        ("method", "x" * 201),
        ("segments", []),
        ("segments", {}),
        ("segments", [7]),
        ("segments.0.start", 1 << 63),
        ("segments.1.start", 0),
        ("segments.0.file", "../../etc/passwd"),
        ("segments.0.file", "/etc/passwd"),
        ("segments.0.file", "video//seg.m4s"),
        ("segments.0.file", "video/.hidden"),
        ("segments.0.file", "http://evil/x"),
        ("segments.0.file", "video\\seg.m4s"),
        ("segments.0.file", "a/" * 100 + "b"),
        ("segments.0.file", None),
        ("segments.0.sha256", "AB" * 32),
        ("segments.0.sha256", "ab" * 31),
        ("segments.0.bytes", -1),
        ("segments.0.bytes", 1 << 40),
        ("weights.0.arch.name", "transformer"),
        ("weights.0.arch.scale", 4),
        ("weights.0.arch.scale", 1.5),
        ("weights.0.arch.scale", "2"),
        ("weights.0.arch.units", 0),
        ("weights.0.arch.units", 4),
        ("weights.0.arch.units", 2),
        ("weights.0.arch.widths", [5]),
        ("weights.0.arch.widths", [4] * 13),
        ("weights.0.arch.exits", [9]),
        ("weights.0.arch.planes", 4),
        ("weights.0.arch.planes", 12),
        ("routes.1.segment", 0),
        ("routes.0.segment", 4),
        ("routes.0.frames", 0),
        ("video_init", None),
    ],
)
def test_a_field_of_schema_1_out_of_bounds_is_refused(old_index, path, value):
    with pytest.raises(PackageError):
        parse_index(with_field(old_index, path, value))


def test_an_index_from_before_units_has_single_pixels(old_index):
    older = copy.deepcopy(old_index)
    for entry in older["weights"]:
        del entry["arch"]["units"]
    assert parse_index(older) == parse_index(old_index)
