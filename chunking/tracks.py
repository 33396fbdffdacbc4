"""What becomes of each stream of a film: one decision, which `probe` tells and `encode` follows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from av.container import InputContainer
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from chunking.aac import layout_of
from chunking.audio import DROPPED, EMPTY, sound_fate
from chunking.input_error import NoSuchTrackError
from chunking.opening import Source, describe, open_source
from chunking.probe import choose_video, real_videos
from player.package.languages import is_spoken
from player.package.limits import MAX_SOUNDS, MAX_TEXT_CHARS, MAX_TEXTS
from player.package.streams import FLAGS, UNLABELLED, Label

ENCODED, AS_WEBVTT = "encoded", "made WebVTT"
NO_SOUND = "none"  # in the place of a track's number or language
_TEXTS = {
    "ass", "jacosub", "microdvd", "mov_text", "mpl2", "pjs", "realtext", "sami", "ssa", "stl",
    "subrip", "subviewer", "subviewer1", "text", "vplayer", "webvtt",
}  # fmt: skip
_PICTURES = {"dvb_subtitle", "dvd_subtitle", "hdmv_pgs_subtitle", "xsub"}
_UNKNOWN, _TIMECODE = "unknown codec", "timecode"
_MAX_LANGUAGE_CHARS = 35  # RFC 5646, 4.4.1


@dataclass(frozen=True)
class Track:
    """A stream of a film: the `number`-th (from 1) of its `kind`: "video", "audio", "subtitles",
    "chapters", or what is always dropped. `layout`: its channels, or its size in px. `is_loss`:
    whether it is dropped and would be missed; `is_unwanted`: whether that was asked for, or nobody
    would look for it.
    """

    kind: str
    number: int
    codec: str
    layout: str
    label: Label
    fate: str
    reason: str = ""
    is_loss: bool = False
    is_unwanted: bool = False

    @property
    def name(self) -> str:
        return f"{self.kind} {self.number}"

    @property
    def is_kept(self) -> bool:
        return self.fate != DROPPED

    @property
    def description(self) -> str:
        """Codec, layout, language, title and flags, as far as they are known."""
        label = self.label
        title = f'"{label.title}"' if label.title else ""
        flags = ("default", *label.flags) if label.is_default else label.flags
        known = (self.codec, self.layout, label.language, title, *flags)
        return " ".join(part for part in known if part)

    def to_json(self) -> dict[str, Any]:
        """Its row of `probe --json`."""
        label = {"language": self.label.language or None, "title": self.label.title or None}
        return {
            "kind": self.kind,
            "number": self.number,
            "codec": self.codec,
            "layout": self.layout or None,
            **label,
            "default": self.label.is_default,
            "flags": [*self.label.flags],
            "becomes": self.fate,
            "reason": self.reason or None,
        }


def plan_tracks(source: Source, audio: str | None = None) -> tuple[Track, ...]:
    """Every stream of a film, and its chapters. `audio`: the number (from 1) or the language of the
    sound that is kept, NO_SOUND, or None: all of it.

    Raises InputError where there is no video, NoSuchTrackError where that sound is not there.
    """
    with open_source(source) as container:
        tracks = [*_videos(container, source), *_sounds(container, source)]
        tracks += [*_texts(container), *_others(container)]
        if chapters := container.chapters():
            count = f"{len(chapters)} parts"
            tracks.append(Track("chapters", 1, "", count, UNLABELLED, AS_WEBVTT))
    return tuple(tracks) if audio is None else tuple(_chosen(tracks, audio, describe(source)))


def _videos(container: InputContainer, source: Source) -> Iterator[Track]:
    chosen, streams = choose_video(container, source), real_videos(container)
    for number, stream in enumerate(streams, start=1):
        size = _size(stream)
        if stream == chosen:
            fate = ENCODED, ""
        else:
            fate = DROPPED, f"a package has one video, which is video {streams.index(chosen) + 1}"
        yield Track("video", number, _codec(stream), size, _label(stream), *fate)
    pictures = [s for s in container.streams.video if s not in streams]
    for number, stream in enumerate(pictures, start=1):
        reason = "a cover is no video"
        yield Track("picture", number, _codec(stream), _size(stream), UNLABELLED, DROPPED, reason)


def _sounds(container: InputContainer, source: Source) -> Iterator[Track]:
    kept = 0
    for number, stream in enumerate(container.streams.audio, start=1):
        fate, reason = sound_fate(source, number)
        kept += fate != DROPPED
        if kept > MAX_SOUNDS:
            fate, reason = DROPPED, f"a package has {MAX_SOUNDS} at most"
        context = stream.codec_context
        layout = layout_of(context).name if context is not None else ""
        lost = fate == DROPPED and reason != EMPTY
        yield Track("audio", number, _codec(stream), layout, _label(stream), fate, reason, lost)


def _texts(container: InputContainer) -> Iterator[Track]:
    kept = 0
    for number, stream in enumerate(container.streams.subtitles, start=1):
        codec, fate, reason = _codec(stream), AS_WEBVTT, ""
        if codec in ("ass", "ssa"):
            reason = "its words without their places, fonts and colours"
        if codec in _PICTURES:
            fate, reason = DROPPED, "subtitles that are pictures have no text"
        elif codec not in _TEXTS:
            fate, reason = DROPPED, "no text is known to be in this codec"
        kept += fate != DROPPED
        if kept > MAX_TEXTS:
            fate, reason = DROPPED, f"a package has {MAX_TEXTS} at most"
        lost = fate == DROPPED
        yield Track("subtitles", number, codec, "", _label(stream), fate, reason, lost)


def _others(container: InputContainer) -> Iterator[Track]:
    """Data and attachments. What FFmpeg discards itself are chapters, which it has read."""
    streams = [s for s in container.streams if s.type not in ("video", "audio", "subtitle")]
    kinds: dict[str, int] = {}
    for stream in streams:
        if stream.discard == Discard.all:
            continue
        kinds[stream.type] = number = kinds.get(stream.type, 0) + 1
        codec, reason = _codec(stream), "a package holds video, sound and text"
        # A camera's clock is in many a file, and no player shows it.
        unwanted = codec == _TIMECODE
        yield Track(
            stream.type, number, codec, "", UNLABELLED, DROPPED, reason, is_unwanted=unwanted
        )


def _chosen(tracks: list[Track], audio: str, name: str) -> Iterator[Track]:
    """The same, with the sound that was not asked for dropped."""
    sounds = [track for track in tracks if track.kind == "audio"]
    by_number = [t for t in sounds if audio == str(t.number)]
    wanted = by_number or [t for t in sounds if is_spoken(t.label.language, audio)]
    if not wanted and audio.lower() != NO_SOUND:
        there = ", ".join(f"{t.number} ({t.label.language or 'no language'})" for t in sounds)
        raise NoSuchTrackError(f"{name} has no audio {audio}: there is {there or 'none at all'}")
    for track in tracks:
        if track.kind != "audio" or track in wanted:
            yield track
        else:
            yield replace(
                track, fate=DROPPED, reason=f"--audio {audio}", is_loss=False, is_unwanted=True
            )


def _codec(stream: Stream) -> str:
    context = stream.codec_context
    if context is None:
        if "timecode" in stream.metadata:
            return _TIMECODE
        return (stream.type == "attachment" and stream.mimetype) or _UNKNOWN
    return context.codec.canonical_name


def _size(stream: VideoStream) -> str:
    context = stream.codec_context
    return f"{context.width}x{context.height}" if context is not None else ""


def _label(stream: Stream) -> Label:
    language = stream.metadata.get("language", "")[:_MAX_LANGUAGE_CHARS]
    title = stream.metadata.get("title", "")[:MAX_TEXT_CHARS]
    is_default = bool(stream.disposition & Disposition.default)
    flags = tuple(name for name in FLAGS if stream.disposition & Disposition[name])
    return Label(language if language != "und" else "", title, is_default, flags)
