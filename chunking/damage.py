"""What is missing of a film, by what its container says of it."""

import re
from dataclasses import dataclass
from pathlib import Path

from av.container import InputContainer
from av.video.stream import VideoStream

from chunking.ebml import segment_is_whole
from chunking.opening import Mp4, Source, describe


@dataclass
class Damage:
    """What went wrong while decoding one source."""

    packets: int = 0
    broke_off: bool = False

    def summary(self) -> str | None:
        if self.packets:
            return f"is damaged ({self.packets} packets do not decode)"
        return "ends in the middle" if self.broke_off else None


@dataclass(frozen=True)
class StatedEnd:
    """Where a stream ends by its container, on the time line of its frames, in s; 0: not told."""

    seconds: float
    frames: int
    whole_file: bool

    def all_there(self, frames: int) -> bool:
        """Whether nothing is missing behind so many frames."""
        return self.whole_file or 0 < self.frames <= frames


def stated_end(source: Source, container: InputContainer, stream: VideoStream) -> StatedEnd:
    """What the container of `source` says."""
    kind = container.format.name
    # In Matroska that is the longest stream's, where FFmpeg fills it in.
    ticks = 0 if "matroska" in kind else stream.duration or 0
    length_s = float(ticks * (stream.time_base or 0))
    # Matroska states a length as a tag, 00:00:02.000000000; transport streams state none.
    tag = stream.metadata.get("DURATION", "")
    if not ticks and re.fullmatch(r"\d+:\d\d:\d\d(\.\d+)?", tag):
        hours, minutes, seconds = tag.split(":")
        length_s = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    # MP4 and FFmpeg's Matroska state the end on the absolute time line, others a length from the
    # start; so does mkvmerge, of whose films that begin late nothing is said then.
    if length_s and "mp4" not in kind and "matroska" not in kind:
        length_s += float((stream.start_time or 0) * (stream.time_base or 0))
    if isinstance(source, Mp4):  # a segment, whose one fragment lists its frames
        return StatedEnd(length_s, len(stream.index_entries), False)
    whole = "matroska" in kind and segment_is_whole(Path(describe(source)))
    return StatedEnd(length_s, stream.frames, whole)
