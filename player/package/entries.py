"""What `sr/index.bin` says, as frozen dataclasses: each file of a package, and what it holds."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from player.package.adapted import whole_blob
from player.package.architecture import Architecture
from player.package.files import read_plain
from player.package.package_error import PackageError
from player.package.paths import grid_shape
from player.package.scale import Scale
from player.package.shipped import shipped_by_hash
from player.package.streams import UNLABELLED, Label

# Of a SHA-256, in an index. Who would put another file in the place of a signed one must find a
# second preimage, 2^160 tries; docs/package.md says why no more is needed.
HASH_BYTES = 20
ID_BYTES = 9

Data = bytes  # which is the name of a field below


@dataclass(frozen=True)
class Size:
    """A frame's size in pixels, upright."""

    width: int
    height: int


@dataclass(frozen=True)
class FileEntry:
    """One file of the package: its path relative to the package, and what it must contain.

    `sha256` is hexadecimal, whole or cut: its first `HASH_BYTES` bytes, or all of them in a
    package of schema 1. `bytes` is the length.
    """

    file: str
    sha256: str
    bytes: int

    @property
    def sent_bytes(self) -> int:
        """What of it a package holds."""
        return self.bytes

    def read(self, package: Path) -> Data:
        """Its bytes, read once and found to be those of the index.

        Raises PackageError, without the name, where they are others or not to be had.
        """
        data = read_plain(package, self.file, self.bytes)
        # The length first: a file that is only cut is told from one that was changed.
        if len(data) != self.bytes:
            raise PackageError(f"has {len(data)} bytes, not {self.bytes}")
        if not hashlib.sha256(data).hexdigest().startswith(self.sha256):
            raise PackageError("its SHA-256 is not the one of the index")
        return data


@dataclass(frozen=True)
class WeightsEntry(FileEntry):
    """A weights blob; its place in the list is the network number of the route codes.

    One that is `shipped` lies with the player, which knows it by its hash, and not in the package.
    A file may also hold the changes of one alone, or of `first`, the package's network 0
    (adapted.py): what is read is whole.
    """

    arch: Architecture
    shipped: bool = False
    first: "WeightsEntry | None" = field(default=None, compare=False)  # follows from the list

    @property
    def sent_bytes(self) -> int:
        return 0 if self.shipped else self.bytes

    def read(self, package: Path) -> Data:
        if self.shipped:
            return shipped_by_hash(self.sha256)
        first = partial(self.first.read, package) if self.first else None
        return whole_blob(super().read(package), first)


@dataclass(frozen=True)
class RoutesEntry(FileEntry):
    """The route map of the segment with number `segment` (from 0)."""

    segment: int
    frames: int


@dataclass(frozen=True)
class RouterEntry(FileEntry):
    """The router blob, which decides where a segment has no route map."""


@dataclass(frozen=True)
class SegmentEntry(FileEntry):
    """A media segment: presentation `start` and `duration` in ticks of its time base."""

    start: int
    duration: int
    frames: int


@dataclass(frozen=True)
class SoundEntry:
    """A track of sound; `time_base` is the length in seconds of a tick of its `segments`."""

    init: FileEntry
    segments: tuple[SegmentEntry, ...]
    time_base: Fraction
    label: Label = UNLABELLED


@dataclass(frozen=True)
class TextEntry(FileEntry):
    """A track of subtitles, or the chapters."""

    label: Label = UNLABELLED


@dataclass(frozen=True)
class Index:
    """The whole of `sr/index.bin` but its signature.

    `hr` is the size to show: the network's output, `scale` times `lr`, cropped at the right and
    bottom. Without weights the anchor is shown. `time_base` is the length in seconds of a tick of
    `segments`. `chapters` names parts of the film. `colour` holds the tags of the video (matrix,
    full_range, primaries, transfer). `version` is the PocketSR that made the package, `manifests`
    the hash of all manifests (`manifest_check.manifests_hash`). `id` (18 hexadecimal digits, or
    empty) is of the film and how it was encoded, `revision` the how-manieth making of that.
    """

    scale: Scale
    lr: Size
    hr: Size
    fine_h: int
    fine_w: int
    frames: int
    method: str
    preset: str
    time_base: Fraction
    weights: tuple[WeightsEntry, ...]
    routes: tuple[RoutesEntry, ...]
    segments: tuple[SegmentEntry, ...]
    video_init: FileEntry
    sounds: tuple[SoundEntry, ...] = ()
    texts: tuple[TextEntry, ...] = ()
    chapters: TextEntry | None = None
    colour: Mapping[str, Any] | None = None
    version: str = ""
    router: RouterEntry | None = None
    manifests: str = ""
    id: str = ""
    revision: int = 1

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns of fine cells over an LR frame."""
        return grid_shape(self.lr.height, self.lr.width, self.fine_h, self.fine_w)

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """Every file that the index answers for, in the order of playing."""
        inits = [self.video_init, *(sound.init for sound in self.sounds)]
        routers = [self.router] if self.router is not None else []
        heard = [segment for sound in self.sounds for segment in sound.segments]
        read = [*self.texts, *([self.chapters] if self.chapters is not None else [])]
        return (*inits, *self.weights, *routers, *self.routes, *self.segments, *heard, *read)


def file_entry(package: Path, path: Path) -> FileEntry:
    """The entry of a file that lies in the folder `package`. Raises OSError."""
    sha256, size = digest(path)
    return FileEntry(path.relative_to(package).as_posix(), sha256[: 2 * HASH_BYTES], size)


def blob_entry(name: str, blob: bytes) -> FileEntry:
    """The entry of bytes that lie elsewhere."""
    return FileEntry(name, hashlib.sha256(blob).hexdigest()[: 2 * HASH_BYTES], len(blob))


def tree_digest(path: Path) -> str:
    """SHA-256 (hex) of a file, or of all files below a folder and their names. Raises OSError."""
    if not path.is_dir():
        return digest(path)[0]
    files = sorted(p for p in path.rglob("*") if p.is_file())
    sums = [f"{p.relative_to(path).as_posix()} {digest(p)[0]}" for p in files]
    return hashlib.sha256("\n".join(sums).encode("utf-8", "surrogateescape")).hexdigest()


def digest(path: Path) -> tuple[str, int]:
    """SHA-256 (hex) and length in bytes of a file, read in pieces. Raises OSError."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        # The length of what was hashed; a second look at the path could find another file.
        return sha256, file.tell()
