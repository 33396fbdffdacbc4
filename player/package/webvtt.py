"""Subtitles and chapters as WebVTT (https://www.w3.org/TR/webvtt1/): what packages hold of it.

    WEBVTT

    00:00:01.000 --> 00:00:02.500
    <i>Words</i> &amp; more

Cues alone, with no places and no styles but italics, bold and underlined. Times are those of the
streams' segments.
"""

import html
import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from player.package.limits import MAX_TEXT_BYTES
from player.package.package_error import PackageError

_TIME = r"(\d{2,4}):([0-5]\d):([0-5]\d)\.(\d{3})"
_TIMES = re.compile(f"{_TIME} --> {_TIME}", re.ASCII)
_MAX_CUES = 100_000
_TAG = re.compile(r"</?[ibu]>")


@dataclass(frozen=True)
class Cue:
    """From `start_ms` to `end_ms` stands `text`: lines of WebVTT, escaped, with <i>, <b>, <u>."""

    start_ms: int
    end_ms: int
    text: str

    @property
    def plain(self) -> str:
        """The words alone."""
        return html.unescape(_TAG.sub("", self.text))

    @property
    def tagged(self) -> str:
        """As SubRip has it: the tags, and nothing escaped."""
        return html.unescape(self.text)


def escaped(text: str) -> str:
    """Words for a cue's text."""
    return html.escape(text, quote=False)


def fits(cues: int, size_bytes: int) -> bool:
    """Whether a package may have a file of so many cues and bytes."""
    return cues <= _MAX_CUES and size_bytes <= MAX_TEXT_BYTES


def pack_webvtt(cues: Iterable[Cue]) -> bytes:
    """The file of cues, in the order of their starts."""
    blocks = ["WEBVTT\n"]
    for cue in sorted(cues, key=lambda c: c.start_ms):
        # An empty line would end the cue.
        lines = [line.strip() for line in cue.text.splitlines() if line.strip()]
        times = f"{_clock(cue.start_ms)} --> {_clock(cue.end_ms)}"
        blocks.append("\n".join([times, *lines, ""]))
    return "\n".join(blocks).encode("utf-8")


def unpack_webvtt(data: bytes) -> list[Cue]:
    """The cues of a file that `pack_webvtt` made; raises PackageError."""
    try:
        head, *blocks = data.decode("utf-8").removesuffix("\n").split("\n\n")
    except UnicodeDecodeError as error:
        raise PackageError("is not UTF-8") from error
    if head != "WEBVTT" or len(blocks) > _MAX_CUES:
        raise PackageError(f"is not WebVTT of at most {_MAX_CUES} cues")
    cues: list[Cue] = []
    for block in blocks:
        first, *lines = block.split("\n")
        if (times := _TIMES.fullmatch(first)) is None:
            raise PackageError(f"has no times where they must be, but {first[:40]!r}")
        at = [int(part) for part in times.groups()]
        start_ms, end_ms = _milliseconds(*at[:4]), _milliseconds(*at[4:])
        if end_ms < start_ms or (cues and start_ms < cues[-1].start_ms):
            raise PackageError(f"has times out of order, {first!r}")
        cues.append(Cue(start_ms, end_ms, "\n".join(lines)))
    return cues


def one_at_a_time(cues: Sequence[Cue]) -> list[Cue]:
    """The same words for players that show one cue at a time: those that overlap share it."""
    edges = sorted({at for cue in cues for at in (cue.start_ms, cue.end_ms)})
    waiting, shown, alone = deque(cues), list[Cue](), list[Cue]()
    for start_ms, end_ms in pairwise(edges):
        while waiting and waiting[0].start_ms <= start_ms:
            shown.append(waiting.popleft())
        shown = [cue for cue in shown if cue.end_ms > start_ms]
        if shown:
            alone.append(Cue(start_ms, end_ms, "\n".join(cue.text for cue in shown)))
    return alone


def _clock(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"


def _milliseconds(hours: int, minutes: int, seconds: int, milliseconds: int) -> int:
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds
