"""Reading video: times, orientation, and every kind of bad input."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
from PIL import Image

from chunking.input_error import InputError
from chunking.opening import Mp4
from chunking.video import probe, read_frames

IRREGULAR = [0, 1001, 1500, 4004, 4005, 9000]


def difference(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(int) - second).mean())


def test_variable_frame_rate_keeps_its_times(make_clip, moving_frames):
    clip = make_clip(moving_frames(6), pts=IRREGULAR, time_base=Fraction(1, 30000))
    assert probe(clip).time_base == Fraction(1, 30000)
    frames = list(read_frames(clip))
    assert [frame.pts for frame in frames] == IRREGULAR
    assert [frame.index for frame in frames] == list(range(6))


def test_frames_come_in_order_of_presentation_through_b_frames(make_clip, moving_frames):
    pictures = moving_frames(12)
    clip = make_clip(pictures, bf="3", crf="10")
    for frame, picture in zip(read_frames(clip), pictures, strict=True):
        errors = [difference(frame.rgb, other) for other in pictures]
        assert int(np.argmin(errors)) == frame.index
        assert difference(frame.rgb, picture) < 8


def test_time_base_with_a_numerator_moves_into_the_pts(make_clip, moving_frames):
    clip = make_clip(moving_frames(3), "clip.avi", codec="mpeg4", time_base=Fraction(1001, 30000))
    info = probe(clip)
    times = [frame.pts * info.time_base for frame in read_frames(clip)]
    assert info.time_base.numerator == 1
    assert [b - a for a, b in pairwise(times)] == [Fraction(1001, 30000)] * 2


def test_no_more_frames_than_asked_for(make_clip, moving_frames):
    clip = make_clip(moving_frames(6))
    assert len(list(read_frames(clip, limit=4))) == 4
    assert len(list(read_frames(clip))) == 6


@pytest.mark.parametrize("stated", [True, False])
def test_raw_streams_are_timed_by_their_own_rate_or_30(make_clip, moving_frames, stated):
    timing = "vui-timing-info=1" if stated else "vui-timing-info=0"
    clip = make_clip(
        moving_frames(4), "clip.hevc", codec="libx265", time_base=Fraction(1, 24),
        setup=lambda stream: setattr(stream.codec_context, "framerate", Fraction(24)),
        **{"x265-params": f"log-level=none:{timing}"},
    )  # fmt: skip
    info = probe(clip)
    assert info.frame_rate == (24 if stated else 30)
    assert any("30 frames a second are assumed" in text for text in info.warnings) != stated
    times = [frame.pts * info.time_base for frame in read_frames(clip)]
    assert times == [i / info.frame_rate for i in range(4)]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_all_eight_orientations_come_out_upright(make_clip, moving_frames, degrees, mirrored):
    stored = moving_frames(1, 48, 64)
    clip = make_clip(
        stored, codec="libx264rgb", pix_fmt="rgb24", qp="0",
        setup=lambda stream: stream.set_display_rotation(degrees, hflip=mirrored),
    )  # fmt: skip
    upright = np.rot90(stored[0], degrees // 90)  # both count counter-clockwise
    upright = upright[:, ::-1] if mirrored else upright
    info = probe(clip)
    assert (info.height, info.width) == upright.shape[:2]
    assert np.array_equal(next(iter(read_frames(clip))).rgb, upright)


def test_pixel_aspect_ratio_turns_with_the_picture(make_clip, moving_frames):
    def setup(stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        stream.set_display_rotation(90)

    info = probe(make_clip(moving_frames(1), setup=setup))
    assert info.sample_aspect_ratio == Fraction(3, 4)
    assert any("not square" in text for text in info.warnings)


def test_one_frame_and_odd_and_tiny_sizes_work(make_clip, moving_frames):
    clip = make_clip(moving_frames(1, 17, 33), pix_fmt="yuv444p", crf="5")
    (frame,) = read_frames(clip)
    assert frame.rgb.shape == (17, 33, 3)
    assert difference(frame.rgb, moving_frames(1, 17, 33)[0]) < 8


def test_alpha_is_dropped_and_said(make_clip, moving_frames):
    picture = np.dstack([moving_frames(1)[0], np.full((48, 64), 128, np.uint8)])
    frame = av.VideoFrame.from_ndarray(picture, "rgba")
    clip = make_clip([frame], "clip.mkv", codec="ffv1", pix_fmt="bgra")
    assert probe(clip).has_alpha
    assert "the alpha channel is dropped" in probe(clip).warnings
    assert np.array_equal(next(iter(read_frames(clip))).rgb, picture[:, :, :3])


@pytest.mark.parametrize("name", ["clip.mkv", "clip.gif", "clip.png"])
def test_an_alpha_channel_in_which_all_is_opaque_is_not_worth_a_word(
    make_clip, moving_frames, tmp_path, name
):
    pictures, said = moving_frames(3), list[str]()
    if name == "clip.mkv":
        opaque = [np.dstack([p, np.full((48, 64), 255, np.uint8)]) for p in pictures]
        frames = [av.VideoFrame.from_ndarray(picture, "rgba") for picture in opaque]
        make_clip(frames, name, codec="ffv1", pix_fmt="bgra")
    else:
        films = [Image.fromarray(picture).quantize(64) for picture in pictures]
        films[0].save(tmp_path / name, save_all=name == "clip.gif", append_images=films[1:])
    info = probe(tmp_path / name)
    assert not info.has_alpha and not any("alpha" in line for line in info.warnings)
    assert list(read_frames(tmp_path / name, on_warning=said.append)) and not said


def test_a_later_picture_that_is_transparent_is_said_once(make_clip, moving_frames):
    alpha = [np.full((48, 64), 255, np.uint8) for _ in range(4)]
    alpha[2][5, 7] = alpha[3][5, 7] = 0
    pictures = [np.dstack(pair) for pair in zip(moving_frames(4), alpha, strict=True)]
    frames = [av.VideoFrame.from_ndarray(picture, "rgba") for picture in pictures]
    clip, said = make_clip(frames, "clip.mkv", codec="ffv1", pix_fmt="bgra"), list[str]()
    assert len(list(read_frames(clip, 2, said.append))) == 2 and not said
    list(read_frames(clip, None, said.append))
    assert said == ["the alpha channel is dropped"]


def test_a_palette_with_a_transparent_colour_is_said(tmp_path, moving_frames):
    path = tmp_path / "clip.png"
    Image.fromarray(moving_frames(1)[0]).quantize(64).save(path, transparency=3)
    assert probe(path).pix_fmt == "pal8" and probe(path).has_alpha


@pytest.mark.parametrize("transfer, name", [(16, "smpte2084"), (18, "arib-std-b67")])
def test_hdr_is_served_with_its_tags_and_a_warning(make_clip, moving_frames, transfer, name):
    clip = make_clip(moving_frames(1), pix_fmt="yuv420p10le", tags=(9, 1, 9, transfer))
    info = probe(clip)
    assert (info.colour.transfer, info.bit_depth) == (name, 10)
    assert any("HDR" in text for text in info.warnings)
    assert next(iter(read_frames(clip))).rgb.dtype == np.uint8


def test_interlaced_frames_are_deinterlaced_at_the_same_times(make_clip, moving_frames):
    pictures = moving_frames(9)
    woven = [a.copy() for a in pictures[::2]]
    for picture, later in zip(woven, pictures[1::2], strict=False):
        picture[1::2] = later[1::2]
    clip = make_clip(woven, flags="+ildct+ilme", crf="5", pts=[0, 2, 5, 6, 9])
    info = probe(clip)
    assert info.interlaced and any("deinterlaced" in text for text in info.warnings)
    frames = list(read_frames(clip))
    assert [frame.pts for frame in frames] == [0, 2, 5, 6, 9]
    combs = [comb(frame.rgb) for frame in frames]
    assert max(combs) < 0.5 * max(comb(picture) for picture in woven)


def comb(rgb: np.ndarray) -> float:
    """How much each line differs from the mean of its neighbours."""
    lines = rgb.astype(float)
    return float(np.abs(lines[1:-1] - (lines[:-2] + lines[2:]) / 2).mean())


def test_missing_file_and_directory(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        probe(tmp_path / "nothing.mp4")
    with pytest.raises(InputError, match="is a directory"):
        probe(tmp_path)


@pytest.mark.parametrize("content", [b"", b"just text\n" * 50, b"\0" * 5000])
def test_not_a_video(tmp_path, content):
    path = tmp_path / "notes.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        list(read_frames(path))
    assert_one_line(caught.value, path)


def assert_one_line(error: InputError, path) -> None:
    assert str(path) in str(error) and "\n" not in str(error)
    assert error.exit_code == 3


def test_audio_only(tmp_path):
    path = tmp_path / "sound.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match="no video") as caught:
        probe(path)
    assert_one_line(caught.value, path)


def test_zero_frames(make_clip, moving_frames, tmp_path):
    whole = make_clip(moving_frames(2), movflags="frag_keyframe+empty_moov").read_bytes()
    path = tmp_path / "empty.mp4"
    with av.open(str(path), "w", options={"movflags": "empty_moov+frag_keyframe"}) as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    assert len(path.read_bytes()) < len(whole)
    with pytest.raises(InputError) as caught:
        list(read_frames(path))
    assert_one_line(caught.value, path)


@pytest.mark.parametrize("name", ["clip.mkv", "clip.mp4"])
def test_truncated_in_the_middle_gives_what_decodes_and_says_so(make_clip, moving_frames, name):
    clip = make_clip(moving_frames(60), name, g="10", bf="0")
    if name == "clip.mp4":
        clip = faststart(clip)
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) * 6 // 10])
    said: list[str] = []
    frames = list(read_frames(clip, on_warning=said.append))
    assert 20 < len(frames) < 50
    assert said and re.search(rf"{len(frames)} frames", said[-1]) and str(clip) in said[-1]


def faststart(clip):
    """The same clip with its index in front, as a download that broke off has it."""
    path = clip.with_name("front.mp4")
    with (
        av.open(str(clip)) as source,
        av.open(str(path), "w", options={"movflags": "faststart"}) as target,
    ):
        copy = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    return path


def test_damaged_in_the_middle_gives_the_other_frames(make_clip, moving_frames):
    clip = make_clip(moving_frames(60), "clip.ts", g="10", bf="0")
    data = bytearray(clip.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = np.random.default_rng(0).bytes(600)
    clip.write_bytes(bytes(data))
    frames = list(read_frames(clip))
    assert len(frames) >= 45
    assert all(a.pts < b.pts for a, b in pairwise(frames))


def test_whole_clips_say_nothing(make_clip, moving_frames):
    said: list[str] = []
    for name in ("clip.mp4", "clip.mkv", "clip.ts", "clip.avi"):
        codec = "mpeg4" if name.endswith("avi") else "libx264"
        list(read_frames(make_clip(moving_frames(30), name, codec=codec), on_warning=said.append))
    assert not said


def test_a_source_that_is_bytes_in_memory(make_clip, moving_frames):
    data = Mp4("bytes", make_clip(moving_frames(3)).read_bytes())
    assert probe(data).path is None
    assert len(list(read_frames(data))) == 3


def test_a_stream_that_changes_its_size_is_scaled_to_its_first(make_clip, moving_frames, tmp_path):
    first = make_clip(moving_frames(5), "first.h264").read_bytes()
    second = make_clip(moving_frames(5, 96, 128), "second.h264").read_bytes()
    both = tmp_path / "both.h264"
    both.write_bytes(first + second)
    said: list[str] = []
    frames = list(read_frames(both, on_warning=said.append))
    assert [frame.rgb.shape for frame in frames] == [(48, 64, 3)] * 10
    assert len(said) == 1 and "changes its size" in said[0]


def test_a_cover_picture_is_not_a_video(make_clip, moving_frames, tmp_path):
    cover = make_clip(moving_frames(1), "cover.jpg", codec="mjpeg", pix_fmt="yuvj420p")
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container, av.open(str(cover)) as picture:
        sound = container.add_stream("libmp3lame", rate=48000, layout="mono")
        art = container.add_stream_from_template(picture.streams.video[0])
        art.disposition = av.stream.Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 9600), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        packet = next(picture.demux(video=0))
        packet.stream = art
        container.mux(packet)
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    with pytest.raises(InputError, match="no video"):
        probe(path)
