"""What of its pictures a container shows: Matroska's PixelCrop and MP4's clean aperture (clap).

FFmpeg's demuxers read both, but PyAV does not hand them on. FFmpeg's Matroska muxer writes what
they found, so that the header of a file that is never filled tells it, for every codec alike.
Source: RFC 9559 5.1.4.1.28.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from chunking.ebml import SEGMENT, elements

_CROPPING = {"matroska", "mov"}  # demuxers that read it
_PARENTS = {SEGMENT, b"\x16\x54\xae\x6b", b"\xae", b"\xe0"}  # down to Video
_SIDES = {b"\x54\xbb": "top", b"\x54\xaa": "bottom", b"\x54\xcc": "left", b"\x54\xdd": "right"}


@dataclass(frozen=True)
class Crop:
    """Rows and columns in px that are not shown, of the picture as it is stored."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def apply(self, image: np.ndarray) -> np.ndarray:
        """[H, W, C] or [H, W] as decoded -> the part that is shown, a view."""
        height, width = image.shape[:2]
        return image[self.top : height - self.bottom, self.left : width - self.right]

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of what is shown."""
        return height - self.top - self.bottom, width - self.left - self.right

    def stored(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the picture of which so much is shown."""
        return height + self.top + self.bottom, width + self.left + self.right

    def planes(self, frame: av.VideoFrame) -> av.VideoFrame | None:
        """An 8-bit 4:2:0 frame's planes, cropped; None where that would part a chroma sample."""
        if self == NO_CROP:
            return frame
        if any(n % 2 for n in (*vars(self).values(), frame.height, frame.width)):
            return None
        rows, half = frame.to_ndarray(), Crop(*(n // 2 for n in vars(self).values()))
        luma, chroma = np.split(rows, [frame.height])
        shown = [self.apply(luma)]
        shown += [half.apply(c) for c in chroma.reshape(2, frame.height // 2, frame.width // 2)]
        height, width = self.size(frame.height, frame.width)
        joined = np.concatenate([plane.ravel() for plane in shown])
        return av.VideoFrame.from_ndarray(joined.reshape(height * 3 // 2, width), "yuv420p")


NO_CROP = Crop()


def crop_of(container: InputContainer, stream: VideoStream) -> Crop:
    """The cropping of `stream` that its container asks for; none where it leaves nothing."""
    if not _CROPPING & set(container.format.name.split(",")):
        return NO_CROP
    header = io.BytesIO()
    try:
        with av.open(header, "w", format="matroska") as empty:
            # opaque: the settings alone, for there may be no encoder of this codec.
            empty.add_stream_from_template(stream, opaque=True)
            empty.start_encoding()
    except (av.FFmpegError, ValueError):
        return NO_CROP  # a codec that Matroska does not hold
    crop = Crop(**dict(_sides(header.getvalue())))
    return crop if min(crop.size(stream.height, stream.width)) > 0 else NO_CROP


def _sides(data: bytes) -> Iterator[tuple[str, int]]:
    """(side, px) of each cropping element in EBML that FFmpeg has written."""
    for name, start, size in elements(data):
        body = data[start : len(data) if size is None else start + size]
        if name in _PARENTS:
            yield from _sides(body)
        elif name in _SIDES:
            yield _SIDES[name], int.from_bytes(body)
