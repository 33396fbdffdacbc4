"""How often a film's frames come, with pauses, holes and lengths of every kind."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest

from chunking.rhythm import holes, usual_interval, usual_rate
from chunking.stream import read_segment, read_stream, write_lr_stream
from chunking.video import probe, read_frames

MS = Fraction(1, 1000)
REGULAR = [33 * i for i in range(12)]
PAUSED = [*REGULAR, *(3000 + t for t in REGULAR)]
HOLED = [*REGULAR, *(100_000 + t for t in REGULAR)]
QUARTER = [4000 * i for i in range(8)]
NAMES = ["clip.mp4", "clip.mkv", "clip.ts"]


@pytest.mark.parametrize(
    "times, interval",
    [
        ([0, 1001, 2002, 9000], 1001),  # a pause
        ([0, 100, 200, 400, 500, 600], 100),  # a dropped frame
        ([0, 2, 5, 7, 10, 12, 15], Fraction(5, 2)),  # 3:2 pulldown, which is 24 frames a second
        ([0, 33, 67, 100], Fraction(100, 3)),  # rounded
        ([7], None),
    ],
)
def test_the_usual_interval(times, interval):
    assert usual_interval(times) == interval


def test_a_stated_rate_is_taken_where_times_are_rounded_to_it():
    rounded = [round(i * 1001 / 30) for i in range(20)]
    assert usual_rate(rounded, MS, Fraction(30000, 1001)) == Fraction(30000, 1001)
    assert usual_rate(PAUSED, MS, Fraction(7)) == Fraction(1000, 33)
    assert usual_rate([5, 5], MS) is None


def test_holes_are_told_with_their_place():
    assert holes(PAUSED, MS) is None and holes(QUARTER, MS) is None and holes([3], MS) is None
    assert "99.6 s from 0.36 s on" in holes(HOLED, MS)
    # From the first frame on: transport streams begin anywhere.
    assert "99.6 s from 0.36 s on" in holes([t + 5000 for t in HOLED], MS)
    many = [20_000 * i + t for i in range(6) for t in (0, 33, 66, 99)]
    assert holes(many, MS).count(" s from ") == 3 and "and 2 times more" in holes(many, MS)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "times, rate, said",
    [
        (PAUSED, Fraction(1000, 33), 0),
        (QUARTER, Fraction(1, 4), 0),
        (HOLED, Fraction(1000, 33), 1),
    ],
)
def test_films_with_pauses_keep_their_rate_and_are_not_damaged(
    make_clip, moving_frames, tmp_path, name, times, rate, said
):
    clip = make_clip(moving_frames(len(times)), name, pts=times, time_base=MS)
    warnings: list[str] = []
    frames, info = list(read_frames(clip, on_warning=warnings.append)), probe(clip)
    assert float(info.frame_rate) == pytest.approx(float(rate), rel=0.02)
    assert len(warnings) == said and all("no frame comes for 99.6 s" in w for w in warnings)
    gaps = [(b.pts - a.pts) * info.time_base for a, b in pairwise(frames)]
    assert gaps == [(b - a) * MS for a, b in pairwise(times)]
    files = write_lr_stream(frames, tmp_path / "out", info, "h264")
    assert float(files.frame_rate) == pytest.approx(float(rate), rel=0.02)
    for segment in files.segments:  # at its making all was said
        list(read_segment(files.init, segment.path, warnings.append))
    assert len(warnings) == said


@pytest.mark.parametrize("name", NAMES[:2])
def test_a_last_frame_is_no_part_of_the_rate_and_lasts(make_clip, moving_frames, tmp_path, name):
    """Of 12 frames the one that is decoded last lasts 5 s longer, which is the stream's length."""

    clip = make_clip(moving_frames(12), name, last_s=5, bf="2")
    warnings: list[str] = []
    frames, info = list(read_frames(clip, on_warning=warnings.append)), probe(clip)
    assert not warnings and float(info.frame_rate) == pytest.approx(30, rel=0.02)
    files = write_lr_stream(frames, tmp_path / "out", info, "h264")
    assert files.frame_rate == info.frame_rate
    assert float(files.end_s - files.start_s) == pytest.approx(5.3, abs=0.1)


@pytest.mark.parametrize("codec", ["av1", "h264", "h265"])
@pytest.mark.parametrize("rate", [Fraction(1, 60), Fraction(480)])
def test_slides_and_slow_motion_keep_their_times(make_clip, moving_frames, tmp_path, codec, rate):
    base = Fraction(1, 960)
    times = [round(i / rate / base) for i in range(8)]
    clip = make_clip(moving_frames(8, 64, 96), pts=times, time_base=base)
    info = probe(clip)
    files = write_lr_stream(read_frames(clip), tmp_path, info, codec)
    assert info.frame_rate == files.frame_rate == rate
    back = read_stream(files.init, [s.path for s in files.segments])
    assert [Fraction(f.pts, files.timescale) for f in back] == [i / rate for i in range(8)]


def test_a_pause_before_the_last_frame_is_not_how_long_that_lasts(
    make_clip, moving_frames, tmp_path
):
    clip = make_clip(moving_frames(13), pts=[*REGULAR, 5000], time_base=MS)
    files = write_lr_stream(read_frames(clip), tmp_path / "out", probe(clip), "h264")
    assert float(files.end_s) == pytest.approx(5.033, abs=0.002)


def test_a_whole_matroska_file_is_told_from_one_that_is_cut(make_clip, moving_frames):
    clip = make_clip(moving_frames(60), "clip.mkv", last_s=5, g="10", bf="0")
    data, warnings = clip.read_bytes(), list[str]()
    list(read_frames(clip, on_warning=warnings.append))
    assert not warnings
    clip.write_bytes(data[: len(data) * 2 // 3])
    list(read_frames(clip, on_warning=warnings.append))
    assert len(warnings) == 1
