"""The LR stream: times, segments, codec strings, losslessness, damage."""

from __future__ import annotations

import errno
import io
import os
import re
import struct
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.same_bytes import drifting_pictures, write_film
from chunking.encoders import ENCODERS, with_options
from chunking.input_error import InputError
from chunking.isobmff import SegmentSplitter, boxes
from chunking.opening import Mp4
from chunking.segment import decode_times
from chunking.stream import read_segment, read_stream, write_lr_stream
from chunking.video import Frame, probe, read_frames

CODECS = list(ENCODERS)
PATTERNS = {
    "av1": r"av01\.0\.\d\d[MH]\.08",
    "h264": r"avc1\.6400[0-9A-F]{2}",
    "h265": r"hvc1\.1\.6\.L\d+(\.[0-9A-F]+)*",
    "lossless": r"avc1\.F400[0-9A-F]{2}",
}


def irregular(pictures, start: int) -> list[Frame]:
    """Frames whose intervals are 3003, 3103, 3203, 3003, ... ticks."""
    pts = start + np.cumsum([0] + [3003 + 100 * (i % 3) for i in range(len(pictures) - 1)])
    return [Frame(p, int(t), i) for i, (p, t) in enumerate(zip(pictures, pts, strict=True))]


def paths(files) -> list:
    return [segment.path for segment in files.segments]


def test_a_length_that_is_true_of_no_frame_is_not_the_last_ones(tmp_path):
    """A Matroska film with DefaultDuration in the wrong unit: 1,333 s for each of its frames."""
    path = write_film(tmp_path / "film.mp4", drifting_pictures(12, 64, 96))
    info, said = probe(path), read_frames(path)
    wrong = (replace(frame, duration=40_000 * info.time_base.denominator) for frame in said)
    made = write_lr_stream(wrong, tmp_path, info, "lossless")
    assert made.end_s == Fraction(12, 30)


@pytest.mark.parametrize("codec", CODECS)
def test_an_encode_leaves_no_thread_of_ours_in_real_time(clip_info, moving_frames, tmp_path, codec):
    """Opened by root, SVT-AV1 asks for SCHED_FIFO for the thread that calls it."""
    write_lr_stream(irregular(moving_frames(3), 0), tmp_path, clip_info, codec)
    with_options(ENCODERS["av1"], "preset=8")
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.mark.parametrize("start", [0, 126_000])
@pytest.mark.parametrize("codec", CODECS)
def test_times_come_back_tick_for_tick(clip_info, moving_frames, tmp_path, codec, start):
    frames = irregular(moving_frames(20), start)
    files = write_lr_stream(frames, tmp_path, clip_info, codec, segment_s=0.2)
    back = list(read_stream(files.init, paths(files)))
    assert [f.pts for f in back] == [f.pts for f in frames]
    assert [f.index for f in back] == list(range(20))
    joined = b"".join(p.read_bytes() for p in [files.init, *paths(files)])
    assert [f.pts for f in read_frames(Mp4("joined", joined))] == [f.pts for f in frames]
    for ours, theirs in zip(back, frames, strict=True):
        assert np.abs(ours.rgb.astype(int) - theirs.rgb).mean() < 12


def children(data: bytes, *kinds: bytes) -> list[bytes]:
    """The bodies of the boxes at a path of kinds."""
    found = [box.body for box in boxes(data) if box.kind == kinds[0]]
    return [b for body in found for b in children(body, *kinds[1:])] if kinds[1:] else found


def sample_times(segment: Path) -> tuple[int, list[tuple[int, int]]]:
    """tfdt, and (duration, composition offset) of each sample, read without FFmpeg."""
    (moof,) = children(segment.read_bytes(), b"moof")
    (header,), (tfdt,), (run,) = (children(moof, b"traf", k) for k in (b"tfhd", b"tfdt", b"trun"))
    kinds, has = int.from_bytes(header[1:4], "big"), int.from_bytes(run[1:4], "big")
    before = 8 + 8 * (kinds & 1) + 4 * (kinds >> 1 & 1)  # what stands before the default duration
    default = struct.unpack_from(">I", header, before)[0] if kinds & 8 else 0
    place, samples = 8 + 4 * (has & 1) + 4 * (has >> 2 & 1), []
    for _ in range(struct.unpack_from(">I", run, 4)[0]):
        fields = {}
        for bit, name in ((0x100, "duration"), (0x200, "size"), (0x400, "flags"), (0x800, "cts")):
            if has & bit:
                (fields[name],) = struct.unpack_from(">i", run, place)
                place += 4
        samples.append((fields.get("duration", default), fields.get("cts", 0)))
    return struct.unpack(">Q" if tfdt[0] else ">I", tfdt[4:])[0], samples


@pytest.mark.parametrize("codec", ["h264", "h265", "av1"])
def test_decode_and_presentation_times_are_those_of_the_standard(
    clip_info, moving_frames, tmp_path, codec
):
    frames = irregular(moving_frames(20), 9000)
    files = write_lr_stream(frames, tmp_path, clip_info, codec, segment_s=0.3)
    assert not children(files.init.read_bytes(), b"moov", b"trak", b"edts")
    shown = []
    for segment in files.segments:
        at, samples = sample_times(segment.path)
        assert at == segment.start_ticks
        assert sum(duration for duration, _ in samples) == segment.duration_ticks
        for duration, offset in samples:
            assert duration > 0 and offset >= 0
            shown.append(at + offset)
            at += duration
    assert sorted(shown) == [frame.pts for frame in frames]
    assert (shown != sorted(shown)) == (codec != "av1")  # B frames, and AV1 reorders inside units


def reordered(shown: list[int], reach: int, random) -> list[int]:
    """As encoders reorder: groups of up to `reach` frames, the last of which comes first."""
    pts = shown[:1]
    for i in range(1, len(shown), reach):
        *between, last = shown[i : i + reach]
        random.shuffle(between)
        pts += [last, *between]
    return pts


@given(st.lists(st.integers(16, 90), min_size=1, max_size=40), st.integers(1, 4), st.randoms())
def test_decode_times_rise_and_come_before_presentation(intervals, reach, random):
    shown = [int(t) for t in np.cumsum([500, *intervals])]
    pts = reordered(shown, reach, random)
    times = decode_times(pts, shown[-1] + 30)
    assert times[0] == pts[0] and all(b > a for a, b in pairwise(times))
    assert all(t <= p for t, p in zip(times, pts, strict=True))
    if pts == shown:
        assert times == shown


@given(st.integers(1, 40), st.integers(16, 90), st.integers(1, 4), st.randoms())
def test_no_sample_of_a_steady_film_lasts_beyond_its_segment(count, interval, reach, random):
    shown = [interval * i for i in range(count)]
    end = interval * count
    pts = reordered(shown, reach, random)
    times = [*decode_times(pts, end), end]
    ends = {p: p + b - a for p, (a, b) in zip(pts, pairwise(times), strict=True)}
    assert max(ends.values()) == end
    # Too short a segment has no room for that: its first samples are hurried.
    assert ends[shown[-1]] == end or count < 2 * reach + 2


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_coarse_ticks_are_made_finer_and_no_time_changes(make_clip, moving_frames, tmp_path, codec):
    info = probe(make_clip(moving_frames(2), time_base=Fraction(1, 30)))
    frames = [Frame(rgb, 60 + i, i) for i, rgb in enumerate(moving_frames(20))]
    files = write_lr_stream(frames, tmp_path, info, codec, segment_s=0.3)
    back = [Fraction(f.pts, files.timescale) for f in read_stream(files.init, paths(files))]
    assert back == [Fraction(frame.pts, 30) for frame in frames]
    assert files.start_s == 2 and files.end_s == Fraction(80, 30)


def test_a_segment_depends_on_its_own_frames_alone(clip_info, moving_frames, tmp_path):
    frames = irregular(moving_frames(20), 0)
    whole = write_lr_stream(frames, tmp_path / "whole", clip_info, "h264", segment_s=0.3)
    first = whole.segments[0].frames
    rest = write_lr_stream(frames[first:], tmp_path / "rest", clip_info, "h264", segment_s=0.3)
    assert [p.read_bytes() for p in paths(rest)] == [p.read_bytes() for p in paths(whole)[1:]]


def test_cuts_get_key_frames_and_no_fragment_of_their_own(clip_info, moving_frames, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    frames = irregular(moving_frames(40) + [np.roll(noise, i, axis=1) for i in range(20)], 0)
    files = write_lr_stream(frames, tmp_path, clip_info, "h264", segment_s=4)
    (segment,) = files.segments
    keys = key_flags(files.init, segment.path)
    assert keys[0] and sum(keys) == 2
    assert [b.kind for b in boxes(segment.path.read_bytes())] == [b"moof", b"mdat"]


def test_a_stream_of_other_parameters_is_never_put_together(
    clip_info, moving_frames, tmp_path, monkeypatch
):
    frames = irregular(moving_frames(20), 0)
    write_lr_stream(frames, tmp_path, clip_info, "h264", segment_s=0.3)

    def first_is_there(name, make, files):
        if name != "segment-00001":
            make()

    with pytest.raises(AssertionError, match="first's init"):
        write_lr_stream(
            frames, tmp_path, clip_info, "h264", None, 0.3, "profile=main", first_is_there
        )


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p"])
def test_planes_go_straight_into_the_encoder(
    make_clip, moving_frames, tmp_path, monkeypatch, pix_fmt
):
    source = make_clip(moving_frames(4), pix_fmt=pix_fmt)
    frames, info = list(read_frames(source)), probe(source)
    with av.open(str(source)) as container:
        planes = [frame.to_ndarray() for frame in container.decode(video=0)]
    exact = replace(ENCODERS["h264"], crf=None, options={"preset": "ultrafast", "qp": "0"})
    monkeypatch.setitem(ENCODERS, "exact", exact)
    files = write_lr_stream(frames, tmp_path, info, "exact")
    joined = b"".join(p.read_bytes() for p in [files.init, *paths(files)])
    with av.open(io.BytesIO(joined)) as container:
        back = [frame.to_ndarray() for frame in container.decode(video=0)]
    assert all(np.array_equal(a, b) for a, b in zip(back, planes, strict=True))
    assert probe(Mp4("joined", joined)).colour == info.colour and info.colour.full_range == (
        "j" in pix_fmt
    )
    # Of another size than rgb, as a downscaled frame's would be, they are of no use.
    small = [replace(frame, rgb=frame.rgb[:24, :32]) for frame in frames]
    files = write_lr_stream(small, tmp_path, info, "exact")
    assert (files.width, files.height) == (32, 24)


@pytest.mark.parametrize("codec", CODECS)
def test_segments_tile_the_time_line_and_start_with_key_frames(
    clip_info, moving_frames, tmp_path, codec
):
    frames = irregular(moving_frames(20), 9000)
    files = write_lr_stream(frames, tmp_path, clip_info, codec, segment_s=0.2)
    assert len(files.segments) == 4 and sum(s.frames for s in files.segments) == 20
    assert files.segments[0].start_ticks == 9000
    for segment, following in zip(files.segments, files.segments[1:], strict=False):
        assert segment.start_ticks + segment.duration_ticks == following.start_ticks
    for segment in files.segments:
        keys = key_flags(files.init, segment.path)
        assert keys == [True] + [False] * (segment.frames - 1)
        alone = list(read_segment(files.init, segment.path))
        assert (alone[0].pts, len(alone)) == (segment.start_ticks, segment.frames)


def key_flags(init, segment) -> list[bool]:
    with av.open(io.BytesIO(init.read_bytes() + segment.read_bytes())) as container:
        return [p.is_keyframe for p in container.demux(video=0) if p.dts is not None]


@pytest.mark.parametrize("codec", CODECS)
def test_codec_strings_and_manifest_facts(clip_info, moving_frames, tmp_path, codec):
    files = write_lr_stream(irregular(moving_frames(6), 0), tmp_path, clip_info, codec)
    assert re.fullmatch(PATTERNS.get(codec, r"\w{4}\.[0-9A-Za-z.]+"), files.codec_string)
    assert (files.width, files.height, files.timescale) == (64, 48, 90000)
    (segment,) = files.segments
    exact = 8 * segment.path.stat().st_size * 90000 / segment.duration_ticks
    assert exact <= files.bandwidth_bps < exact + 1
    assert files.init == tmp_path / "video/init.mp4"
    assert segment.path == tmp_path / "video/seg-00001.m4s"
    assert [b.kind for b in boxes(files.init.read_bytes())] == [b"ftyp", b"moov"]
    assert [b.kind for b in boxes(segment.path.read_bytes())] == [b"moof", b"mdat"]


def test_lossless_is_exact(clip_info, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (5, 48, 64, 3), dtype=np.uint8)
    frames = irregular(list(noise), 0)
    files = write_lr_stream(frames, tmp_path, clip_info, "lossless")
    back = list(read_stream(files.init, paths(files)))
    assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(back, frames, strict=True))


@pytest.mark.parametrize("codec", CODECS)
def test_the_same_frames_give_the_same_bytes(clip_info, moving_frames, tmp_path, codec):
    frames = irregular(moving_frames(10), 0)
    first, second = (
        write_lr_stream(frames, tmp_path / run, clip_info, codec, segment_s=0.2) for run in "ab"
    )
    for one, two in zip([first.init, *paths(first)], [second.init, *paths(second)], strict=True):
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("damage", ["missing", "empty", "noise", "cut"])
def test_a_damaged_segment_costs_no_other(clip_info, moving_frames, tmp_path, damage):
    frames = irregular(moving_frames(20), 0)
    files = write_lr_stream(frames, tmp_path, clip_info, "h264", segment_s=0.2)
    bad = files.segments[1]
    spoil(bad.path, damage)
    said: list[str] = []
    back = list(read_stream(files.init, paths(files), said.append))
    others = [segment.path for segment in files.segments if segment is not bad]
    whole = {frame.pts for frame in read_stream(files.init, others)}
    assert whole <= {f.pts for f in back} <= {f.pts for f in frames}
    assert said and all(str(bad.path) in text and "\n" not in text for text in said)


def spoil(path, damage: str) -> None:
    data = path.read_bytes()
    path.unlink()
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "noise":
        path.write_bytes(np.random.default_rng(1).bytes(len(data)))
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])


def test_segments_of_a_longer_stream_from_before_are_removed(clip_info, moving_frames, tmp_path):
    for count in (20, 5):
        frames = irregular(moving_frames(count), 0)
        files = write_lr_stream(frames, tmp_path, clip_info, "h264", segment_s=0.2)
    assert sorted((tmp_path / "video").iterdir()) == sorted([files.init, *paths(files)])


def test_no_frames(clip_info, tmp_path):
    with pytest.raises(InputError, match="no frames"):
        write_lr_stream([], tmp_path, clip_info, "h264")


def test_a_full_disk_is_an_oserror_and_leaves_no_torn_file(
    clip_info, moving_frames, tmp_path, monkeypatch
):
    replace_file, calls = os.replace, []

    def full_at_the_third(source, target):
        calls.append(target)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        replace_file(source, target)

    monkeypatch.setattr(os, "replace", full_at_the_third)
    with pytest.raises(OSError, match="No space left"):
        write_lr_stream(irregular(moving_frames(20), 0), tmp_path, clip_info, "h264", None, 0.2)
    names = sorted(path.name for path in (tmp_path / "video").iterdir())
    assert names == ["init.mp4", "seg-00001.m4s"]


def test_one_tiny_frame(clip_info, moving_frames, tmp_path):
    frame = Frame(moving_frames(1, 16, 16)[0], 0, 0)
    for codec in CODECS:
        files = write_lr_stream([frame], tmp_path / codec, clip_info, codec)
        (back,) = read_stream(files.init, paths(files))
        assert back.rgb.shape == (16, 16, 3)
        assert files.segments[0].duration_ticks > 0


@pytest.mark.parametrize("codec", ["av1", "h264"])
def test_pixel_aspect_ratio_is_carried(clip_info, moving_frames, tmp_path, codec):
    info = replace(clip_info, sample_aspect_ratio=Fraction(4, 3))
    files = write_lr_stream(irregular(moving_frames(2), 0), tmp_path, info, codec)
    joined = Mp4("joined", files.init.read_bytes() + files.segments[0].path.read_bytes())
    assert probe(joined).sample_aspect_ratio == Fraction(4, 3)


def test_splitter_takes_bytes_in_any_pieces(clip_info, moving_frames, tmp_path):
    files = write_lr_stream(irregular(moving_frames(20), 0), tmp_path, clip_info, "h264", None, 0.2)
    expected = [p.read_bytes() for p in [files.init, *paths(files)]]
    whole, parts = b"".join(expected), []
    splitter = SegmentSplitter(parts.append)
    for i in range(0, len(whole), 37):
        splitter.write(whole[i : i + 37])
    splitter.finish()
    assert parts == expected


@pytest.mark.parametrize("size", [(36, 48), (18, 64), (66, 70)])
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_tiny_frames_of_hardly_any_light_are_encoded(clip_info, tmp_path, codec, size):
    """x265's tree of macroblocks ended the process, at 36 x 48 px each time."""
    ramp = np.linspace(0, 24, size[1])[None, :, None] * np.ones((size[0], 1, 3))
    ticks = 1 / (clip_info.frame_rate * clip_info.time_base)
    frames = [Frame((ramp + i % 6).astype(np.uint8), int(i * ticks), i) for i in range(36)]
    made = write_lr_stream(frames, tmp_path, clip_info, codec, 24)
    decoded = list(read_stream(made.init, [s.path for s in made.segments]))
    assert len(decoded) == 36
    assert np.abs(decoded[-1].rgb.astype(float) - frames[-1].rgb).mean() < 4
