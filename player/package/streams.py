"""A stream of the package: CMAF files on disk, and what manifests and index need to know of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

FORCED, HEARING_IMPAIRED, VISUAL_IMPAIRED = "forced", "hearing_impaired", "visual_impaired"
COMMENTARY, DUB, ORIGINAL = "comment", "dub", "original"
FLAGS = (FORCED, HEARING_IMPAIRED, VISUAL_IMPAIRED, COMMENTARY, DUB, ORIGINAL)
"""Whom or what a track is for, by FFmpeg's names. Forced subtitles translate what the sound does
not (signs, a foreign language), and are shown unasked.
"""


@dataclass(frozen=True)
class Label:
    """What viewers choose a track by: `language` as the film's file has it ("deu", "pt-BR"), a
    `title`, whether it is the one to begin with, and which of `FLAGS` it has.
    """

    language: str = ""
    title: str = ""
    is_default: bool = False
    flags: tuple[str, ...] = ()


UNLABELLED = Label()


@dataclass(frozen=True)
class TextFile:
    """A track of subtitles, as a file of WebVTT."""

    path: Path
    label: Label = UNLABELLED


@dataclass(frozen=True)
class Segment:
    """One .m4s; times in ticks of the stream's timescale, frames are packets of an audio stream."""

    path: Path
    start_ticks: int
    duration_ticks: int
    frames: int


@dataclass(frozen=True)
class StreamFiles:
    """An init segment and the media segments in order; `bandwidth_bps` is that of the worst.

    `width` and `height` in px; both 0 for audio. `transfer` is H.273's name; `usual_rate` is in
    frames a second without pauses, 0 where nothing is known of it.
    """

    init: Path
    segments: tuple[Segment, ...]
    timescale: int
    codec_string: str
    width: int
    height: int
    bandwidth_bps: int
    label: Label = UNLABELLED
    sample_aspect_ratio: Fraction = Fraction(1)
    transfer: str = "bt709"
    usual_rate: Fraction = Fraction(0)

    @property
    def files(self) -> list[Path]:
        """Every file, in the order of playing."""
        return [self.init, *(s.path for s in self.segments)]

    @property
    def frames(self) -> int:
        return sum(s.frames for s in self.segments)

    @property
    def lengths_s(self) -> list[Fraction]:
        """Of the segments."""
        return [Fraction(s.duration_ticks, self.timescale) for s in self.segments]

    @property
    def start_s(self) -> Fraction:
        return Fraction(self.segments[0].start_ticks, self.timescale)

    @property
    def end_s(self) -> Fraction:
        last = self.segments[-1]
        return Fraction(last.start_ticks + last.duration_ticks, self.timescale)

    @property
    def frame_rate(self) -> Fraction:
        """Frames a second, usually or else in the mean, as a fraction that a manifest can hold."""
        if self.usual_rate:
            return self.usual_rate
        # 1001 keeps the rates of NTSC exact (24000/1001 and the like).
        ticks = sum(s.duration_ticks for s in self.segments)
        return Fraction(self.frames * self.timescale, max(1, ticks)).limit_denominator(1001)


def span(video: StreamFiles, sounds: Sequence[StreamFiles]) -> tuple[Fraction, Fraction]:
    """From a stream's first start to a stream's last end, in seconds."""
    streams = [video, *sounds]
    return min(s.start_s for s in streams), max(s.end_s for s in streams)


def first_choice(labels: Sequence[Label]) -> int:
    """The number of the track to begin with, from 1."""
    return next((i for i, label in enumerate(labels, start=1) if label.is_default), 1)


def plain_text(text: str) -> str:
    """Without what ends a quoted string of a playlist, or is no character of XML."""
    return "".join(c for c in text.replace('"', "'") if c.isprintable())
