"""The ladder: whatever happens to a package, the video plays, and what happened is said."""

import os

import numpy as np
import pytest

from player.bicubic import upscale_bicubic
from player.package.package_error import PackageError
from player.session import NotAPackageError, open_package
from player.upscale import upscale
from tests.player.indexes import put_source, source_of

SR_FILES = ["sr/index.bin", "sr/weights-000.bin", "sr/weights-001.bin", "sr/routes-00001.bin",
            "sr/routes-00003.bin"]  # fmt: skip
DAMAGES = {
    "empty": lambda data: b"",
    "truncated": lambda data: data[: len(data) // 2],
    "flipped": lambda data: data[:20] + bytes([data[20] ^ 4]) + data[21:],
    "zeroed": lambda data: bytes(len(data)),
    "reversed": lambda data: data[::-1],
    "longer": lambda data: data + data,
}


def play(folder, engine):
    """Every frame, and every event."""
    events = []
    frames = list(upscale(open_package(folder), engine, 1, events.append))
    return frames, events


@pytest.mark.parametrize("name", SR_FILES)
@pytest.mark.parametrize("damage", ["missing", *DAMAGES])
def test_no_damage_in_sr_stops_the_video(package_dir, engine, generic_folder, name, damage):
    path = package_dir / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    frames, events = play(package_dir, engine)
    assert len(frames) == 20
    assert [e.what for e in events] == [name]


def test_without_all_of_sr_the_lr_video_is_shown(package_dir, engine, lr_frames):
    for path in (package_dir / "sr").iterdir():
        path.unlink()
    frames, (event,) = play(package_dir, engine)
    assert event.kind == "index"
    for frame, lr in zip(frames, lr_frames, strict=True):
        np.testing.assert_array_equal(frame.rgb, lr)


def test_a_lost_network_is_replaced_by_the_generic_one(
    package_dir, engine, generic_folder, expected_hr
):
    (package_dir / "sr/weights-000.bin").unlink()
    (package_dir / "sr/weights-001.bin").unlink()
    frames, events = play(package_dir, engine)
    assert [e.kind for e in events] == ["weights", "weights"]
    for i, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.rgb, expected_hr(i, offset=9))


def test_without_any_network_the_engine_shows_the_anchor(
    package_dir, engine, generic_folder, lr_frames
):
    for path in (*(package_dir / "sr").glob("weights*"), generic_folder / "x2.bin"):
        path.write_bytes(b"damaged")
    frames, events = play(package_dir, engine)
    assert [e.kind for e in events] == ["weights", "generic", "weights"]
    anchor = lr_frames[3].repeat(2, 0).repeat(2, 1)[:70, :94]
    np.testing.assert_array_equal(frames[3].rgb, anchor)


def test_without_an_engine_frames_are_bicubic_and_it_is_said(made_package, lr_frames):
    frames, (event,) = play(made_package, None)
    assert event.kind == "engine" and "bicubic" in str(event)
    np.testing.assert_array_equal(frames[0].rgb, upscale_bicubic(lr_frames[0], 2)[:70, :94])


def test_a_damaged_route_map_makes_its_segment_hard_and_no_other(
    package_dir, engine, expected_hr, lr_frames
):
    (package_dir / "sr/routes-00002.bin").write_bytes(b"PSRR")
    frames, (event,) = play(package_dir, engine)
    index = open_package(package_dir).index
    first, count = index.segments[0].frames, index.segments[1].frames
    assert "hard path" in event.action
    for i, frame in enumerate(frames):
        if first <= i < first + count:
            hard = (lr_frames[i] + 2 * 3).repeat(2, 0).repeat(2, 1)[:70, :94]
            np.testing.assert_array_equal(frame.rgb, hard)
        else:
            np.testing.assert_array_equal(frame.rgb, expected_hr(i))


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "flipped"])
def test_a_damaged_segment_loses_its_own_frames_only(package_dir, engine, expected_hr, damage):
    path = package_dir / "video/seg-00002.m4s"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    index = open_package(package_dir).index
    first, count = index.segments[0].frames, index.segments[1].frames
    frames, (event,) = play(package_dir, engine)
    assert event.what == "video/seg-00002.m4s" and "skipped" in event.action
    kept = [*range(first), *range(first + count, 20)]
    for number, frame in zip(kept, frames, strict=True):
        np.testing.assert_array_equal(frame.rgb, expected_hr(number))


def test_a_changed_index_keeps_its_sizes_but_loses_its_networks(
    package_dir, engine, generic_folder, lr_frames
):
    put_source(package_dir, source_of(package_dir) | {"method": "evil"})
    frames, (event,) = play(package_dir, engine)
    assert event.kind == "signature"
    hard = (lr_frames[5] + 2 * 9).astype(np.uint8).repeat(2, 0).repeat(2, 1)[:70, :94]
    np.testing.assert_array_equal(frames[5].rgb, hard)


def test_an_index_of_another_size_is_not_followed(package_dir, engine, generic_folder):
    other = source_of(package_dir)
    other["lr"][0], other["hr"][0] = 480, 960
    put_source(package_dir, other)
    frames, _ = play(package_dir, engine)
    assert {f.rgb.shape for f in frames} == {(70, 96, 3)}


def test_a_package_without_any_whole_segment_is_an_error(package_dir, engine):
    for path in (package_dir / "video").glob("seg-*"):
        path.write_bytes(b"")
    with pytest.raises(PackageError, match=r"video/seg-00001\.m4s: has 0 bytes") as caught:
        play(package_dir, engine)
    assert caught.value.exit_code == 5  # as `verify` has it


def test_a_package_without_any_segment_is_none(package_dir, engine):
    for path in (package_dir / "video").glob("seg-*"):
        path.unlink()
    (package_dir / "sr/index.bin").unlink()
    with pytest.raises(NotAPackageError, match="no segment") as caught:
        play(package_dir, engine)
    assert caught.value.exit_code == 3


def test_a_damaged_initialisation_is_an_error_not_a_crash(package_dir, engine):
    (package_dir / "video/init.mp4").write_bytes(bytes(100))
    with pytest.raises(PackageError, match=r"video/init\.mp4: "):
        play(package_dir, engine)


@pytest.mark.parametrize("kind", ["pipe", "link", "dangling link", "folder"])
def test_an_initialisation_that_is_no_plain_file_is_refused_as_such(package_dir, engine, kind):
    path = package_dir / "video/init.mp4"
    path.rename(package_dir / "kept")
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to(package_dir / ("kept" if kind == "link" else "gone"))
    wanted = r"video/init\.mp4: is (not a plain file|a symbolic link); fetch it again"
    with pytest.raises(PackageError, match=wanted) as caught:
        play(package_dir, engine)
    assert caught.value.exit_code == 5
