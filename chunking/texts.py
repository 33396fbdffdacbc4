"""Subtitles and chapters of a film as cues of WebVTT.

FFmpeg's decoders make ASS of every kind of text (libavcodec/ass.c), with \\N for a new line and
{\\i1} for italics; that is all that is kept of what ASS can say.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import av
from av.container import InputContainer
from av.subtitles.subtitle import AssSubtitle

from chunking.opening import Source, open_source
from chunking.parts import Warn
from player.package.webvtt import Cue, escaped

_Told = tuple[float, float, str]  # start and length in ms, text
_ASS = ("ass", "ssa")
_LONGEST_MS = 5000  # of what states no length
_OVERRIDES = re.compile(r"\{([^}]*)\}")
_WORDS = re.compile(r"\{((?!\\)[^{}]*)\}")
_BRACES = {"{": "\ue000", "}": "\ue001"}  # private use
_STYLE = re.compile(r"\\(?:([ibu])([01])(?![0-9a-z])|r)")  # or a reset
_DRAWING = re.compile(r"\\p[1-9]")


def read_texts(
    source: Source, lose: Mapping[int, Warn], end_s: float | None, early_s: Fraction
) -> dict[int, list[Cue]]:
    """The subtitles of a film by their numbers (from 1), those of `lose`, moved and cut as its
    video is.

    What does not decode is left out and goes to its listener in `lose`. Raises InputError.
    """
    told: dict[int, list[_Told]] = {number: [] for number in lose}
    with open_source(source) as container:
        # All in one pass: they are spread over a film of gigabytes.
        for number, line in _told(container, lose):
            told[number].append(line)
    return {number: _cues(lines, end_s, early_s) for number, lines in told.items()}


def _cues(told: Sequence[_Told], end_s: float | None, early_s: Fraction) -> list[Cue]:
    cues = []
    for i, (start, length, text) in enumerate(told):
        if length <= 0:
            until = [at for at, _, _ in told[i + 1 : i + 2]]
            length = min([_LONGEST_MS, *(at - start for at in until if at > start)])
        begin, end = (round(at + early_s * 1000) for at in (start, start + length))
        if end > 0 and (end_s is None or begin < end_s * 1000):
            cues.append(Cue(max(0, begin), end, text))
    return cues


def _told(container: InputContainer, lose: Mapping[int, Warn]) -> Iterator[tuple[int, _Told]]:
    """The number of the subtitles, and a line of them, of all that decodes."""
    streams = {container.streams.subtitles[number - 1].index: number for number in lose}
    written = {
        number for number in lose
        if container.streams.subtitles[number - 1].codec_context.codec.canonical_name in _ASS
    }  # fmt: skip
    lost = Counter[int]()
    try:
        for packet in container.demux(*(container.streams[index] for index in streams)):
            if packet.pts is None:
                continue
            number, tick_ms = streams[packet.stream_index], 1000 * packet.time_base
            try:
                told = [s.ass for s in packet.decode() if isinstance(s, AssSubtitle)]
                lines = [ass_text(ass, number in written) for ass in told]
            except av.FFmpegError:
                lost[number] += 1
                continue
            if text := "\n".join(line for line in lines if line):
                start, length = packet.pts * tick_ms, (packet.duration or 0) * tick_ms
                yield number, (float(start), float(length), text)
    except av.FFmpegError as error:
        for listener in lose.values():
            listener(f"they break off ({error.strerror})")
    for number, count in lost.items():
        lose[number](f"{count} of them do not decode")


def ass_text(event: bytes, is_ass: bool = True) -> str:
    """A line of ASS, of nine fields and the text, as a cue's text; empty for a drawing. Of what is
    ASS only to FFmpeg (`is_ass` False), words in braces are words.
    """
    text = event.decode("utf-8", "replace").split(",", 8)[-1]
    # What FFmpeg escapes, in two letters that no film has.
    for brace, kept in _BRACES.items():
        text = text.replace(f"\\{brace}", kept)
    if not is_ass:
        text = _WORDS.sub(lambda words: f"{_BRACES['{']}{words[1]}{_BRACES['}']}", text)
    if any(_DRAWING.search(block) for block in _OVERRIDES.findall(text)):
        return ""
    made = ""
    open_tags: list[str] = []
    # Every second part is what stood in braces; at the end all is closed.
    for number, part in enumerate([*_OVERRIDES.split(text), r"\r"]):
        if number % 2 == 0:
            made += escaped(part)
            continue
        for tag, on in _STYLE.findall(part):
            closed = [t for t in open_tags[::-1] if not tag or (t == tag and on == "0")]
            open_tags = [t for t in open_tags if t not in closed]
            made += "".join(f"</{t}>" for t in closed)
            if on == "1" and tag not in open_tags:
                open_tags.append(tag)
                made += f"<{tag}>"
    lines = made.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ").splitlines()
    made = "\n".join(line.strip() for line in lines if line.strip())
    for brace, kept in _BRACES.items():
        made = made.replace(kept, brace)
    return made


def read_chapters(source: Source, end_s: float | None, early_s: Fraction) -> list[Cue]:
    """A film's chapters, moved and cut as its video is. Raises InputError."""
    with open_source(source) as container:
        chapters = container.chapters()
    cues = []
    for number, chapter in enumerate(chapters, start=1):
        tick_ms = 1000 * (chapter["time_base"] or Fraction(1, 1000))
        start, end = (round(chapter[at] * tick_ms + early_s * 1000) for at in ("start", "end"))
        if end_s is None or start < end_s * 1000:
            title = chapter["metadata"].get("title") or f"{number}"
            end = end if end_s is None else min(end, round(end_s * 1000))
            cues.append(Cue(max(0, start), max(0, start, end), escaped(title)))
    return cues
