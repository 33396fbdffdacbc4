"""The encoders of the LR stream: options, quality, silence, and what a new one costs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chunking.encoders import CODEC_STRINGS, ENCODERS, Encoder, with_options
from chunking.stream import read_stream, write_lr_stream
from chunking.video import Frame


def steady(pictures) -> list[Frame]:
    return [Frame(rgb, 3000 * i, i) for i, rgb in enumerate(pictures)]


@pytest.mark.parametrize(
    ("codec", "good", "bad"),
    [
        ("h264", "preset=fast:tune=film:bframes=2", ["foo=1", "preset=foo", "bframes"]),
        ("h265", "preset=fast:bframes=2:rd=2", ["foo=1", "bframes=99", "bframes=x"]),
        ("av1", "preset=9:tune=0", ["foo=1", "tune=99", "tune=x", "preset=77", "crf=3"]),
        ("lossless", "preset=fast", ["foo=1"]),
    ],
)
def test_options_go_to_the_encoder_and_bad_ones_are_one_line(codec, good, bad, capfd):
    assert with_options(ENCODERS[codec], good) != with_options(ENCODERS[codec], "")
    for option in bad:
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            with_options(ENCODERS[codec], option)
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's threads become real-time ones")
def test_no_thread_of_an_encoder_stays_a_real_time_one(clip_info, moving_frames, tmp_path):
    """SVT-AV1 makes such of its own threads, and of the one that opens it."""

    def policies() -> list[int]:
        return [os.sched_getscheduler(int(t)) for t in os.listdir("/proc/self/task")]

    seen: list[int] = []

    def frames() -> Iterator[Frame]:
        for frame in steady(moving_frames(30)):
            yield frame
            seen.extend(policies())

    before = os.sched_getscheduler(0)
    write_lr_stream(frames(), tmp_path, clip_info, "av1", segment_s=0.5)
    assert len(seen) > 30 * 10, "SVT-AV1 has threads"
    assert {*seen, *policies()} == {before}


def test_x265_has_no_pool_of_threads(clip_info, moving_frames, tmp_path):
    """Its lookahead there races with itself, which ended the process now and then."""

    def threads(codec_opts: str) -> int:
        before, seen = len(os.listdir("/proc/self/task")), list[int]()

        def frames() -> Iterator[Frame]:
            for frame in steady(moving_frames(30)):
                yield frame
                seen.append(len(os.listdir("/proc/self/task")))

        write_lr_stream(frames(), tmp_path, clip_info, "h265", codec_opts=codec_opts)
        return max(seen) - before

    assert 2 <= threads("") < threads("pools=3")


def test_options_change_the_stream(clip_info, moving_frames, tmp_path):
    frames = steady(moving_frames(20))
    for codec, option in (("h264", "bframes=0"), ("h265", "bframes=0"), ("av1", "preset=12")):
        plain, asked = (
            write_lr_stream(frames, tmp_path / name, clip_info, codec, codec_opts=name)
            for name in ("", option)
        )
        assert plain.segments[0].path.read_bytes() != asked.segments[0].path.read_bytes(), codec


@pytest.mark.parametrize("codec", ["h264", "h265", "av1"])
def test_quarters_of_the_quality_are_steps_of_their_own(clip_info, moving_frames, tmp_path, codec):
    frames = steady(moving_frames(12, 96, 128))
    streams = {
        write_lr_stream(frames, tmp_path, clip_info, codec, crf).segments[0].path.read_bytes()
        for crf in (30, 30.25, 30.5, 30.75, 31)
    }
    assert len(streams) == 5


@pytest.mark.parametrize("codec", list(ENCODERS))
def test_no_encoder_signs_its_work(clip_info, moving_frames, tmp_path, codec):
    """Its name and options cost hundreds of bytes a segment."""
    files = write_lr_stream(steady(moving_frames(6)), tmp_path, clip_info, codec)
    data = b"".join(path.read_bytes() for path in files.files)
    assert not re.search(rb"x26[45] - core|x265 \(build|options: |SVT-AV1", data)


def test_crf_trades_bytes(clip_info, moving_frames, tmp_path):
    frames = steady(moving_frames(6))
    for codec in ("av1", "h264", "h265"):
        small, large = (
            write_lr_stream(frames, tmp_path, clip_info, codec, crf).segments[0].path.stat().st_size
            for crf in (45, 10)
        )
        assert small < large


def test_encoders_are_silent(clip_info, moving_frames, tmp_path, capfd):
    for codec in ENCODERS:
        write_lr_stream(steady(moving_frames(4)), tmp_path, clip_info, codec)
    assert capfd.readouterr() == ("", "")


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
    frames = list(steady(moving_frames(6)))
    files = write_lr_stream(frames, tmp_path, clip_info, "vp9")
    assert re.fullmatch(r"vp09\.00\.\d\d\.08", files.codec_string)
    back = list(read_stream(files.init, [s.path for s in files.segments]))
    assert [frame.pts for frame in back] == [frame.pts for frame in frames]


def test_threads_that_try_options_leave_stderr_where_it_was():
    before = os.readlink("/proc/self/fd/2")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: with_options(ENCODERS["h264"], "aq-mode=1"), range(60)))
    assert os.readlink("/proc/self/fd/2") == before
