"""What a package has beside its picture, for the file that `play --out` writes.

Each track stands alone: what is damaged or does not go into the file is said, and the rest is kept.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from chunking.audio import sound_as_aac
from chunking.file_tracks import Beside, Sound, Text
from chunking.input_error import InputError
from chunking.writer import why_not_copied
from player.package.entries import TextEntry
from player.package.files import read_plain
from player.package.layout import CHAPTERS_PATH, sound_folder, text_path
from player.package.limits import MAX_SOUNDS, MAX_TEXT_BYTES, MAX_TEXTS
from player.package.package_error import PackageError
from player.package.streams import UNLABELLED, Label
from player.package.webvtt import Cue, unpack_webvtt
from player.session import Event, Listener, Package, read_parts


def read_beside(package: Package, out: Path, on_event: Listener) -> Beside:
    """All of it that goes into `out`. Raises InputError for an unknown ending."""
    read = (_sound(package, folder, label, out, on_event) for folder, label in _sounds(package))
    sounds = tuple(sound for sound in read if sound is not None)
    texts = [(_cues(package, name, on_event), label) for name, label in _texts(package)]
    kept = tuple(Text(cues, label) for cues, label in texts if cues)
    named = _is_there(package, CHAPTERS_PATH)
    chapters = _cues(package, CHAPTERS_PATH, on_event) if named else []
    return Beside(sounds, kept, chapters)


def _sounds(package: Package) -> Iterator[tuple[str, Label]]:
    """Folder and label of each track. Where nothing is signed, what lies in the folder counts."""
    labels = [s.label for s in package.index.sounds] if package.index is not None else []
    if package.signer is None:
        labels += [UNLABELLED] * (MAX_SOUNDS - len(labels))
    for number, label in enumerate(labels, start=1):
        folder = sound_folder(number)
        if package.signer is not None or os.path.lexists(package.directory / folder):
            yield folder, label


def _texts(package: Package) -> Iterator[tuple[str, Label]]:
    """File and label of each track of subtitles, in the same way."""
    labels = [t.label for t in package.index.texts] if package.index is not None else []
    if package.signer is None:
        labels += [UNLABELLED] * (MAX_TEXTS - len(labels))
    for number, label in enumerate(labels, start=1):
        if _is_there(package, text_path(number)):
            yield text_path(number), label


def _entry(package: Package, name: str) -> TextEntry | None:
    """What a signed index says of a file of text."""
    if package.index is None or package.signer is None:
        return None
    entries = (*package.index.texts, package.index.chapters)
    return next((e for e in entries if e is not None and e.file == name), None)


def _is_there(package: Package, name: str) -> bool:
    if package.signer is not None:
        return _entry(package, name) is not None
    return os.path.lexists(package.directory / name)


def _cues(package: Package, name: str, on_event: Listener) -> list[Cue]:
    entry = _entry(package, name)
    try:
        if entry is not None:
            return unpack_webvtt(entry.read(package.directory))
        return unpack_webvtt(read_plain(package.directory, name, MAX_TEXT_BYTES))
    except PackageError as error:
        on_event(Event("text", name, str(error), "it is left out"))
        return []


def _sound(
    package: Package, folder: str, label: Label, out: Path, on_event: Listener
) -> Sound | None:
    """A track as MP4; None, and a word where that is a loss."""
    parts = [part.data for part in read_parts(package, folder, on_event)]
    if len(parts) < 2:  # an initialisation alone holds no sound
        return None
    sound = b"".join(parts)
    if (reason := why_not_copied(sound, out)) is None:
        return Sound(sound, label)
    try:
        aac = sound_as_aac(sound)
    except InputError:
        on_event(Event("audio", folder, reason, "the file is written without it"))
        return None
    on_event(Event("audio", folder, f"{out.suffix} does not hold it", "it is encoded as AAC"))
    return Sound(aac, label)
