"""The LR stream on disk: CMAF segments that every player plays, and how they are read back.

    frames -> encoder -> mp4 muxer (one moof a key frame) -> SegmentSplitter
           -> video/init.mp4, video/seg-00001.m4s, video/seg-00002.m4s ...

Every segment starts with a key frame and holds absolute times (tfdt), so that it decodes with
init.mp4 alone: the loss of one segment costs no other.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import OutputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from chunking.colour import rgb_to_frame
from chunking.encoders import ENCODERS, add_encoder, encoder_colour
from chunking.errors import InputError
from chunking.isobmff import SegmentSplitter, codec_string
from chunking.video import Frame, VideoInfo, Warn, read_frames

# frag_discont: times of fragments are absolute instead of counted from the first packet.
_CMAF = {"movflags": "cmaf+frag_discont", "use_editlist": "0"}
_KEY_FRAME = 1  # AV_PICTURE_TYPE_I


@dataclass(frozen=True)
class Segment:
    """One .m4s; times in ticks of the stream's timescale."""

    path: Path
    start_ticks: int
    duration_ticks: int
    frames: int


@dataclass(frozen=True)
class StreamFiles:
    """An init segment and the media segments in order; `bandwidth_bps` is that of the worst."""

    init: Path
    segments: tuple[Segment, ...]
    timescale: int
    codec_string: str
    width: int
    height: int
    bandwidth_bps: int


def write_lr_stream(
    frames: Iterable[Frame],
    out: Path,
    info: VideoInfo,
    codec: str = "av1",
    crf: int | None = None,
    segment_s: float = 2.0,
) -> StreamFiles:
    """Encodes LR frames (even sizes) into out/video/; pts are kept tick for tick.

    `info` is the source's: time base, colour and pixel aspect ratio go into the stream.
    Raises InputError when there is no frame, and OSError as writing does.
    """
    parts = PartWriter(out / "video")
    timeline = _Timeline(round(segment_s * info.time_base.denominator))
    sink = SegmentSplitter(parts.write)
    height, width = _encode(frames, sink, info, codec, crf, timeline)
    sink.finish()
    return parts.finish(timeline.spans(info), info.time_base.denominator, width, height)


def read_segment(init: Path, segment: Path, on_warning: Warn | None = None) -> Iterator[Frame]:
    """Frames of one segment, index from 0; none and a warning if it is missing or damaged."""
    warn = on_warning or (lambda message: None)
    try:
        joined = io.BytesIO(init.read_bytes() + segment.read_bytes())
    except OSError as error:
        warn(f"{segment} cannot be read ({error.strerror}): its frames are left out")
        return
    joined.name = str(segment)
    try:
        yield from read_frames(joined, on_warning=warn)
    except InputError as error:
        warn(f"{error}: its frames are left out")


def read_stream(
    init_path: Path, segment_paths: Sequence[Path], on_warning: Warn | None = None
) -> Iterator[Frame]:
    """Frames of all segments in order; those of a damaged segment may be missing."""
    index = 0
    for path in segment_paths:
        for frame in read_segment(init_path, path, on_warning):
            yield Frame(frame.rgb, frame.pts, index)
            index += 1


class _Timeline:
    """Decides where segments start, and remembers the pts of every frame."""

    def __init__(self, segment_ticks: int) -> None:
        self._segment_ticks = segment_ticks
        self._pts: list[int] = []
        self._starts: list[int] = []

    def add(self, pts: int) -> bool:
        """Whether the frame at `pts` starts a segment."""
        starts = not self._starts or pts - self._pts[self._starts[-1]] >= self._segment_ticks
        if starts:
            self._starts.append(len(self._pts))
        self._pts.append(pts)
        return starts

    def spans(self, info: VideoInfo) -> list[tuple[int, int, int]]:
        """(start_ticks, duration_ticks, frames) of each segment; the last frame lasts as long
        as the one before it, or one nominal interval."""
        last = self._pts[-1] + last_duration(self._pts, info)
        bounds = [*self._starts, len(self._pts)]
        ends = [*(self._pts[i] for i in self._starts[1:]), last]
        return [
            (self._pts[start], end - self._pts[start], stop - start)
            for start, stop, end in zip(bounds, bounds[1:], ends, strict=False)
        ]


def last_duration(pts: Sequence[int], info: VideoInfo) -> int:
    """Ticks to show the last frame: no file tells, so as long as the frame before it."""
    if len(pts) > 1:
        return pts[-1] - pts[-2]
    return max(1, round(1 / (info.frame_rate * info.time_base)))


class PartWriter:
    """Writes init.mp4 and seg-%05d.m4s into a folder, each whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts: list[Path] = []
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, data: bytes) -> None:
        number = len(self._parts)
        name = f"seg-{number:05d}.m4s" if number else "init.mp4"
        write_whole(self._folder / name, data)
        self._parts.append(self._folder / name)

    def finish(
        self, spans: Sequence[tuple[int, int, int]], timescale: int, width: int, height: int
    ) -> StreamFiles:
        """Describes what was written; removes segments of a longer stream from before."""
        init, *paths = self._parts
        if len(paths) != len(spans):
            raise RuntimeError(f"{len(spans)} segments were planned, {len(paths)} were written")
        for stale in set(self._folder.glob("seg-*.m4s")) - set(paths):
            stale.unlink()
        segments = tuple(Segment(p, *span) for p, span in zip(paths, spans, strict=True))
        rates = [
            -(-8 * s.path.stat().st_size * timescale // max(1, s.duration_ticks)) for s in segments
        ]
        name = codec_string(init.read_bytes())
        return StreamFiles(init, segments, timescale, name, width, height, max(rates))


def write_whole(path: Path, data: bytes) -> None:
    """Writes `path` so that a crash leaves either the old file or the new one."""
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def open_cmaf(sink: SegmentSplitter, timescale: int, **options: str) -> OutputContainer:
    """An MP4 muxer that writes one fragment a key frame into `sink`."""
    settings = {**_CMAF, "video_track_timescale": str(timescale), **options}
    return av.open(sink, "w", format="mp4", options=settings)


def _encode(
    frames: Iterable[Frame],
    sink: SegmentSplitter,
    info: VideoInfo,
    codec: str,
    crf: int | None,
    timeline: _Timeline,
) -> tuple[int, int]:
    """Encodes everything into `sink`; (height, width) in px of the stream."""
    encoder = ENCODERS[codec]
    colour = encoder_colour(encoder, info.colour)
    reformatter = VideoReformatter()
    stream: VideoStream | None = None
    with open_cmaf(sink, info.time_base.denominator) as container:
        for frame in frames:
            size = (frame.rgb.shape[0], frame.rgb.shape[1])
            if stream is None:
                stream = add_encoder(
                    container, encoder, crf, size, info.frame_rate, info.time_base,
                    colour, info.sample_aspect_ratio,
                )  # fmt: skip
            picture = rgb_to_frame(frame.rgb, encoder.pix_fmt, colour, reformatter)
            picture.pts, picture.time_base = frame.pts, info.time_base
            picture.pict_type = _KEY_FRAME if timeline.add(frame.pts) else 0
            container.mux(stream.encode(picture))
        if stream is None:
            raise InputError("the video has no frames: nothing to encode")
        container.mux(stream.encode(None))
        return stream.height, stream.width
