"""What a film has beside its picture, into a package's folder: sound, subtitles and chapters.

plan_tracks ──► sound ──copy_audio──► audio/ audio-2/ ...
            ├─► text ───read_text───► text/1.vtt ...
            └─► chapters ───────────► text/chapters.vtt
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from chunking.audio import copy_audio
from chunking.opening import Source, has_packets
from chunking.parts import Warn
from chunking.texts import read_chapters, read_texts
from chunking.tracks import Track
from player.package.artefact import make_folder, write_bytes
from player.package.layout import CHAPTERS_PATH, sound_folder, text_path
from player.package.streams import UNLABELLED, Label, StreamFiles, TextFile
from player.package.webvtt import Cue, fits, pack_webvtt

_NO_TEXT = "no text is in them"
_TOO_MUCH_TEXT = "more text than a package may have: left out"


@dataclass(frozen=True)
class Kept:
    """What lies in the folder now. `lost`: what should, a line each: "audio 2: ..."."""

    sounds: tuple[StreamFiles, ...]
    texts: tuple[TextFile, ...]
    chapters: TextFile | None
    lost: tuple[str, ...]


@dataclass(frozen=True)
class Cut:
    """How the video lies in time: where it was cut short, in segments of what length, and by how
    much it was moved.
    """

    end_s: float | None = None
    segment_s: float = 4.0
    early_s: Fraction = Fraction(0)


def keep_tracks(
    source: Source, out: Path, tracks: Sequence[Track], cut: Cut, on_warning: Warn
) -> Kept:
    """Does with `tracks` what `plan_tracks` said, and says what is dropped or lost."""
    keeper = _Keeper(source, out, cut, on_warning, [])
    for track in tracks:
        keeper.say(track)
    sounds = keeper.sounds([track for track in tracks if track.kind == "audio"])
    texts = keeper.texts([t for t in tracks if t.kind == "subtitles" and t.is_kept])
    has_chapters = any(track.kind == "chapters" for track in tracks)
    chapters = keeper.chapters() if has_chapters else None
    return Kept(sounds, texts, chapters, tuple(keeper.lost))


@dataclass(frozen=True)
class _Keeper:
    source: Source
    out: Path
    cut: Cut
    warn: Warn
    lost: list[str]

    def say(self, track: Track) -> None:
        """What is known before anything is copied, but for what was asked for."""
        # Found out here, for it may take reading the whole film, which `probe` does not.
        if (
            track.is_loss
            and track.kind == "subtitles"
            and not has_packets(self.source, track.kind, track.number)
        ):
            track = replace(track, reason=_NO_TEXT, is_loss=False)
        if track.is_loss:
            self.lost.append(f"{track.name}: {track.reason}")
        # Of sound that is kept, `copy_audio` tells more.
        if track.reason and not (track.is_unwanted or (track.kind == "audio" and track.is_kept)):
            self.warn(f"{track.name} ({track.description}) is {track.fate}: {track.reason}")

    def sounds(self, tracks: Sequence[Track]) -> tuple[StreamFiles, ...]:
        kept: list[StreamFiles] = []
        for track in (t for t in tracks if t.is_kept):
            files = copy_audio(
                self.source, self.out, self._warn(track), self.cut.end_s, self.cut.segment_s,
                self.cut.early_s, track.number, sound_folder(len(kept) + 1), self._lose(track),
            )  # fmt: skip
            if files is not None:
                # One track alone is the default one, said or not.
                label = track.label if len(tracks) > 1 else replace(track.label, is_default=False)
                kept.append(replace(files, label=label))
        return tuple(kept)

    def texts(self, tracks: Sequence[Track]) -> tuple[TextFile, ...]:
        kept: list[TextFile] = []
        lose = {track.number: self._lose(track) for track in tracks}
        read = read_texts(self.source, lose, self.cut.end_s, self.cut.early_s) if tracks else {}
        for track in tracks:
            if cues := read[track.number]:
                path, losing = text_path(len(kept) + 1), lose[track.number]
                if text := self._write(path, cues, track.label, losing):
                    kept.append(text)
            elif self.cut.end_s is None:
                self._warn(track)(f"{_NO_TEXT}: they are left out")
        return tuple(kept)

    def chapters(self) -> TextFile | None:
        cues = read_chapters(self.source, self.cut.end_s, self.cut.early_s)
        if not cues:
            return None
        return self._write(
            CHAPTERS_PATH, cues, UNLABELLED, lambda said: self.warn(f"chapters: {said}")
        )

    def _write(self, name: str, cues: Sequence[Cue], label: Label, lose: Warn) -> TextFile | None:
        """None, and said, where it is more than a package may have."""
        path, data = self.out / name, pack_webvtt(cues)
        if not fits(len(cues), len(data)):
            lose(_TOO_MUCH_TEXT)
            return None
        make_folder(path.parent)
        write_bytes(path, data)
        return TextFile(path, label)

    def _warn(self, track: Track) -> Warn:
        return lambda said: self.warn(f"{track.name}: {said}")

    def _lose(self, track: Track) -> Warn:
        """A listener that keeps and says what a track has lost."""

        def lose(reason: str) -> None:
            self.lost.append(f"{track.name}: {reason}")
            self.warn(f"{track.name}: {reason}")

        return lose
