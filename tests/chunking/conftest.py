"""Small clips made with PyAV, and a colour conversion that shares no code with ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import settings

from chunking.probe import VideoInfo, probe

# A loaded machine is no failure of a property.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

LUMA_WEIGHTS = {"bt709": (0.2126, 0.0722), "smpte170m": (0.299, 0.114), "bt2020nc": (0.2627, 0.0593)}  # fmt: skip  # noqa: E501
MATRIX_CODES = {"bt709": 1, "smpte170m": 6, "bt2020nc": 9}


def rgb_to_yuv444(rgb: np.ndarray, matrix: str, full_range: bool, bits: int = 8) -> np.ndarray:
    """[3, H, W] code values of [H, W, 3] u8 RGB, straight from H.273 equations 8.3."""
    kr, kb = LUMA_WEIGHTS[matrix]
    r, g, b = np.moveaxis(rgb / 255.0, -1, 0)
    y = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))
    step = 2 ** (bits - 8)
    if full_range:
        top = 2**bits - 1
        return np.rint([y * top, cb * top + 128 * step, cr * top + 128 * step]).clip(0, top)
    return np.rint([(219 * y + 16) * step, (224 * cb + 128) * step, (224 * cr + 128) * step])


def plane_frame(planes: np.ndarray, pix_fmt: str) -> av.VideoFrame:
    """A frame of a planar 4:4:4 or grey format from [n, H, W] code values."""
    frame = av.VideoFrame(planes.shape[2], planes.shape[1], pix_fmt)
    dtype = np.uint8 if frame.format.components[0].bits == 8 else np.uint16
    for plane, values in zip(frame.planes, planes, strict=True):
        row_bytes = values.shape[1] * np.dtype(dtype).itemsize
        padded = np.zeros((plane.height, plane.line_size), np.uint8)
        padded[:, :row_bytes] = values.astype(dtype).view(np.uint8).reshape(plane.height, -1)
        plane.update(padded.tobytes())
    return frame


@pytest.fixture
def moving_frames() -> Callable[..., list[np.ndarray]]:
    """`count` smooth RGB pictures [H, W, 3] u8 that drift, so that order and place show."""

    def make(count: int = 6, height: int = 48, width: int = 64) -> list[np.ndarray]:
        y, x = np.mgrid[:height, :width]
        return [
            np.stack(
                [
                    127 + 100 * np.sin((x + 3 * i) / 9),
                    127 + 100 * np.cos((y + 2 * i) / 7),
                    (x * 2 + y + 8 * i) % 200 + 20,
                ],
                axis=-1,
            ).astype(np.uint8)
            for i in range(count)
        ]

    return make


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., Path]:
    """Writes frames (RGB arrays or av.VideoFrames) as a file with exactly the given pts.

    `last_s`: how long the frame that is decoded last lasts.
    """

    def make(
        frames: Sequence[np.ndarray | av.VideoFrame],
        name: str = "clip.mp4",
        codec: str = "libx264",
        pix_fmt: str = "yuv420p",
        pts: Sequence[int] | None = None,
        time_base: Fraction = Fraction(1, 30),
        tags: tuple[int, int, int, int] | None = None,
        setup: Callable[[av.VideoStream], None] | None = None,
        last_s: float | None = None,
        **options: str,
    ) -> Path:
        path = tmp_path / name
        ticks = {"video_track_timescale": str(time_base.denominator)}
        muxer = ticks if path.suffix in (".mp4", ".mov") else {}
        with av.open(str(path), "w", options=muxer) as container:
            stream = container.add_stream(codec, rate=30, options=options)
            first = frames[0]
            stream.height, stream.width = (
                (first.height, first.width) if isinstance(first, av.VideoFrame) else first.shape[:2]
            )
            stream.pix_fmt = pix_fmt
            stream.time_base = stream.codec_context.time_base = time_base
            if tags:
                context = stream.codec_context
                context.colorspace, context.color_range = tags[:2]
                context.color_primaries, context.color_trc = tags[2:]
            if setup:
                setup(stream)
            packets = []
            for i, picture in enumerate(frames):
                frame = picture
                if not isinstance(frame, av.VideoFrame):
                    frame = av.VideoFrame.from_ndarray(picture, "rgb24")
                frame.pts, frame.time_base = (pts[i] if pts else i), time_base
                packets += stream.encode(frame)
            packets += stream.encode(None)
            if last_s is not None:
                packets[-1].duration = round(last_s / packets[-1].time_base)
            container.mux(packets)
        return path

    return make


@pytest.fixture
def clip_info(
    make_clip: Callable[..., Path], moving_frames: Callable[..., list[np.ndarray]]
) -> VideoInfo:
    """VideoInfo of a 64x48 clip with a fine time base."""
    return probe(make_clip(moving_frames(2), time_base=Fraction(1, 90000), pts=[0, 3000]))
