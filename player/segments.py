"""The LR video of a package as one seekable file: the parts that are whole, one after another.

A fragmented MP4 without some of its fragments is still a fragmented MP4: each fragment carries
its own time, so the frames of the others keep theirs.
"""

import io
import os
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from player.events import Event, Listener
from player.package.index import FileEntry, digest
from player.session import Package


def intact_files(package: Package, kind: str, on_event: Listener) -> list[Path]:
    """The files of the stream `kind` ("video", "audio") to play: initialisation, then segments.

    Where the index is signed, a segment that is not what it says is left out, and said.
    """
    index = package.index
    if index is None or package.signer is None:
        return _listed(package.directory, kind)
    init, segments = {
        "video": (index.video_init, index.segments),
        "audio": (index.audio_init, index.audio),
    }[kind]
    if init is None or not _is_intact(package, init, "decoded as it is", on_event):
        return _listed(package.directory, kind)
    skipped = "its frames are skipped" if kind == "video" else "its sound is skipped"
    whole = [s for s in segments if _is_intact(package, s, skipped, on_event)]
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


class JoinedFile(io.RawIOBase):
    """Files read as one, seekable; only one of them is open at a time."""

    def __init__(self, paths: Sequence[Path], name: str) -> None:
        super().__init__()
        self.name = name
        self._paths = list(paths)
        self._ends = list(accumulate(p.stat().st_size for p in self._paths))
        self._at = 0
        self._number = -1
        self._file: io.BufferedReader | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, fewer where a file ends."""
        left = self._size - self._at
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted <= 0:
            return b""
        number = bisect_right(self._ends, self._at)
        file, start = self._open(number), self._ends[number - 1] if number else 0
        file.seek(self._at - start)
        data = file.read(min(wanted, self._ends[number] - self._at))
        self._at += len(data)
        return data

    def close(self) -> None:
        if self._file:
            self._file.close()
        super().close()

    @property
    def _size(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _open(self, number: int) -> io.BufferedReader:
        if self._file is None or number != self._number:
            if self._file:
                self._file.close()
            self._file, self._number = self._paths[number].open("rb"), number
        return self._file
