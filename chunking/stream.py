"""The LR stream on disk: CMAF segments that every player plays, and how they are read back.

    frames -> encoder -> mp4 muxer (one moof a key frame) -> SegmentSplitter
           -> video/init.mp4, video/seg-00001.m4s, video/seg-00002.m4s ...

Every segment starts with a key frame and holds absolute times (tfdt), so that it decodes with
init.mp4 alone: the loss of one segment costs no other.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from av.container import OutputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from chunking.audio import copy_audio
from chunking.colour import rgb_to_frame
from chunking.encoders import ENCODERS, Encoder, add_encoder, encoder_colour
from chunking.input_error import InputError
from chunking.isobmff import SegmentSplitter
from chunking.parts import PartWriter, Span, Warn, ignore, open_cmaf
from chunking.video import Frame, VideoInfo, read_frames
from player.package.layout import VIDEO
from player.package.streams import Segment, StreamFiles

__all__ = ["Segment", "StreamFiles", "copy_audio", "read_segment", "read_stream",
           "write_lr_stream"]  # fmt: skip

_KEY_FRAME = 1  # AV_PICTURE_TYPE_I


def write_lr_stream(
    frames: Iterable[Frame],
    out: Path,
    info: VideoInfo,
    codec: str = "av1",
    crf: int | None = None,
    segment_s: float = 2.0,
) -> StreamFiles:
    """Encodes LR frames (even sizes) into out/video/; pts are kept tick for tick.

    `codec` is a key of ENCODERS; `crf` None takes its default. `info` is the source's: time
    base, colour and pixel aspect ratio go into the stream. Segments are cut at the first frame
    `segment_s` or more after the last cut. Raises InputError when there is no frame, KeyError
    for an unknown codec, OSError as writing does.
    """
    parts = PartWriter(out / VIDEO)
    sink = SegmentSplitter(parts.write)
    timeline = _Timeline(info, segment_s)
    with open_cmaf(sink, video_track_timescale=str(info.time_base.denominator)) as container:
        stream = _encode(frames, container, info, ENCODERS[codec], crf, timeline)
    sink.finish()
    return parts.finish(timeline.spans(), info.time_base.denominator, stream.width, stream.height)


def read_segment(init: Path, segment: Path, on_warning: Warn | None = None) -> Iterator[Frame]:
    """Frames of one segment, index from 0; none and a warning if it is missing or damaged."""
    warn = on_warning or ignore
    try:
        # An init and any one segment are a file: damage stays within its segment.
        joined = io.BytesIO(init.read_bytes() + segment.read_bytes())
    except OSError as error:
        warn(f"{segment} cannot be read ({error.strerror}): its frames are left out")
        return
    joined.name = str(segment)
    try:
        yield from read_frames(joined, on_warning=warn)
    except InputError as error:
        warn(f"{error}; its frames are left out")


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
    """Decides where segments start, and remembers the pts of every frame."""

    def __init__(self, info: VideoInfo, segment_s: float) -> None:
        self._segment_ticks = segment_s / info.time_base
        self._nominal_ticks = max(1, round(1 / (info.frame_rate * info.time_base)))
        self._pts: list[int] = []
        self._starts: list[int] = []

    def add(self, pts: int) -> bool:
        """Whether the frame at `pts` starts a segment."""
        starts = not self._starts or pts - self._pts[self._starts[-1]] >= self._segment_ticks
        if starts:
            self._starts.append(len(self._pts))
        self._pts.append(pts)
        return starts

    def spans(self) -> list[Span]:
        """Of each segment. No file tells how long the last frame lasts: as the one before it."""
        pts = self._pts
        last_ticks = pts[-1] - pts[-2] if len(pts) > 1 else self._nominal_ticks
        cuts = [*self._starts, len(pts)]
        edges = [*(pts[i] for i in self._starts), pts[-1] + last_ticks]
        return [
            Span(edges[i], edges[i + 1] - edges[i], cuts[i + 1] - cuts[i])
            for i in range(len(self._starts))
        ]


def _encode(
    frames: Iterable[Frame],
    container: OutputContainer,
    info: VideoInfo,
    encoder: Encoder,
    crf: int | None,
    timeline: _Timeline,
) -> VideoStream:
    """Encodes everything into `container`, a key frame where `timeline` starts a segment."""
    colour = encoder_colour(encoder, info.colour)
    reformatter = VideoReformatter()
    stream: VideoStream | None = None
    for frame in frames:
        if stream is None:
            stream = add_encoder(
                container, encoder, crf, frame.rgb.shape[:2], info.frame_rate, info.time_base,
                colour, info.sample_aspect_ratio,
            )  # fmt: skip
        picture = rgb_to_frame(frame.rgb, encoder.pix_fmt, colour, reformatter)
        picture.pts, picture.time_base = frame.pts, info.time_base
        # 0 leaves the kind to the encoder, which is set to make no key frame by itself.
        picture.pict_type = _KEY_FRAME if timeline.add(frame.pts) else 0
        container.mux(stream.encode(picture))
    if stream is None:
        raise InputError("the video has no frames: nothing to encode")
    container.mux(stream.encode(None))
    return stream
