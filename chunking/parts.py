"""CMAF segments on disk: what a stream is made of, and the writing of it, part by part."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import av
from av.container import OutputContainer

from chunking.isobmff import SegmentSplitter, codec_string
from player.package.artefact import make_folder, write_bytes
from player.package.layout import INIT_NAME, SEGMENTS, segment_name
from player.package.streams import Segment, StreamFiles

Warn = Callable[[str], None]

# frag_discont: times of fragments are absolute instead of counted from the first packet.
# delay_moov: AC-3 and Opus state their decoder settings only with the first packet.
_MOVFLAGS = "cmaf+frag_discont+delay_moov"
# No fragment but the one that is there at the end.
ONE_FRAGMENT = {"movflags": f"{_MOVFLAGS}+frag_custom"}


def ignore(message: str) -> None:
    """The listener of those who want no warnings."""
    del message


class Span(NamedTuple):
    """Where a segment lies on the time line; frames are audio packets in an audio stream."""

    start_ticks: int
    duration_ticks: int
    frames: int


class PartWriter:
    """Writes init.mp4 and seg-%05d.m4s into a folder, each whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.paths: list[Path] = []
        make_folder(folder)

    def write(self, data: bytes) -> None:
        """The next part: the init segment first."""
        number = len(self.paths)
        path = self._folder / (segment_name(number) if number else INIT_NAME)
        write_bytes(path, data)
        self.paths.append(path)


def describe_parts(
    paths: Sequence[Path], spans: Sequence[Span], timescale: int, width: int, height: int
) -> StreamFiles:
    """What was written, the init segment first; removes segments of a longer stream from before."""
    init, *media = paths
    for stale in set(init.parent.glob(SEGMENTS)) - set(media):
        stale.unlink()
    segments = tuple(Segment(p, *span) for p, span in zip(media, spans, strict=True))
    # Rounded up: what a manifest promises must be enough for the largest segment.
    rates_bps = [
        -(-8 * s.path.stat().st_size * timescale // max(1, s.duration_ticks)) for s in segments
    ]
    name = codec_string(init.read_bytes())
    return StreamFiles(init, segments, timescale, name, width, height, max(rates_bps))


def open_cmaf(sink: SegmentSplitter, options: Mapping[str, str]) -> OutputContainer:
    """An MP4 muxer that writes fragments into `sink`, cut as `options` say."""
    asked = {"movflags": _MOVFLAGS, "use_editlist": "0", **options}
    return av.open(sink, "w", format="mp4", options=asked)
