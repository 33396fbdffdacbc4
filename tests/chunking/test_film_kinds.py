"""Pictures as films really have them: times, sizes and formats that surprise."""

from __future__ import annotations

import struct
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from chunking.colour import frame_to_rgb
from chunking.ebml import segment_is_whole
from chunking.input_error import InputError
from chunking.stream import write_lr_stream
from chunking.video import probe, read_frames


def read(path):
    """(VideoInfo, frames, what was said)."""
    said: list[str] = []
    return probe(path), list(read_frames(path, on_warning=said.append)), said


@pytest.fixture
def still_at_the_end(tmp_path, moving_frames):
    """A recording of a screen: 12 frames at 30 a second, of which the last lasts 5 s."""
    path = tmp_path / "screen.mp4"
    with av.open(str(path), "w", options={"video_track_timescale": "30000"}) as out:
        stream = out.add_stream("libx264", rate=30, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        packets = []
        for picture in moving_frames(12):
            packets += stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24"))
        packets += stream.encode(None)
        packets[-1].duration = round(5 / packets[-1].time_base)
        out.mux(packets)
    return path


def test_a_last_frame_that_lasts_for_seconds_is_no_damage_and_lasts_in_the_stream(
    still_at_the_end, tmp_path
):
    info, frames, said = read(still_at_the_end)
    assert len(frames) == 12 and not said
    files = write_lr_stream(frames, tmp_path / "out", info, "h264")
    assert float(files.end_s) == pytest.approx(11 / 30 + 5, abs=0.001)


def test_a_last_frame_like_the_others_lasts_as_long(make_clip, moving_frames, tmp_path):
    info, frames, _ = read(make_clip(moving_frames(12)))
    files = write_lr_stream(frames, tmp_path / "out", info, "h264")
    assert float(files.end_s) == pytest.approx(12 / 30, abs=0.001)


def test_an_interlaced_film_may_change_its_size(make_clip, moving_frames, tmp_path):
    """As broadcasts do: from then on it is scaled to its first, and that is said."""

    def interlaced(stream) -> None:
        stream.codec_context.flags |= av.codec.context.Flags.interlaced_dct
        stream.options = {"flags": "+ilme+ildct", "top": "1"}

    sizes = ((48, 64), (96, 128))
    parts = [
        make_clip(moving_frames(8, *size), f"{size[0]}.ts", codec="mpeg2video", setup=interlaced)
        for size in sizes
    ]
    both = tmp_path / "both.ts"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    info, frames, said = read(both)
    with av.open(str(both)) as container:  # the decoder itself may drop one where sizes change
        decoded = sum(1 for _ in container.decode(video=0))
    assert info.interlaced and len(frames) == decoded >= 15
    assert {frame.rgb.shape for frame in frames} == {(48, 64, 3)}
    assert any("changes its size" in line for line in said)


def test_avi_with_b_frames_has_even_times(make_clip, moving_frames):
    """It has the order of decoding alone, of which FFmpeg makes twice the rate."""
    clip = make_clip(
        moving_frames(30), "clip.avi", codec="libx264",
        setup=lambda stream: setattr(stream, "options", {"bf": "2", "b-adapt": "0"}),
    )  # fmt: skip
    info, frames, said = read(clip)
    assert info.frame_rate == 30 and len(frames) == 30 and not said
    times = [frame.pts * info.time_base for frame in frames]
    assert {two - one for one, two in pairwise(times)} == {Fraction(1, 30)} and times[0] == 0


def test_animated_webp_is_named(tmp_path):
    path = tmp_path / "a.webp"
    for flags, match in ((0x12, "animated WebP is not supported"), (0x10, "not a video|no frame")):
        header = b"WEBPVP8X" + struct.pack("<IB", 10, flags) + bytes(9)
        path.write_bytes(b"RIFF" + struct.pack("<I", len(header)) + header)
        with pytest.raises(InputError, match=match):
            probe(path)


def test_alpha_of_vp9_is_dropped_and_said(tmp_path, moving_frames):
    path = tmp_path / "a.webm"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libvpx-vp9", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuva420p"
        stream.metadata["alpha_mode"] = "1"
        for picture in moving_frames(3):
            rgba = np.dstack([picture, np.full(picture.shape[:2], 99, np.uint8)])
            frame = av.VideoFrame.from_ndarray(rgba, "rgba").reformat(format="yuva420p")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    info = probe(path)
    assert info.has_alpha and any("alpha" in line for line in info.warnings)


def test_only_interlaced_frames_of_a_mixed_film_are_deinterlaced(make_clip, moving_frames):
    pictures, woven = moving_frames(16), []
    for i in range(8):
        picture = pictures[2 * i].copy()
        picture[1::2] = pictures[2 * i + 1][1::2]
        woven.append(av.VideoFrame.from_ndarray(picture, "rgb24"))
    parts = [
        make_clip(pictures[:8], "progressive.ts", codec="mpeg2video", qmin="1", qmax="2"),
        make_clip(
            woven, "interlaced.ts", codec="mpeg2video", flags="+ilme+ildct", qmin="1", qmax="2",
            pts=list(range(8, 16)),
        ),
    ]  # fmt: skip
    for order in (parts, parts[::-1]):
        both = order[0].with_name("both.ts")
        both.write_bytes(b"".join(part.read_bytes() for part in order))
        info, frames, said = read(both)
        with av.open(str(both)) as container:
            decoded = [
                (frame_to_rgb(f, info.colour, VideoReformatter(), (48, 64)), f.interlaced_frame)
                for f in container.decode(video=0)
            ]
        assert len(frames) == len(decoded) and {flag for _, flag in decoded} == {True, False}
        assert info.interlaced == decoded[0][1]
        assert any("interlaced frames among others" in line for line in said) != info.interlaced
        changed = [
            not np.array_equal(ours.rgb, theirs)
            for ours, (theirs, _) in zip(frames, decoded, strict=True)
        ]
        assert changed == [flag for _, flag in decoded]
        assert {frame.duration for frame in frames} == {3000}


def test_a_hole_in_matroska_is_damage_though_its_length_is_whole(make_clip, moving_frames):
    path = make_clip(moving_frames(40, 96, 128), "hole.mkv", time_base=Fraction(1, 1000),
                     pts=[40 * i for i in range(40)])  # fmt: skip
    assert segment_is_whole(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    path.write_bytes(data)
    assert not segment_is_whole(path)
    lost: list[str] = []
    frames = list(read_frames(path, on_loss=lost.append))
    assert 0 < len(frames) < 40 and len(lost) == 1
    assert f"the {len(frames)} frames that decode are used" in lost[0]
