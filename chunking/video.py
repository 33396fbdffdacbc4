"""Video in: upright RGB frames by presentation time.

    file -> demux -> decode -> (bwdif if interlaced) -> RGB by the stream's own colour
         -> upright -> Frame(rgb, pts, index)

Times are the source's own: a variable frame rate stays variable, nothing is re-timed.
"""

import re
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from chunking.clock import Clock
from chunking.colour import Colour, frame_to_rgb
from chunking.deinterlace import deinterlace
from chunking.images import ImageSequence, decode_images
from chunking.input_error import InputError
from chunking.opening import Source, describe
from chunking.orientation import Orientation
from chunking.parts import Warn, ignore
from chunking.probe import VideoInfo, open_video, probe

__all__ = ["Colour", "Frame", "InputError", "VideoInfo", "probe", "read_frames"]


@dataclass(frozen=True)
class Frame:
    """rgb [H, W, 3] uint8, upright; pts in ticks of VideoInfo.time_base; index from 0.

    `duration`: in ticks, where the source tells it.
    `decoded`: the same picture as it was decoded, where its planes are 8-bit 4:2:0, upright and of
    rgb's size: whoever encodes it again needs no way through RGB.
    """

    rgb: np.ndarray
    pts: int
    index: int
    decoded: av.VideoFrame | None = None
    duration: int | None = None


def read_frames(
    source: Source, limit: int | None = None, on_warning: Warn | None = None
) -> Iterator[Frame]:
    """Frames of `source` in order of presentation.

    pts rise strictly. A damaged or truncated source yields what decodes, then says so through
    `on_warning`. Raises InputError as `probe` does.
    """
    info = probe(source)
    warn = on_warning or ignore
    reformatter = VideoReformatter()
    clock = Clock(info, warn)
    size, resized = info.orientation.size(info.height, info.width), False
    if isinstance(source, ImageSequence):
        frames = decode_images(source)
    else:
        frames = _decode(source, info, warn)
    # Closed here: a film that is not read to its end would stay open.
    with closing(frames):
        for index, frame in enumerate(frames):
            if index == limit:
                return
            if (frame.height, frame.width) != size and not resized:
                warn(f"{describe(source)} changes its size: all frames are scaled to the first's")
                resized = True
            rgb = info.orientation.apply(frame_to_rgb(frame, info.colour, reformatter, size))
            upright = info.orientation == Orientation() and (frame.height, frame.width) == size
            decoded = frame if upright and frame.format.name in ("yuv420p", "yuvj420p") else None
            lasts = None
            if info.has_timestamps and not info.interlaced and frame.duration:
                lasts = frame.duration * info.tick_factor
            yield Frame(rgb, clock.ticks_of(frame.pts, index), index, decoded, lasts)


def _decode(source: Source, info: VideoInfo, warn: Warn) -> Generator[av.VideoFrame, None, None]:
    """Every frame of the film that decodes; at the end one warning if something was lost."""
    with open_video(source) as (container, stream):
        yield from _decode_stream(container, stream, describe(source), info, warn)


def _decode_stream(
    container: InputContainer, stream: VideoStream, name: str, info: VideoInfo, warn: Warn
) -> Iterator[av.VideoFrame]:
    damage = _Damage()
    frames = _decode_leniently(container, stream, damage)
    if info.interlaced:
        frames = deinterlace(frames, stream)
    # MP4 states its end on the absolute time line, other containers a length from the start.
    is_mp4 = "mp4" in container.format.name
    offset_s = 0.0 if is_mp4 else float((stream.start_time or 0) * (stream.time_base or 0))
    count, end_s, frame_s = 0, 0.0, float(1 / info.frame_rate)
    for frame in frames:
        count += 1
        if frame.time is not None:
            end_s = frame.time - offset_s
            # The last one may last for seconds, as in a recording of a still screen.
            end_s += max(0.0, float((frame.duration or 0) * (frame.time_base or 0)) - frame_s)
        yield frame
    if lost := damage.summary(end_s, info, stream):
        warn(f"{name} {lost}: the {count} frames that decode are used")


@dataclass
class _Damage:
    """What went wrong while decoding one source."""

    packets: int = 0
    broke_off: bool = False

    def summary(self, end_s: float, info: VideoInfo, stream: VideoStream) -> str | None:
        if self.packets:
            return f"is damaged ({self.packets} packets do not decode)"
        if self.broke_off:
            return "ends in the middle"
        frame_s = float(1 / info.frame_rate)
        stated_s = float((stream.duration or 0) * (stream.time_base or 0))
        # Matroska states a length as a tag, 00:00:02.000000000; transport streams state none.
        tag = stream.metadata.get("DURATION", "")
        if not stream.duration and re.fullmatch(r"\d+:\d\d:\d\d(\.\d+)?", tag):
            hours, minutes, seconds = tag.split(":")
            stated_s = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        # The last frame starts one interval before the end; two more allow for rounding and VFR.
        if info.has_timestamps and end_s + 3 * frame_s < stated_s:
            return f"is cut off ({end_s + frame_s:.2f} s of {stated_s:.2f} s)"
        return None


def _decode_leniently(
    container: InputContainer, stream: VideoStream, damage: _Damage
) -> Iterator[av.VideoFrame]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError:
            # The container itself broke off; the decoder may still hold frames to reorder.
            damage.broke_off = True
            with suppress(av.FFmpegError):
                yield from stream.decode(None)
            return
        try:
            yield from packet.decode()
        except av.FFmpegError:
            # One packet alone: the container can be read on.
            damage.packets += 1
