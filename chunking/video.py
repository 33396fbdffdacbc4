"""Video in: upright RGB frames by presentation time.

    file -> demux -> decode -> (bwdif for interlaced frames) -> RGB by the stream's own colour
         -> cropped as the container says -> upright -> Frame(rgb, pts, index)

Times are the source's own: a variable frame rate stays variable, nothing is re-timed.
"""

from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from chunking.alpha import ALPHA_IS_DROPPED, is_transparent
from chunking.clock import Clock
from chunking.colour import Colour, frame_to_rgb
from chunking.damage import Damage, stated_end
from chunking.deinterlace import deinterlace
from chunking.grain import Grain, grain_of
from chunking.images import ImageSequence, decode_images
from chunking.input_error import InputError
from chunking.opening import Mp4, Source, describe
from chunking.orientation import Orientation
from chunking.parts import Warn, ignore
from chunking.probe import VideoInfo, open_video, probe
from chunking.rhythm import holes
from chunking.side_data import CAPTIONS_ARE_DROPPED, has_captions

__all__ = ["Colour", "Frame", "InputError", "VideoInfo", "probe", "read_frames"]


@dataclass(frozen=True)
class Frame:
    """rgb [H, W, 3] uint8, upright; pts in ticks of VideoInfo.time_base; index from 0.

    `duration`: in ticks, where the source tells it. `grain`: what a package's stream has added to
    it when it is shown; a film's own is part of rgb.
    `decoded`: the same picture as it was decoded, where its planes are 8-bit 4:2:0, upright and of
    rgb's size: whoever encodes it again needs no way through RGB.
    """

    rgb: np.ndarray
    pts: int
    index: int
    decoded: av.VideoFrame | None = None
    duration: int | None = None
    grain: Grain | None = None


def read_frames(
    source: Source,
    limit: int | None = None,
    on_warning: Warn | None = None,
    on_loss: Warn | None = None,
) -> Iterator[Frame]:
    """Frames of `source` in order of presentation.

    pts rise strictly. A damaged or truncated source yields what decodes, then says so through
    `on_loss`, as of closed captions; without it, of the frames alone, through `on_warning`. Raises
    InputError as `probe` does.
    """
    info = probe(source)
    warn = on_warning or ignore
    reformatter = VideoReformatter()
    clock = Clock(info, warn)
    size = info.crop.stored(*info.orientation.size(info.height, info.width))
    resized, times = False, list[int]()
    # `probe` has seen the first frame alone.
    may_lose_captions = on_loss is not None
    may_be_opaque = on_warning is not None and not info.has_alpha
    if isinstance(source, ImageSequence):
        frames = decode_images(source)
    else:
        frames = _decode(source, info, warn, on_loss or warn)
    # Closed here: a film that is not read to its end would stay open.
    with closing(frames):
        for index, frame in enumerate(frames):
            if index == limit:
                break
            if (frame.height, frame.width) != size and not resized:
                warn(f"{describe(source)} changes its size: all frames are scaled to the first's")
                resized = True
            if may_be_opaque and is_transparent(frame):
                warn(ALPHA_IS_DROPPED)
                may_be_opaque = False
            if on_loss and may_lose_captions and has_captions(frame):
                on_loss(CAPTIONS_ARE_DROPPED)
                may_lose_captions = False
            # In RGB, where no chroma sample stands for two columns or rows.
            shown = info.crop.apply(frame_to_rgb(frame, info.colour, reformatter, size))
            rgb = info.orientation.apply(shown)
            upright = info.orientation == Orientation() and (frame.height, frame.width) == size
            is_plain = upright and frame.format.name in ("yuv420p", "yuvj420p")
            decoded = info.crop.planes(frame) if is_plain else None
            lasts = frame.duration * info.tick_factor if info.has_timestamps else 0
            times.append(clock.ticks_of(frame.pts, index))
            grain = grain_of(frame) if isinstance(source, Mp4) else None
            yield Frame(rgb, times[-1], index, decoded, lasts or None, grain)
    # Those of a package were said when it was made.
    if not isinstance(source, Mp4) and (told := holes(times, info.time_base)):
        warn(f"{describe(source)}: {told}")


def _decode(
    source: Source, info: VideoInfo, warn: Warn, lose: Warn
) -> Generator[av.VideoFrame, None, None]:
    """Every frame of the film that decodes; at the end one warning if something was lost."""
    with open_video(source) as (container, stream):
        yield from _decode_stream(container, stream, source, info, warn, lose)


def _decode_stream(
    container: InputContainer,
    stream: VideoStream,
    source: Source,
    info: VideoInfo,
    warn: Warn,
    lose: Warn,
) -> Iterator[av.VideoFrame]:
    name, damage = describe(source), Damage()

    def say_mixed() -> None:
        if not info.interlaced:  # which `probe` has said
            warn(f"{name} has interlaced frames among others: those are deinterlaced")

    frames = deinterlace(_decode_leniently(container, stream, damage), stream, say_mixed)
    last, longest_s, count = None, float(1 / info.frame_rate), 0
    for frame in frames:
        count += 1
        if last is not None:
            if frame.time is not None and last.time is not None:
                longest_s = max(longest_s, frame.time - last.time)
            yield last
        last = frame
    lost = damage.summary()
    if last is not None:
        end = stated_end(source, container, stream)
        lasts_s = max(_lasts_s(last), float(1 / info.frame_rate))
        missing_s = end.seconds - (last.time or 0.0) - lasts_s if info.has_timestamps else 0.0
        # The last frame may last as long as any, as in a recording of a still screen.
        if not lost and end.all_there(count) and missing_s > 0:
            last.duration = round((lasts_s + missing_s) / (last.time_base or 1))
        elif not lost and missing_s > 2 * longest_s:
            lost = f"is cut off ({end.seconds - missing_s:.2f} s of {end.seconds:.2f} s)"
        yield last
    if lost:
        lose(f"{name} {lost}: the {count} frames that decode are used")


def _lasts_s(frame: av.VideoFrame) -> float:
    return float((frame.duration or 0) * (frame.time_base or 0))


def _decode_leniently(
    container: InputContainer, stream: VideoStream, damage: Damage
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
