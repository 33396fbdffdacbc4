"""Audio copied into segments and out again, and the writing of HR files."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from chunking.colour import Colour
from chunking.file_tracks import Beside, Sound
from chunking.input_error import InputError
from chunking.stream import copy_audio
from chunking.video import probe, read_frames
from chunking.writer import VideoWriter, why_not_copied

SECONDS, RATE = 5, 48000
COLOUR = Colour("bt709", False, "bt709", "bt709")


@pytest.fixture
def clip_with_audio(tmp_path, moving_frames):
    """Writes a clip of one second of video and five of a tone in `codec`."""

    def make(codec: str, name: str):
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            video = container.add_stream("libx264", rate=30)
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            audio = container.add_stream(codec, rate=RATE, layout="mono")
            for picture in moving_frames(30):
                container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            container.mux(video.encode(None))
            tone = np.sin(np.arange(SECONDS * RATE) * 440 * 2 * np.pi / RATE)
            for start in range(0, len(tone), 4800):
                samples = tone[None, start : start + 4800].astype(np.float32)
                frame = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
                frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
        return path

    return make


def packets(path) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        timed = [p for p in container.demux(audio=0) if p.pts is not None]
        heard = [p for p in timed if p.pts + p.duration > 0]  # before is an encoder's priming
        return [(max(0, p.pts) * p.time_base, bytes(p)) for p in heard]


def join(files, path):
    path.write_bytes(b"".join(p.read_bytes() for p in parts(files)))
    return path


def parts(files) -> list:
    return [files.init, *(segment.path for segment in files.segments)]


@pytest.mark.parametrize(
    "codec, name, string",
    [("aac", "a.mp4", "mp4a.40.2"), ("libmp3lame", "a.mkv", "mp4a.6B"), ("ac3", "a.ts", "ac-3"),
     ("libopus", "a.mkv", "opus"), ("flac", "a.mkv", "flac")],
)  # fmt: skip
def test_audio_is_copied_packet_by_packet(clip_with_audio, tmp_path, codec, name, string):
    source = clip_with_audio(codec, name)
    files = copy_audio(source, tmp_path / "out")
    assert files is not None and files.codec_string == string
    copied = packets(join(files, tmp_path / "joined.mp4"))
    original = packets(source)
    assert [data for _, data in copied] == [data for _, data in original]
    # Matroska's times are whole milliseconds, MP4's whole samples.
    assert all(abs(a[0] - b[0]) < 0.001 for a, b in zip(copied, original, strict=True))
    assert 2 <= len(files.segments) <= 4
    assert sum(segment.frames for segment in files.segments) == len(copied)


def test_audio_stops_where_the_video_was_cut(clip_with_audio, tmp_path):
    files = copy_audio(clip_with_audio("aac", "a.mp4"), tmp_path / "out", end_s=1.0)
    assert packets(join(files, tmp_path / "joined.mp4"))[-1][0] < 1


def test_other_audio_becomes_aac_and_is_said(clip_with_audio, tmp_path):
    said: list[str] = []
    files = copy_audio(clip_with_audio("pcm_s16le", "a.mkv"), tmp_path / "out", said.append)
    assert files is not None and files.codec_string == "mp4a.40.2"
    assert len(said) == 1 and "pcm_s16le" in said[0]
    last = files.segments[-1]
    assert abs((last.start_ticks + last.duration_ticks) / files.timescale - SECONDS) < 0.05


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_audio_that_breaks_off_is_kept_up_to_there(clip_with_audio, tmp_path, codec):
    source = clip_with_audio(codec, "a.mkv")
    data = source.read_bytes()
    source.write_bytes(data[: len(data) // 2])
    files = copy_audio(source, tmp_path / "out")
    assert files is not None
    last = files.segments[-1]
    assert 0.5 < (last.start_ticks + last.duration_ticks) / files.timescale < SECONDS - 0.5


def test_no_audio(make_clip, moving_frames, tmp_path):
    assert copy_audio(make_clip(moving_frames(2)), tmp_path / "out") is None


@pytest.mark.parametrize("name", ["hr.mp4", "hr.mov", "hr.mkv"])
@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
def test_written_files_keep_times_colour_and_picture(tmp_path, moving_frames, name, size):
    pictures = moving_frames(6, *size)
    pts = [9000, 12003, 15100, 18000, 30006, 31005]
    base = Fraction(1, 1000) if name.endswith("mkv") else Fraction(1, 30000)
    with VideoWriter(tmp_path / name, size, base, COLOUR) as writer:
        for picture, tick in zip(pictures, pts, strict=True):
            writer.write(picture, tick)
    info = probe(tmp_path / name)
    frames = list(read_frames(tmp_path / name))
    assert [f.pts * info.time_base for f in frames] == [tick * base for tick in pts]
    assert info.colour == COLOUR
    for frame, picture in zip(frames, pictures, strict=True):
        assert frame.rgb.shape == picture.shape
        assert np.abs(frame.rgb.astype(int) - picture).mean() < 6


def test_audio_goes_into_the_written_file_unchanged(clip_with_audio, moving_frames, tmp_path):
    source = clip_with_audio("aac", "a.mp4")
    files = copy_audio(source, tmp_path / "out")
    assert files is not None
    target = tmp_path / "hr.mp4"
    audio = b"".join(path.read_bytes() for path in parts(files))
    assert why_not_copied(audio, target) is None
    beside = Beside([Sound(audio)])
    with VideoWriter(target, (48, 64), Fraction(1, 30), COLOUR, beside=beside) as writer:
        for i, picture in enumerate(moving_frames(30)):
            writer.write(picture, i)
    assert packets(target) == packets(source)
    assert len(list(read_frames(target))) == 30


def test_a_failure_leaves_no_file_and_spares_the_old_one(tmp_path, moving_frames):
    target = tmp_path / "hr.mp4"
    target.write_bytes(b"old")
    with (
        pytest.raises(RuntimeError),
        VideoWriter(target, (48, 64), Fraction(1, 30), COLOUR) as writer,
    ):
        writer.write(moving_frames(1)[0], 0)
        raise RuntimeError("stopped")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_unknown_endings_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.mp4, \.mov, \.mkv"):
        VideoWriter(tmp_path / "hr.gif", (48, 64), Fraction(1, 30), COLOUR)


@pytest.mark.parametrize("crf", [16, None])
@pytest.mark.parametrize("name", ["hr.mp4", "hr.mov", "hr.mkv"])
@pytest.mark.parametrize(("end", "length"), [(150, 4.6), (None, 0.04), (13, 0.04)])
def test_the_last_frame_lasts_until_the_end(tmp_path, moving_frames, name, crf, end, length):
    """Behind B frames too, whose order MP4 has its lengths in."""
    pictures, rate = moving_frames(12), Fraction(30)
    with VideoWriter(tmp_path / name, (48, 64), 1 / rate, COLOUR, rate, crf=crf, end=end) as writer:
        for i, picture in enumerate(pictures):
            writer.write(picture, i)
    said: list[str] = []
    *_, last = read_frames(tmp_path / name, on_warning=said.append)
    info = probe(tmp_path / name)
    assert not said and float(last.duration * info.time_base) == pytest.approx(length, abs=0.04)
    assert info.duration_s == pytest.approx((end or 12) / 30, abs=0.04)


def test_times_that_a_file_does_not_hold_are_no_fault_of_ours(tmp_path):
    rgb, out = np.zeros((48, 64, 3), np.uint8), tmp_path / "hr.mp4"
    writer = VideoWriter(out, (48, 64), Fraction(1, 600), COLOUR)
    with pytest.raises(InputError, match="no such file holds the times"), writer:
        for pts in (0, 20, 1 << 40, 1 << 41):
            writer.write(rgb, pts)
    assert not out.exists() and not list(tmp_path.iterdir())
