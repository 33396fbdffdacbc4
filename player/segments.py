"""Which files of a package's streams can be played."""

from pathlib import Path

from player.events import Event, Listener
from player.package.index import FileEntry, digest
from player.session import Package


def intact_files(package: Package, kind: str, on_event: Listener) -> list[Path]:
    """The files of the stream `kind` ("video", "audio") to play: initialisation, then segments.

    Where the index is signed, a segment that is not what it says is left out, and said.
    Otherwise all that lie in the folder are taken. Empty where there is no such stream.
    """
    index = package.index
    if index is None or package.signer is None:
        return _listed(package.directory, kind)
    streams = {
        "video": (index.video_init, index.segments, "its frames are skipped"),
        "audio": (index.audio_init, index.audio, "its sound is skipped"),
    }
    init, segments, action = streams[kind]
    if init is None:
        return []
    _is_intact(package, init, "it is tried as it is", on_event)
    whole = [s for s in segments if _is_intact(package, s, action, on_event)]
    return [package.directory / f.file for f in (init, *whole)]


def _listed(directory: Path, kind: str) -> list[Path]:
    """The stream's files as they lie in the folder, in the order of their numbers."""
    init = directory / kind / "init.mp4"
    return [init, *sorted(init.parent.glob("seg-*.m4s"))] if init.is_file() else []


def _is_intact(package: Package, entry: FileEntry, action: str, on_event: Listener) -> bool:
    try:
        if digest(package.directory / entry.file) == (entry.sha256, entry.bytes):
            return True
        reason = "its contents are not what the index says"
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    on_event(Event("segment", entry.file, reason, action))
    return False
