"""The LR stream on disk: CMAF segments that every player plays, and how they are read back.

    frames -> _Timeline (cuts) -> for each segment: an encoder -> decode times -> mp4 muxer
           -> video/init.mp4, video/seg-00001.m4s, video/seg-00002.m4s ...

A segment is made by an encoder and a muxer of its own: it depends on its own frames alone, so that
an interrupted encode goes on behind the last whole one. It starts with a key frame and holds
absolute times (tfdt): it decodes with init.mp4 alone, and its loss costs no other.
"""

# PyAV's packets are generic for type checkers alone.
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import groupby
from math import ceil
from pathlib import Path
from typing import Any, Protocol

import av
from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from chunking.audio import copy_audio
from chunking.colour import Colour, planes_to_frame, rgb_to_frame
from chunking.encoders import (
    ENCODERS,
    Encoder,
    add_encoder,
    encoder_colour,
    same_scheduling,
    with_options,
)
from chunking.input_error import InputError
from chunking.isobmff import SegmentSplitter, with_hdr_boxes
from chunking.opening import Mp4
from chunking.parts import ONE_FRAGMENT, Span, Warn, describe_parts, ignore, open_cmaf
from chunking.rhythm import usual_rate
from chunking.segment import TICKS_A_FRAME, set_decode_times, write_parts
from chunking.video import Frame, VideoInfo, read_frames
from chunking.watchdog import Watchdog
from player.package.artefact import make_folder
from player.package.layout import INIT_NAME, VIDEO, segment_name
from player.package.streams import Segment, StreamFiles

__all__ = ["Segment", "Step", "StreamFiles", "at_once", "copy_audio", "decode_segment",
           "read_segment", "read_stream", "write_lr_stream"]  # fmt: skip

SEGMENT_S = 4.0


class Step(Protocol):
    """Makes `files` by `make`, or finds that an earlier run did: `Job.step`."""

    def __call__(self, name: str, make: Callable[[], Any], files: Sequence[Path] = ()) -> Any: ...


def at_once(name: str, make: Callable[[], Any], files: Sequence[Path] = ()) -> Any:
    """The `Step` of those who keep nothing."""
    del name, files
    return make()


def write_lr_stream(
    frames: Iterable[Frame],
    out: Path,
    info: VideoInfo,
    codec: str = "av1",
    crf: float | None = None,
    segment_s: float = SEGMENT_S,
    codec_opts: str = "",
    step: Step = at_once,
) -> StreamFiles:
    """Encodes LR frames (even sizes) into out/video/; no time changes.

    `codec` is a key of ENCODERS; `crf` None takes its default; `codec_opts` as `with_options` has
    them. `info` is the source's: time base, colour and pixel aspect ratio go into the stream.
    Segments are cut at the first frame `segment_s` or more after the last cut; each is a `step` of
    its own. Raises InputError when there is no frame, KeyError for an unknown codec, ValueError
    for options that the encoder does not take, OSError as writing does.
    """
    encoder = with_options(ENCODERS[codec], codec_opts)
    folder = out / VIDEO
    make_folder(folder)
    frames, info = _with_fine_ticks(frames, info)
    timeline, init = _Timeline(info, segment_s), folder / INIT_NAME
    paths: list[Path] = []
    # The frames of a segment that is there already are passed over by `groupby`.
    for number, group in groupby(frames, timeline.segment_of):
        paths.append(folder / segment_name(number))
        make = partial(_write_segment, group, number, folder, info, encoder, crf, timeline)
        step(f"segment-{number:05d}", make, [init, paths[-1]])
    if not paths:
        raise InputError("the video has no frames: nothing to encode")
    height, width = timeline.size
    timescale = info.time_base.denominator
    files = describe_parts([init, *paths], timeline.spans(), timescale, width, height)
    return replace(
        files, sample_aspect_ratio=info.sample_aspect_ratio, transfer=info.colour.transfer,
        usual_rate=timeline.rate,
    )  # fmt: skip


def read_segment(init: Path, segment: Path, on_warning: Warn | None = None) -> Iterator[Frame]:
    """Frames of one segment, index from 0; none and a warning if it is missing or damaged."""
    warn = on_warning or ignore
    try:
        joined = init.read_bytes() + segment.read_bytes()
    except OSError as error:
        warn(f"{segment} cannot be read ({error.strerror}): its frames are left out")
        return
    yield from decode_segment(Mp4(str(segment), joined), warn)


def decode_segment(source: Mp4, on_warning: Warn = ignore) -> Iterator[Frame]:
    """Frames of an initialisation and one segment, index from 0; none and a warning if damaged.

    The two are a file, so that damage stays within its segment.
    """
    try:
        yield from read_frames(source, on_warning=on_warning)
    except InputError as error:
        on_warning(f"{error}; its frames are left out")


def read_stream(
    init_path: Path, segment_paths: Sequence[Path], on_warning: Warn | None = None
) -> Iterator[Frame]:
    """Frames of all segments in order, index from 0; those of a damaged segment may be missing."""
    index = 0
    for path in segment_paths:
        for frame in read_segment(init_path, path, on_warning):
            yield Frame(frame.rgb, frame.pts, index)
            index += 1


class _Timeline:
    """Decides where segments start, and remembers the pts of every frame, and how long the last
    one lasts.
    """

    def __init__(self, info: VideoInfo, segment_s: float) -> None:
        self._time_base, self._stated_rate = info.time_base, info.frame_rate
        self._segment_ticks = segment_s / info.time_base
        self._pts: list[int] = []
        self._starts: list[int] = []
        self._last_ticks: int | None = None
        self._untrue = 0  # frames that another followed long before they should end
        self.size = (0, 0)

    def segment_of(self, frame: Frame) -> int:
        """The number, from 1, of the segment of the next frame."""
        pts, starts = self._pts, self._starts
        if not starts or frame.pts - pts[starts[-1]] >= self._segment_ticks:
            starts.append(len(pts))
        if pts and (self._last_ticks or 0) > 2 * (frame.pts - pts[-1]):
            self._untrue += 1
        pts.append(frame.pts)
        self._last_ticks = frame.duration
        self.size = (frame.rgb.shape[0], frame.rgb.shape[1])
        return len(starts)

    @property
    def rate(self) -> Fraction:
        """Frames a second, without pauses."""
        stated = self._stated_rate
        return usual_rate(self._pts, self._time_base, stated) or stated.limit_denominator(1001)

    def _last_frame_ticks(self) -> int:
        """As its file says, where that is far more than usual, and true of the others; else as the
        one before, unless that stood still.
        """
        pts, usual = self._pts, max(1, round(1 / (self._stated_rate * self._time_base)))
        before = pts[-1] - pts[-2] if len(pts) > 1 else usual
        # Some containers state one length for all frames, whatever their times say. One alone may
        # be another frame's: MP4 has lengths by the order of decoding.
        told = self._last_ticks if self._untrue <= 1 else None
        if told and told > 2 * usual:
            return told
        return before if before <= 2 * usual else told or usual

    def spans(self) -> list[Span]:
        """Of each segment."""
        pts, last_ticks = self._pts, self._last_frame_ticks()
        cuts = [*self._starts, len(pts)]
        edges = [*(pts[i] for i in self._starts), pts[-1] + last_ticks]
        return [
            Span(edges[i], edges[i + 1] - edges[i], cuts[i + 1] - cuts[i])
            for i in range(len(self._starts))
        ]


def _with_fine_ticks(frames: Iterable[Frame], info: VideoInfo) -> tuple[Iterable[Frame], VideoInfo]:
    """The same times, in ticks of which a frame lasts at least TICKS_A_FRAME."""
    factor = ceil(TICKS_A_FRAME * info.frame_rate * info.time_base)
    if factor <= 1:
        return frames, info
    finer = (
        replace(f, pts=f.pts * factor, duration=f.duration and f.duration * factor) for f in frames
    )
    return finer, replace(info, time_base=info.time_base / factor)


def _write_segment(
    frames: Iterable[Frame],
    number: int,
    folder: Path,
    info: VideoInfo,
    encoder: Encoder,
    crf: float | None,
    timeline: _Timeline,
) -> None:
    """Encodes the segment `number`; the first one writes init.mp4 as well."""
    colour, reformatter = encoder_colour(encoder, info.colour), VideoReformatter()
    parts: list[bytes] = []
    sink = SegmentSplitter(parts.append)
    stream: VideoStream | None = None
    packets: list[Packet[VideoStream]] = []
    ticks = {"video_track_timescale": str(info.time_base.denominator)}
    with (
        Watchdog(f"{encoder.library} at {'x'.join(map(str, timeline.size[::-1]))} px") as watchdog,
        open_cmaf(sink, ONE_FRAGMENT | ticks) as container,
    ):
        for frame in frames:
            watchdog.beat()  # however long the film's own decoder took
            # With its first frame the encoder is opened, and starts its threads.
            opening = nullcontext() if stream else same_scheduling()
            stream = stream or add_encoder(
                container, encoder, crf, frame.rgb.shape[:2], info.frame_rate, info.time_base,
                colour, info.sample_aspect_ratio, info.hdr,
            )  # fmt: skip
            picture = _picture(frame, encoder, colour, reformatter)
            picture.pts, picture.time_base = frame.pts, info.time_base
            with opening:
                packets += stream.encode(picture)
            watchdog.beat()
        assert stream is not None, "a group has a frame"
        packets += stream.encode(None)
        if encoder.filter:
            chosen = BitStreamFilterContext(encoder.filter, stream)
            packets = [kept for packet in packets for kept in chosen.filter(packet)]
        # Now that the frames are through, the time line knows where the segment ends.
        span = timeline.spans()[number - 1]
        set_decode_times(packets, span.start_ticks + span.duration_ticks)
        container.mux(packets)
    sink.finish()
    write_parts(with_hdr_boxes(parts[0], info.hdr), parts[1], number, folder)


def _picture(
    frame: Frame, encoder: Encoder, colour: Colour, reformatter: VideoReformatter
) -> av.VideoFrame:
    """What the encoder gets: the source's own planes where they are what it takes."""
    own = frame.decoded
    if own and encoder.pix_fmt == "yuv420p" and (own.height, own.width) == frame.rgb.shape[:2]:
        return planes_to_frame(own, colour)
    return rgb_to_frame(frame.rgb, encoder.pix_fmt, colour, reformatter)
