"""The LR stream: times, segments, codec strings, losslessness, damage."""

from __future__ import annotations

import errno
import io
import os
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from chunking.encoders import CODEC_STRINGS, ENCODERS, Encoder
from chunking.input_error import InputError
from chunking.isobmff import SegmentSplitter, boxes
from chunking.lr import check_scale, downscale, lr_size
from chunking.stream import read_segment, read_stream, write_lr_stream
from chunking.video import Frame, probe, read_frames

CODECS = list(ENCODERS)
PATTERNS = {
    "av1": r"av01\.0\.\d\d[MH]\.08",
    "h264": r"avc1\.6400[0-9A-F]{2}",
    "h265": r"hvc1\.1\.6\.L\d+(\.[0-9A-F]+)*",
    "lossless": r"avc1\.F400[0-9A-F]{2}",
}


@pytest.fixture
def clip_info(make_clip, moving_frames):
    """VideoInfo of a 64x48 clip with a fine time base."""
    return probe(make_clip(moving_frames(2), time_base=Fraction(1, 90000), pts=[0, 3000]))


def irregular(pictures, start: int) -> list[Frame]:
    """Frames whose intervals are 3003, 3103, 3203, 3003, ... ticks."""
    pts = start + np.cumsum([0] + [3003 + 100 * (i % 3) for i in range(len(pictures) - 1)])
    return [Frame(p, int(t), i) for i, (p, t) in enumerate(zip(pictures, pts, strict=True))]


def paths(files) -> list:
    return [segment.path for segment in files.segments]


@pytest.mark.parametrize("start", [0, 126_000])
@pytest.mark.parametrize("codec", CODECS)
def test_times_come_back_tick_for_tick(clip_info, moving_frames, tmp_path, codec, start):
    frames = irregular(moving_frames(20), start)
    files = write_lr_stream(frames, tmp_path, clip_info, codec, segment_s=0.2)
    back = list(read_stream(files.init, paths(files)))
    assert [f.pts for f in back] == [f.pts for f in frames]
    assert [f.index for f in back] == list(range(20))
    joined = io.BytesIO(b"".join(p.read_bytes() for p in [files.init, *paths(files)]))
    assert [f.pts for f in read_frames(joined)] == [f.pts for f in frames]
    for ours, theirs in zip(back, frames, strict=True):
        assert np.abs(ours.rgb.astype(int) - theirs.rgb).mean() < 12


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


def test_encoders_are_silent(clip_info, moving_frames, tmp_path, capfd):
    for codec in CODECS:
        write_lr_stream(irregular(moving_frames(4), 0), tmp_path, clip_info, codec)
    assert capfd.readouterr() == ("", "")


def test_crf_trades_bytes(clip_info, moving_frames, tmp_path):
    frames = irregular(moving_frames(6), 0)
    for codec in ("av1", "h264", "h265"):
        small, large = (
            write_lr_stream(frames, tmp_path, clip_info, codec, crf).segments[0].path.stat().st_size
            for crf in (45, 10)
        )
        assert small < large


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
    joined = io.BytesIO(files.init.read_bytes() + files.segments[0].path.read_bytes())
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


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("height, width", [(48, 64), (97, 131), (720, 1280), (1080, 1920)])
def test_shrinking_gives_even_sizes_that_cover_the_frame(height, width, scale):
    low_h, low_w = lr_size(height, width, scale)
    assert low_h % 2 == low_w % 2 == 0
    assert 0 <= low_h * scale - height < 2 * scale and 0 <= low_w * scale - width < 2 * scale
    flat = np.full((height, width, 3), 77, np.uint8)
    low = downscale(flat, scale)
    assert low.shape == (low_h, low_w, 3) and (low == 77).all()


def test_a_scale_that_leaves_nothing_is_refused():
    check_scale(64, 64, 4)
    with pytest.raises(InputError, match="too small for x4"):
        check_scale(48, 64, 4)


def test_the_page_has_every_codec_with_its_default():
    text = (Path(__file__).parents[2] / "docs" / "chunking.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| .+ \|(?: (\d+))? \|$", text, re.MULTILINE)
    told = {name: int(crf) if crf else None for name, crf in rows}
    assert told == {name: encoder.crf for name, encoder in ENCODERS.items()}


def test_a_new_codec_is_a_row_of_the_encoders(clip_info, moving_frames, tmp_path, monkeypatch):
    """docs/contributing.md: VP9, which is none of ours, by what encoders.py alone is told."""
    vp9 = Encoder(
        "libvpx-vp9", "yuv420p", "vp09", 30, {"deadline": "realtime", "lag-in-frames": "0"}
    )
    monkeypatch.setitem(ENCODERS, "vp9", vp9)
    monkeypatch.setitem(CODEC_STRINGS, b"vpcC", lambda c: f"{c[4]:02d}.{c[5]:02d}.{c[6] >> 4:02d}")
    frames = list(irregular(moving_frames(6), 0))
    files = write_lr_stream(frames, tmp_path, clip_info, "vp9")
    assert re.fullmatch(r"vp09\.00\.\d\d\.08", files.codec_string)
    back = list(read_stream(files.init, [s.path for s in files.segments]))
    assert [frame.pts for frame in back] == [frame.pts for frame in frames]
