"""Colours from end to end: bars through source, decoder, LR stream and back."""

from __future__ import annotations

import numpy as np
import pytest

from chunking.colour import Colour, ColourTags, resolve_colour
from chunking.encoders import ENCODERS
from chunking.input_error import InputError
from chunking.stream import read_stream, write_lr_stream
from chunking.video import probe, read_frames

BARS = np.array(
    [(255, 255, 255), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0),
     (0, 0, 191), (64, 64, 64)], np.uint8
)  # fmt: skip
COMPANIONS = {"bt709": (1, 1), "smpte170m": (6, 6), "bt2020nc": (9, 14)}
UNSPECIFIED = ColourTags(2, 0, 2, 2)


def bars() -> np.ndarray:
    return np.tile(BARS.repeat(16, axis=0), (48, 1, 1))


def worst_error(rgb: np.ndarray) -> int:
    """Largest error in code values over the middles of the bars, clear of chroma's edges."""
    middles = rgb[16:32].reshape(16, 8, 16, 3)[:, :, 5:11].astype(int)
    return int(np.abs(middles - BARS[None, :, None]).max())


@pytest.fixture
def bar_clip(make_clip, request):
    """A lossless clip of the bars, converted by the H.273 equations themselves."""
    helpers = request.getfixturevalue("colour_reference")

    def make(matrix: str, full: bool, tagged_as: str | None = None):
        planes = helpers.rgb_to_yuv444(bars(), matrix, full)
        frame = helpers.plane_frame(planes, "yuv444p")
        tag = tagged_as or matrix
        tags = (helpers.MATRIX_CODES[tag], 2 if full else 1, *COMPANIONS[tag])
        return make_clip([frame], pix_fmt="yuv444p", tags=tags, qp="0")

    return make


@pytest.fixture
def colour_reference(request):
    """The conftest module, which importlib mode keeps from being imported by name."""
    plugins = request.config.pluginmanager.get_plugins()
    return next(p for p in plugins if hasattr(p, "rgb_to_yuv444"))


@pytest.mark.parametrize("codec", list(ENCODERS))
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "bt2020nc"])
def test_colour_bars_survive_source_and_lr_stream(bar_clip, tmp_path, matrix, full, codec):
    source = bar_clip(matrix, full)
    info = probe(source)
    assert (info.colour.matrix, info.colour.full_range) == (matrix, full)
    frames = list(read_frames(source))
    assert worst_error(frames[0].rgb) <= 2
    crf = {"av1": 5, "h264": 3}.get(codec, 0)
    files = write_lr_stream(frames, tmp_path, info, codec, crf)
    segments = [segment.path for segment in files.segments]
    assert worst_error(next(iter(read_stream(files.init, segments))).rgb) <= 3
    assert_tags_carried(info.colour, joined_colour(files, tmp_path), codec)


def joined_colour(files, folder) -> Colour:
    whole = folder / "joined.mp4"
    whole.write_bytes(files.init.read_bytes() + files.segments[0].path.read_bytes())
    return probe(whole).colour


def assert_tags_carried(source: Colour, lr: Colour, codec: str) -> None:
    assert (lr.primaries, lr.transfer) == (source.primaries, source.transfer)
    as_rgb = ENCODERS[codec].pix_fmt == "rgb24"
    expected = ("rgb", True) if as_rgb else (source.matrix, source.full_range)
    assert (lr.matrix, lr.full_range) == expected


@pytest.mark.parametrize("matrix, wrong", [("bt709", "smpte170m"), ("smpte170m", "bt709")])
def test_a_wrong_matrix_would_be_seen(bar_clip, matrix, wrong):
    frame = next(iter(read_frames(bar_clip(matrix, False, tagged_as=wrong))))
    assert worst_error(frame.rgb) > 15


@pytest.mark.parametrize(
    "width, height, matrix",
    [(1280, 720, "bt709"), (720, 1280, "bt709"), (1280, 544, "bt709"), (1024, 768, "bt709"),
     (854, 480, "smpte170m"), (480, 854, "smpte170m"), (720, 576, "smpte170m")],
)  # fmt: skip
def test_unspecified_matrix_is_decided_by_size(width, height, matrix):
    colour = resolve_colour(UNSPECIFIED, "yuv420p", width, height)
    assert colour == Colour(matrix, False, matrix, matrix)


def test_primaries_decide_before_size():
    tags = ColourTags(2, 0, 9, 16)
    assert resolve_colour(tags, "yuv420p10le", 320, 240) == Colour(
        "bt2020nc", False, "bt2020", "smpte2084"
    )


def test_a_matrix_that_is_not_linear_is_refused():
    with pytest.raises(InputError, match="matrix 14"):
        resolve_colour(ColourTags(14, 0, 9, 16), "yuv420p10le", 1920, 1080)


def test_untagged_source_gives_an_explicitly_tagged_lr_stream(make_clip, moving_frames, tmp_path):
    source = make_clip(moving_frames(2))
    info = probe(source)
    files = write_lr_stream(read_frames(source), tmp_path, info, "h264")
    colr = files.init.read_bytes().split(b"colrnclx")[1][:7]
    assert colr == bytes([0, 6, 0, 6, 0, 6, 0])  # primaries, transfer, matrix, limited


def test_rgb_source_is_served_as_bt709(make_clip, moving_frames, tmp_path):
    picture = moving_frames(1)
    source = make_clip(picture, "clip.mkv", codec="libx264rgb", pix_fmt="rgb24", qp="0")
    info = probe(source)
    assert info.colour.matrix == "rgb"
    assert np.array_equal(next(iter(read_frames(source))).rgb, picture[0])
    files = write_lr_stream(read_frames(source), tmp_path, info, "h264", 3)
    assert joined_colour(files, tmp_path).matrix == "bt709"


def test_jpeg_range_formats_are_full_range(make_clip, colour_reference):
    planes = colour_reference.rgb_to_yuv444(bars(), "smpte170m", True)
    frame = colour_reference.plane_frame(planes, "yuvj444p")
    source = make_clip([frame], "clip.mkv", codec="mjpeg", pix_fmt="yuvj444p", qmin="1", qmax="1")
    info = probe(source)
    assert (info.pix_fmt, info.colour.full_range) == ("yuvj444p", True)
    assert worst_error(next(iter(read_frames(source))).rgb) <= 3


def test_ten_bits_become_eight_by_rounding(make_clip, colour_reference):
    planes = colour_reference.rgb_to_yuv444(bars(), "bt709", False, bits=10)
    frame = colour_reference.plane_frame(planes, "yuv444p10le")
    source = make_clip([frame], pix_fmt="yuv444p10le", tags=(1, 1, 1, 1), qp="0")
    assert worst_error(next(iter(read_frames(source))).rgb) <= 1
    assert any("10-bit" in text for text in probe(source).warnings)
