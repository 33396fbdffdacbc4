"""A stream that is there already, taken as it is: none of its packets is encoded again.

stream.mp4, .mpd, .m3u8 --its packets, cut at key frames--> video/init.mp4, video/seg-00001.m4s ...

Its frames must be those of the film: as many, at the same times but for where they begin, and of a
size that is the film's at one of the scales.
"""

# PyAV's packets are generic for type checkers alone.
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import accumulate
from math import ceil
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from chunking.input_error import InputError
from chunking.isobmff import SegmentSplitter
from chunking.lr import lr_size
from chunking.mpd import JoinedFiles, video_files
from chunking.opening import open_source
from chunking.parts import ONE_FRAGMENT, Span, describe_parts, open_cmaf
from chunking.probe import VideoInfo, real_videos
from chunking.segment import TICKS_A_FRAME, set_decode_times, write_parts
from chunking.stream import Step, at_once
from player.package.artefact import make_folder
from player.package.layout import INIT_NAME, VIDEO, segment_name
from player.package.scale import SCALES, Scale, scale_number
from player.package.streams import StreamFiles

CODECS = ("h264", "hevc", "av1")


@dataclass(frozen=True)
class OwnStream:
    """The `number`-th (from 0) video of `path`, `scale` times smaller than the film; `size` is its
    (height, width) in px, `others` the sizes of those that were not taken.
    """

    path: Path
    number: int
    scale: Scale
    size: tuple[int, int]
    others: tuple[tuple[int, int], ...] = ()


def find_stream(path: Path, film: VideoInfo) -> OwnStream:
    """What of a file or a playlist fits the film: the largest that is smaller, else one of its own
    size. Raises InputError with what is there and what would fit.
    """
    fitting = {lr_size(film.height, film.width, scale): scale for scale in reversed(SCALES)}
    with _videos(path) as videos:
        contexts = [stream.codec_context for _, stream in videos]
        sizes = [(context.height, context.width) for context in contexts]
        codecs = [context.codec.canonical_name for context in contexts]
    found = [
        OwnStream(path, i, fitting[size], size, tuple(o for j, o in enumerate(sizes) if j != i))
        for i, size in enumerate(sizes)
        if size in fitting and codecs[i] in CODECS
    ]
    if not found:
        there = ", ".join(f"{c} {w}x{h}" for c, (h, w) in zip(codecs, sizes, strict=True))
        would = ", ".join(f"{w}x{h} (x{scale_number(s)})" for (h, w), s in fitting.items())
        raise InputError(
            f"{path} has {there or 'no video'}: to a film of {film.width}x{film.height} px fits "
            f"{' or '.join(CODECS)} of {would}"
        )
    # A rung of the film's own size is only filtered: of several a smaller one has more to gain.
    return max(found, key=lambda s: (s.scale != 1, s.size))


def take_stream(
    own: OwnStream,
    out: Path,
    film: VideoInfo,
    pts: Sequence[int],
    segment_s: float,
    step: Step = at_once,
) -> StreamFiles:
    """Copies its packets into out/video/; `pts` are the times of the film's frames, in ticks of its
    time base, and the stream's are moved so that both begin alike.

    Segments are cut at the first key frame `segment_s` or more behind the last cut that no frame
    before it needs; each is a `step` of its own. Raises InputError for a stream that is not of this
    film, OSError as writing does.
    """
    with _videos(own.path) as videos:
        container, stream = videos[own.number]
        base = Fraction(stream.time_base or 1)
        timing = [(p.pts, p.is_keyframe, p.is_discard) for p in _packets(container, stream)]
    times = [pts for pts, _, _ in timing if pts is not None]
    if len(times) < len(timing) or any(cut for _, _, cut in timing) or not times:
        raise InputError(f"{own.path}: its frames have no times, or are cut: write it anew as MP4")
    _check_times(own.path, sorted(t * base for t in times), film, pts)
    # The decode times of reordered frames need ticks between those of the frames.
    finer = ceil(TICKS_A_FRAME * film.frame_rate * Fraction(1, base.denominator))
    ticks = Fraction(1, base.denominator * max(1, finer))
    early = min(times) * base - pts[0] * film.time_base
    moved = [round((t * base - early) / ticks) for t in times]
    cuts = _cuts(moved, [key for _, key, _ in timing], Fraction(segment_s) / ticks)
    shown = sorted(moved)
    last = shown[-1] - shown[-2] if len(shown) > 1 else round(1 / film.frame_rate / ticks)
    edges = [*(moved[cut] for cut in cuts), shown[-1] + max(1, last)]
    ends = [*cuts[1:], len(moved)]
    spans = [
        Span(edges[i], edges[i + 1] - edges[i], end - cut)
        for i, (cut, end) in enumerate(zip(cuts, ends, strict=True))
    ]
    paths = _write(own, out / VIDEO, moved, ends, edges, ticks, step)
    files = describe_parts(paths, spans, ticks.denominator, own.size[1], own.size[0])
    return replace(
        files, sample_aspect_ratio=film.sample_aspect_ratio, transfer=film.colour.transfer,
        usual_rate=film.frame_rate,
    )  # fmt: skip


def _write(
    own: OwnStream,
    folder: Path,
    moved: Sequence[int],
    ends: Sequence[int],
    edges: Sequence[int],
    ticks: Fraction,
    step: Step,
) -> list[Path]:
    """init.mp4 and the segments, of which each reaches up to the packet `ends[i]`."""
    make_folder(folder)
    paths = [folder / INIT_NAME]
    with _videos(own.path) as videos:
        container, stream = videos[own.number]
        numbered = enumerate(_packets(container, stream))
        for i, end in enumerate(ends):
            paths.append(folder / segment_name(i + 1))
            first = ends[i - 1] if i else 0
            write = partial(
                _write_segment, numbered, stream, moved[first:end], range(first, end), edges[i + 1],
                ticks, i + 1, folder,
            )  # fmt: skip
            step(f"segment-{i + 1:05d}", write, [paths[0], paths[-1]])
    return paths


def _write_segment(
    numbered: Iterator[tuple[int, Packet[VideoStream]]],
    stream: VideoStream,
    pts: Sequence[int],
    own: range,
    end: int,
    ticks: Fraction,
    number: int,
    folder: Path,
) -> None:
    """The packets whose numbers are `own`, shown at `pts`."""
    parts: list[bytes] = []
    sink = SegmentSplitter(parts.append)
    track = {"video_track_timescale": str(ticks.denominator)}
    with open_cmaf(sink, ONE_FRAGMENT | track) as container:
        # opaque: the settings alone, for there is no encoder of the name of AV1's decoder.
        copy = container.add_stream_from_template(stream, opaque=True)
        packets = []
        for i, packet in numbered:
            if i in own:  # those before are in segments of an earlier run
                packet.stream, packet.time_base = copy, ticks
                packet.pts = pts[i - own.start]
                packets.append(packet)
            if i + 1 == own.stop:
                break
        set_decode_times(packets, end)
        container.mux(packets)
    sink.finish()
    write_parts(parts[0], parts[1], number, folder)


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """All but the empty one at the end. Raises InputError."""
    try:
        yield from (packet for packet in container.demux(stream) if packet.size)
    except av.FFmpegError as error:
        raise InputError(f"{container.name} breaks off: {error.strerror}") from error


def _cuts(pts: Sequence[int], keys: Sequence[bool], least_ticks: Fraction) -> list[int]:
    """Numbers of the packets, in the order of decoding, that segments begin with."""
    # A key frame that frames before it still need (an open group) is no place to cut.
    due = [*accumulate(reversed(pts), min)][::-1]
    cuts = [0]
    for i, key in enumerate(keys):
        if i and key and due[i] == pts[i] and pts[i] - pts[cuts[-1]] >= least_ticks:
            cuts.append(i)
    return cuts


def _check_times(
    path: Path, times_s: Sequence[Fraction], film: VideoInfo, pts: Sequence[int]
) -> None:
    """Raises InputError where the frames are not shown when the film's are."""
    if len(times_s) != len(pts):
        raise InputError(f"{path} has {len(times_s)} frames, the film has {len(pts)}")
    near_s = 1 / film.frame_rate / 2
    for i, (time_s, ticks) in enumerate(zip(times_s, pts, strict=True)):
        ours_s, film_s = time_s - times_s[0], (ticks - pts[0]) * film.time_base
        if abs(ours_s - film_s) > near_s:
            raise InputError(
                f"{path} shows frame {i} {float(ours_s):.3f} s after its first, the film "
                f"{float(film_s):.3f} s: it is of another film, or of another rate"
            )


@contextmanager
def _videos(path: Path) -> Iterator[list[tuple[InputContainer, VideoStream]]]:
    """Every video of a film's file, or of a playlist or manifest with the files that it names;
    nothing from a network.
    """
    with ExitStack() as stack:
        try:
            found = [
                (container, stream)
                for container in (stack.enter_context(c) for c in _containers(path))
                for stream in real_videos(container)
                if stream.codec_context is not None
            ]
        except (av.FFmpegError, ValueError, OSError) as error:
            raise InputError(f"{path} cannot be read, or a file of it: {error}") from error
        yield found  # not within: what fails to be written is no fault of the stream


def _containers(path: Path) -> Iterator[InputContainer]:
    suffix = path.suffix.lower()
    if suffix == ".m3u8":
        options = {"protocol_whitelist": "file,crypto,data", "allowed_extensions": "ALL"}
        yield av.open(
            f"file:{path}", "r", format="hls", container_options=options, metadata_errors="replace"
        )
    elif suffix == ".mpd":  # for which PyAV's FFmpeg has no demuxer
        for files in video_files(path):
            yield av.open(JoinedFiles(files), "r", format="mp4", metadata_errors="replace")
    else:
        yield open_source(path)
