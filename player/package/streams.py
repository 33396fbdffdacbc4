"""What the package needs to know of a stream that somebody else has written as CMAF."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class SegmentFile(Protocol):
    """One media segment: its file, and its time in ticks of the stream's timescale."""

    @property
    def path(self) -> Path: ...
    @property
    def start_ticks(self) -> int: ...
    @property
    def duration_ticks(self) -> int: ...
    @property
    def frames(self) -> int: ...


class Stream(Protocol):
    """An initialisation segment and its media segments.

    `bandwidth_bps` is that of the worst segment, `width` and `height` are 0 for audio.
    """

    @property
    def init(self) -> Path: ...
    @property
    def segments(self) -> Sequence[SegmentFile]: ...
    @property
    def timescale(self) -> int: ...
    @property
    def codec_string(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def bandwidth_bps(self) -> int: ...
