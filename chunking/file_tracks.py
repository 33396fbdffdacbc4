"""Tracks beside the picture of a written file: sound copied, subtitles in the file's own form."""

# PyAV's packets are generic for type checkers alone.
from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from chunking.audio import open_audio, packets_for
from chunking.clock import timed_packets
from chunking.opening import Mp4
from chunking.parts import Warn
from player.package.languages import iso639_2
from player.package.streams import UNLABELLED, Label
from player.package.webvtt import Cue, one_at_a_time

if TYPE_CHECKING:
    from av.container.core import Chapter

_TICK = Fraction(1, 1000)
# What FFmpeg's encoders of text ask for: the head of a file of ASS. Its style is the one that means
# nothing to them (libavcodec/ass.h).
_ASS_HEAD = b"""[Script Info]
ScriptType: v4.00+
[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, BackColour, Bold, Italic, Underline, Alignment
Style: Default,Arial,16,&Hffffff,&H0,0,0,0,2
"""
# QuickTime has a list of languages of its own, by older codes (FFmpeg's libavformat/isom.c).
_QUICKTIME = {
    "bod": "tib", "deu": "ger", "ell": "gre", "hye": "arm", "isl": "ice", "kat": "geo",
    "mkd": "mac", "mya": "bur", "nld": "dut", "sqi": "alb", "swe": "sve", "zho": "chi",
}  # fmt: skip


@dataclass(frozen=True)
class Sound:
    """MP4 whose sound `why_not_copied` has nothing against."""

    mp4: bytes
    label: Label = UNLABELLED


@dataclass(frozen=True)
class Text:
    """Subtitles."""

    cues: Sequence[Cue]
    label: Label = UNLABELLED


@dataclass(frozen=True)
class Beside:
    """All that a written file has beside its picture."""

    sounds: Sequence[Sound] = ()
    texts: Sequence[Text] = ()
    chapters: Sequence[Cue] = ()


NOTHING = Beside()


def beside_packets(
    target: OutputContainer, beside: Beside, opened: ExitStack, warn: Warn
) -> Iterator[Packet[Any]]:
    """All packets in the order of their times; their streams are made with the first of them.

    Sources that are opened close with `opened`.
    """
    tracks: list[Iterator[Packet[Any]]] = []
    for sound in beside.sounds:
        container, source = open_audio(Mp4("the sound", sound.mp4))
        opened.enter_context(container)
        packets = _rising(timed_packets(container, source), warn)
        tracks.append(_labelled(packets_for(target, source, packets, warn), sound.label))
    tracks += [_text_packets(target, text) for text in beside.texts]
    yield from heapq.merge(*tracks, key=lambda packet: (packet.pts or 0) * packet.time_base)


def set_chapters(target: OutputContainer, chapters: Sequence[Cue], origin_s: Fraction) -> None:
    """Before the first packet is written; what is at `origin_s` is at zero in the file."""
    moved = []
    for cue in chapters:
        start, end = (max(0, round(at - 1000 * origin_s)) for at in (cue.start_ms, cue.end_ms))
        moved.append(replace(cue, start_ms=start, end_ms=end))
    if moved:
        target.set_chapters([*map(_chapter, range(1, len(moved) + 1), moved)])


def _labelled(packets: Iterable[Packet[Any]], label: Label) -> Iterator[Packet[Any]]:
    """The same; their stream, which is there with the first, gets its label."""
    for number, packet in enumerate(packets):
        if not number and label != UNLABELLED:
            _set_label(packet.stream, label)
        yield packet


def _set_label(stream: Stream, label: Label) -> None:
    language, muxer = label.language, stream.container.format.name
    if muxer != "matroska":
        language = iso639_2(language)
    if muxer == "mov":
        language = _QUICKTIME.get(language, language)
    for name, value in (("language", language), ("title", label.title)):
        if plain := "".join(filter(str.isprintable, value)):
            stream.metadata[name] = plain
    if label.title and muxer != "matroska":
        stream.metadata["handler_name"] = label.title  # the only name that MP4 has for a track
    # 0 is said as well: without a word, a format takes its first track for the default.
    flags = ["default", *label.flags] if label.is_default else label.flags
    stream.disposition = reduce(or_, (Disposition[flag] for flag in flags), Disposition(0))


def _text_packets(target: OutputContainer, text: Text) -> Iterator[Packet[Any]]:
    """Subtitles as text of MP4, or in Matroska as SubRip, which all its players show, if it can say
    them: it has no way to write a "<".
    """
    is_mp4 = target.format.name != "matroska"
    is_webvtt = any("&lt;" in cue.text for cue in text.cues)
    stream = target.add_stream("mov_text" if is_mp4 else "webvtt" if is_webvtt else "subrip")
    stream.codec_context.subtitle_header = _ASS_HEAD
    stream.time_base = _TICK
    _set_label(stream, text.label)
    for cue in one_at_a_time(text.cues) if is_mp4 else text.cues:
        said = cue.plain if is_mp4 else cue.text if is_webvtt else cue.tagged
        words = said.encode("utf-8")
        # ETSI TS 126 245, 5.17: a length, then the text.
        packet = Packet(len(words).to_bytes(2, "big") + words if is_mp4 else words)
        packet.stream, packet.time_base = stream, _TICK
        packet.pts = packet.dts = cue.start_ms
        packet.duration = cue.end_ms - cue.start_ms
        yield packet


def _chapter(number: int, cue: Cue) -> Chapter:
    return {
        "id": number, "start": cue.start_ms, "end": cue.end_ms, "time_base": _TICK,
        "metadata": {"title": cue.plain},
    }  # fmt: skip


def _rising(packets: Iterator[Packet[AudioStream]], warn: Warn) -> Iterator[Packet[AudioStream]]:
    """Those in the order of their times, which is all that a file can hold, up to any damage."""
    last, lost = None, 0
    try:
        for packet in packets:
            if last is not None and packet.dts is not None and packet.dts <= last:
                lost += 1
                continue
            last = packet.dts
            yield packet
    except av.FFmpegError as error:
        warn(f"the sound breaks off ({error.strerror})")
    if lost:
        warn(f"{lost} packets of the sound are not in the order of their times, and left out")
