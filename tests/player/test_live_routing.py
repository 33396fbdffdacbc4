"""Video without a route map: the package's router decides, frame by frame, on the LR frames.

The engine is fake_engine.c, whose router names path (red of a cell's first pixel) % 3.
"""

import json
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from chunking.video import Frame
from player.measure import measure
from player.package.entries import RouterEntry, file_entry
from player.package.index import index_to_json, parse_index, read_index, write_index
from player.package.package_error import PackageError
from player.package.router_blob import RouterSizes
from player.package.signature import signing_key
from player.package.verify import verify_package
from player.session import open_package
from player.upscale import upscale
from tests.player.conftest import CELL, HR, LR, write_film
from tests.player.indexes import put_source, source_of
from tests.player.test_measure import use_reference
from tests.router.random_router import router_blob

HOLD = 3
SIZES = RouterSizes(CELL, 3, HOLD, (4, 4, 4, 4))
FAILING = RouterSizes(CELL, 9, HOLD, (4, 4, 4, 4))  # its self-test, in fake_engine.c


def with_router(package: Path, sizes: RouterSizes, segments: tuple[int, ...]) -> Path:
    """Signed anew: a router, and route maps of these segments alone."""
    index, path = read_index(package).index, package / "sr/router.bin"
    path.write_bytes(router_blob(sizes))
    router = RouterEntry(**vars(file_entry(package, path)))
    routes = tuple(r for r in index.routes if r.segment in segments)
    write_index(package, replace(index, router=router, routes=routes), signing_key())
    return package


@pytest.fixture(scope="module")
def made_live(tmp_path_factory, lr_frames, source_clip):
    """The package as it is written with a router and no map at all."""
    folder = tmp_path_factory.mktemp("live") / "film"
    return write_film(folder, lr_frames, source_clip, routes=(), router=router_blob(SIZES))


@pytest.fixture
def live(made_live, tmp_path):
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(made_live, tmp_path / "live"))


def play(folder, engine):
    events = []
    return list(upscale(open_package(folder), engine, 1, events.append)), events


def segments_of(folder) -> list[range]:
    """The numbers of the frames of each segment."""
    counts = [s.frames for s in open_package(folder).index.segments]
    firsts = np.cumsum([0, *counts]).tolist()
    return [range(a, b) for a, b in pairwise(firsts)]


def routed(lr: np.ndarray) -> np.ndarray:
    """The paths [3, 3] that the fake router names."""
    return lr[::CELL, ::CELL, 0] % 3


def hr_of(lr: np.ndarray, paths: np.ndarray) -> np.ndarray:
    """What network 0 makes of a frame on these paths."""
    add = np.kron(paths, np.ones((CELL, CELL), int))[: LR[1], : LR[0], None] * 3
    return (lr + add).astype(np.uint8).repeat(2, 0).repeat(2, 1)[: HR[1], : HR[0]]


def test_every_frame_takes_the_routers_paths_and_keeps_them(live, engine, lr_frames):
    """Looked at: the first frame of a segment, and every third one after it."""
    frames, events = play(live, engine)
    assert len(frames) == 20 and events == []
    for numbers in segments_of(live):
        for position, number in enumerate(numbers):
            paths = routed(lr_frames[numbers[position // HOLD * HOLD]])
            np.testing.assert_array_equal(frames[number].codes, paths)
            np.testing.assert_array_equal(frames[number].rgb, hr_of(lr_frames[number], paths))


def test_a_map_goes_before_the_router(package_dir, engine, lr_frames, expected_hr):
    with_router(package_dir, SIZES, (0, 2))
    frames, events = play(package_dir, engine)
    assert events == []
    for segment, numbers in enumerate(segments_of(package_dir)):
        for number in numbers:
            if segment in (0, 2):
                np.testing.assert_array_equal(frames[number].rgb, expected_hr(number))
            elif number == numbers[0]:
                np.testing.assert_array_equal(frames[number].codes, routed(lr_frames[number]))


def test_the_router_takes_the_place_of_a_damaged_map(package_dir, engine, lr_frames, expected_hr):
    with_router(package_dir, SIZES, (0, 1, 2, 3))
    (package_dir / "sr/routes-00002.bin").write_bytes(b"PSRR")
    frames, (event,) = play(package_dir, engine)
    assert (event.kind, event.what) == ("routes", "sr/routes-00002.bin")
    assert event.action == "the router decides in its segment"
    for segment, numbers in enumerate(segments_of(package_dir)):
        if segment == 1:
            paths = routed(lr_frames[numbers[0]])
            np.testing.assert_array_equal(frames[numbers[0]].codes, paths)
        else:
            np.testing.assert_array_equal(frames[numbers[0]].rgb, expected_hr(numbers[0]))


DAMAGES = {
    "missing": (lambda path: path.unlink(), "cannot be read"),
    "flipped": (lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1])), "bytes, not"),
}


def all_hard(frames, lr_frames) -> bool:
    hard = np.full((3, 3), 2)
    pairs = zip(frames, lr_frames, strict=True)
    return all(np.array_equal(frame.rgb, hr_of(lr, hard)) for frame, lr in pairs)


@pytest.mark.parametrize("damage", DAMAGES)
def test_without_the_router_every_patch_is_hard_and_it_is_said(live, engine, lr_frames, damage):
    harm, reason = DAMAGES[damage]
    harm(live / "sr/router.bin")
    frames, (event,) = play(live, engine)
    assert (event.kind, event.what) == ("router", "sr/router.bin") and reason in event.reason
    assert "hard path" in event.action and all_hard(frames, lr_frames)
    assert [f.file for f in verify_package(live).faults] == ["sr/router.bin"]


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [(FAILING, "self-test"), (RouterSizes(12, 3, HOLD, (4, 4, 4, 4)), "12 px, but the film's")],
    ids=["self-test", "cells"],
)
def test_a_router_that_does_not_work_is_not_followed(package_dir, engine, lr_frames, sizes, reason):
    with_router(package_dir, sizes, ())
    frames, (event,) = play(package_dir, engine)
    assert event.kind == "router" and reason in event.reason and all_hard(frames, lr_frames)
    (fault,) = verify_package(package_dir, self_test=engine.self_test).faults
    assert fault.file == "sr/router.bin" and reason in fault.reason


def test_without_a_signature_or_an_engine_no_router_runs(live, engine, generic_folder):
    assert all(frame.codes is not None for frame in play(live, None)[0])
    put_source(live, source_of(live) | {"method": "evil"})
    frames, (event,) = play(live, engine)
    assert event.kind == "signature"
    assert all((frame.codes == 2).all() for frame in frames)


def test_a_good_router_is_verified_and_counted(
    live, engine, generic_folder, expected_hr, monkeypatch
):  # fmt: skip
    result = verify_package(live, self_test=engine.self_test)
    result.check()
    film = use_reference(monkeypatch, [Frame(expected_hr(i), 0, i) for i in range(20)])
    sizes = measure(open_package(live), film, engine)["bytes"]
    assert sizes["router"] == (live / "sr/router.bin").stat().st_size == SIZES.total_bytes
    assert sizes["total"] == sum(v for k, v in sizes.items() if k != "total")
    assert sizes["routes"] == 0


def test_the_index_keeps_it_and_an_older_one_has_none(live, made_package):
    index = read_index(live).index
    assert index.router is not None and index.router in index.files
    assert parse_index(json.loads(json.dumps(index_to_json(index)))) == index
    older = index_to_json(read_index(made_package).index)
    assert "router" not in older and parse_index(older).router is None
    for wrong in (7, [], {"bytes": [1], "hash": ""}):
        with pytest.raises(PackageError):
            parse_index(older | {"router": wrong})


def test_a_router_that_is_none_is_not_written(tmp_path, lr_frames, source_clip):
    with pytest.raises(PackageError, match="router"):
        write_film(tmp_path / "film", lr_frames, source_clip, router=b"PSRO" + bytes(40))
    assert not (tmp_path / "film/sr/router.bin").exists()
