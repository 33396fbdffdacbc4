"""The index: round trips, and every number bounded."""

import copy
import json
from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.package.architecture import Architecture
from player.package.fields import parse_object
from player.package.index import Size, index_to_json, parse_index, read_index
from player.package.package_error import PackageError
from player.package.verify import verify_package
from tests.player.conftest import tiny_blob, write_film


@pytest.fixture(scope="session")
def source(made_package):
    return json.loads((made_package / "sr/index.json").read_bytes())


def test_an_index_comes_back_as_it_was(made_package, source):
    index = read_index(made_package).index
    assert parse_index(json.loads(json.dumps(index_to_json(index)))) == index
    assert index.time_base == Fraction(1, 600)
    assert index.grid_shape == (3, 3)
    assert index.colour["matrix"] == source["colour"]["matrix"]
    assert [w.arch.exits for w in index.weights] == [(1, 2), (1, 2)]


def test_fields_of_the_future_are_ignored(source):
    future = copy.deepcopy(source) | {"hologram": [1, 2]}
    future["segments"][0]["smell"] = "rose"
    assert parse_index(future) == parse_index(source)


def test_a_newer_schema_is_refused(source):
    with pytest.raises(PackageError, match="newer than this player; update"):
        parse_index(source | {"schema": "pocketsr.index/2"})


def _set(source: dict, path: str, value: object) -> dict:
    """A copy with one field set; the path is like segments.0.file."""
    changed = copy.deepcopy(source)
    *parents, last = [int(p) if p.isdigit() else p for p in path.split(".")]
    at = changed
    for part in parents:
        at = at[part]
    at[last] = value
    return changed


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
def test_a_field_out_of_bounds_is_refused(source, path, value):
    with pytest.raises(PackageError):
        parse_index(_set(source, path, value))


@pytest.fixture(scope="session")
def half_more(tmp_path_factory, lr_frames, source_clip, _home):
    """The index of a package of scale 1.5 on units of 2 px, as JSON."""
    arch = Architecture("chain", Fraction(3, 2), (4, 4), (1, 2), 2)
    folder = write_film(
        tmp_path_factory.mktemp("half") / "film", lr_frames, source_clip,
        scale=arch.scale, hr=Size(72, 54), weights=[tiny_blob(1, True, arch)] * 2,
    )  # fmt: skip
    assert verify_package(folder).ok
    return json.loads((folder / "sr/index.json").read_bytes())


def test_scale_is_a_number_and_units_are_named(source, half_more):
    assert (source["scale"], half_more["scale"]) == (2, 1.5)
    assert half_more["weights"][0]["arch"] == {
        "name": "chain", "scale": 1.5, "widths": [4, 4], "exits": [1, 2], "units": 2, "planes": 12,
    }  # fmt: skip
    index = parse_index(half_more)
    assert (index.scale, index.weights[0].arch.units) == (Fraction(3, 2), 2)
    assert index.weights[0].arch.scale == Fraction(3, 2)


def test_an_index_from_before_units_has_single_pixels(source):
    old = copy.deepcopy(source)
    for entry in old["weights"]:
        del entry["arch"]["units"]
    assert parse_index(old) == parse_index(source)


@pytest.mark.parametrize(("field", "value"), [("fine_h", 15), ("fine_w", 7)])
def test_cells_that_are_not_whole_units_are_refused(half_more, field, value):
    with pytest.raises(PackageError, match="px are not whole units of 2 px"):
        parse_index(_set(half_more, f"grid.{field}", value))
    # Without a network the anchor's own units are left: of 1.5, pairs of LR pixels.
    bare = _set(half_more, "weights", [])
    parse_index(bare)
    with pytest.raises(PackageError, match="px are not whole units of 2 px"):
        parse_index(_set(bare, f"grid.{field}", value))


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b"1" * 5000])
def test_what_is_no_object_is_refused(data):
    with pytest.raises(PackageError):
        parse_object(data, "sr/index.json")


LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
VALUES = st.one_of(
    LEAVES, st.lists(LEAVES, max_size=3), st.dictionaries(st.text(max_size=4), LEAVES, max_size=3)
)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_field_may_hold_anything(source, data):
    """Whatever stands in a field, the parser takes it or says PackageError."""
    changed = copy.deepcopy(source)
    at = changed
    while True:
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        if not isinstance(at[key], dict | list) or not at[key] or data.draw(st.booleans()):
            at[key] = data.draw(VALUES)
            break
        at = at[key]
    with suppress(PackageError):
        parse_index(changed)
