"""Pictures of which a container shows a part: PixelCrop of Matroska, clap of MP4."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from chunking.cropping import Crop
from chunking.video import probe, read_frames

_COLOUR, _VOID = b"\x55\xb0", 0xEC
_SIDES = {"top": b"\x54\xbb", "bottom": b"\x54\xaa", "left": b"\x54\xcc", "right": b"\x54\xdd"}
RGB = {"codec": "libx264rgb", "pix_fmt": "rgb24", "qp": "0", "tags": (0, 2, 1, 1)}
EVEN, ODD = Crop(4, 8, 2, 6), Crop(3, 4, 5, 8)


@pytest.fixture
def cropped(make_clip, moving_frames):
    """A Matroska file with cropping, which PyAV cannot write: it takes the place of the colour."""

    def make(crop: Crop, **options) -> Path:
        path = make_clip(moving_frames(3), "clip.mkv", **options)
        data = bytearray(path.read_bytes())
        at = data.index(_COLOUR, data.index(b"\x16\x54\xae\x6b"))
        length = 3 + (data[at + 2] & 0x7F)
        sides = b"".join(_SIDES[side] + bytes([0x81, px]) for side, px in vars(crop).items())
        void = length - len(sides) - 2
        data[at : at + length] = sides + bytes([_VOID, 0x80 | void]) + bytes(void)
        path.write_bytes(data)
        return path

    return make


def remuxed(path: Path, turn_deg: int = 0) -> Path:
    """The same as MP4, whose muxer makes a clean aperture of the cropping."""
    out = path.with_suffix(".mp4")
    with av.open(str(path)) as source, av.open(str(out), "w") as target:
        copy = target.add_stream_from_template(source.streams.video[0])
        if turn_deg:
            copy.set_display_rotation(turn_deg)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    assert b"clap" in out.read_bytes()
    return out


@pytest.mark.parametrize("crop", [EVEN, ODD])
@pytest.mark.parametrize("as_mp4", [False, True])
def test_what_the_container_crops_is_not_shown(cropped, moving_frames, crop, as_mp4):
    path = remuxed(cropped(crop, **RGB)) if as_mp4 else cropped(crop, **RGB)
    info = probe(path)
    assert info.crop == crop and (info.height, info.width) == crop.size(48, 64)
    assert any(f"cropped to {info.width}x{info.height}" in text for text in info.warnings)
    for frame, stored in zip(read_frames(path), moving_frames(3), strict=True):
        assert np.array_equal(frame.rgb, crop.apply(stored))


def test_it_is_cropped_before_it_is_turned(cropped, moving_frames):
    path = remuxed(cropped(EVEN, **RGB), 90)
    info = probe(path)
    assert (info.width, info.height) == EVEN.size(48, 64)
    upright = np.rot90(EVEN.apply(moving_frames(1)[0]))
    assert np.array_equal(next(iter(read_frames(path))).rgb, upright)


def test_the_planes_of_the_film_are_cropped_exactly_or_not_used(cropped):
    path = cropped(EVEN, tags=(1, 1, 1, 1))
    with av.open(str(path)) as container:
        stored = next(container.decode(video=0)).to_ndarray()
    own = next(iter(read_frames(path))).decoded
    assert (own.height, own.width) == EVEN.size(48, 64)
    luma, chroma = np.split(own.to_ndarray().ravel(), [own.height * own.width])
    assert np.array_equal(luma.reshape(own.height, -1), stored[4:40, 2:58])
    blue = stored[48:60].reshape(24, 32)
    assert np.array_equal(chroma[: len(chroma) // 2].reshape(18, 28), blue[2:20, 1:29])
    # A chroma sample stands for two columns and rows: an odd cut is made in RGB.
    assert next(iter(read_frames(cropped(ODD, tags=(1, 1, 1, 1))))).decoded is None
