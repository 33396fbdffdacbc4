"""Opening a package: what of it can be used, what cannot, and which files of it are played.

Each step down the ladder of docs/player.md is one `Event`, told to the caller's listener.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from chunking.opening import Mp4
from player.package.entries import FileEntry, Index
from player.package.files import read_plain
from player.package.index import read_index
from player.package.layout import (
    INDEX_PATH,
    INIT_NAME,
    LADDER_FILE,
    SEGMENTS,
    VIDEO,
    sound_folder,
)
from player.package.limits import MAX_SEGMENT_BYTES
from player.package.package_error import PackageError
from player.package.scale import Scale
from player.package.seen import Seen


@dataclass(frozen=True)
class Event:
    """Something went wrong, and the player went on: `what` is a file or a part of the package,
    `reason` says what is wrong with it, `action` what is done instead.
    """

    kind: str
    what: str
    reason: str
    action: str

    def __str__(self) -> str:
        told = "; ".join(part for part in (self.reason, self.action) if part)
        return f"{self.what}: {told}"


Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The listener of a caller that does not want to know."""


Wanted = Callable[[int], bool]


def everything(number: int) -> bool:
    """Nothing is left out."""
    return True


class NotAPackageError(PackageError):
    """The folder has no video that could be played."""

    exit_code = 3


@dataclass(frozen=True)
class Package:
    """An opened package.

    `index` is None where it cannot be used: then the LR video is shown as it is. `signer` is the
    public key that signed it, None where the signature does not hold: then sizes and times are
    used, but neither the networks nor the routes, and the segments' hashes are not looked at.
    """

    directory: Path
    index: Index | None
    signer: str | None
    problems: tuple[Event, ...] = field(default=())

    @property
    def scale(self) -> Scale:
        """HR pixels for an LR pixel, 1 where nothing is known."""
        return self.index.scale if self.index else 1

    @property
    def shows_lr(self) -> bool:
        """Whether the LR video is shown as it is, which no engine is needed for."""
        return self.index is None or (self.scale == 1 and not self.index.weights)


def refuse_ladder(directory: Path) -> None:
    """Raises NotAPackageError for a ladder, where one of its rungs is wanted."""
    if (directory / LADDER_FILE).exists():
        raise NotAPackageError(f"{directory} is a ladder: give the folder of one of its rungs")


def open_package(
    directory: Path | str, trust: frozenset[str] | None = None, seen: Seen | None = None
) -> Package:
    """Open a package. Damage in `sr/` is told in `problems`, and never an error.

    `trust` holds the public keys whose packages may run their own networks; None takes any
    signature that holds. One of an older revision than was `seen` is not taken. Raises
    NotAPackageError where there is no video, PackageError where its first file is no plain one.
    """
    directory = Path(directory)
    init = f"{VIDEO}/{INIT_NAME}"
    if not (directory / init).is_file():
        if os.path.lexists(directory / init):
            raise PackageError(f"{directory / init}: is not a plain file; fetch it again")
        refuse_ladder(directory)
        raise NotAPackageError(f"{directory}: no {init} in it; give the folder of a package")
    try:
        file = read_index(directory)
    except PackageError as error:
        reason = str(error).removeprefix(f"{INDEX_PATH}: ")
        problem = Event("index", INDEX_PATH, reason, "the LR video is shown as it is")
        return Package(directory, None, None, (problem,))
    try:
        signer = file.signer(trust)
        if seen is not None:
            seen.check(file.index, signer)
        return Package(directory, file.index, signer)
    except PackageError as error:
        problem = Event("signature", INDEX_PATH, str(error), "its networks are not used")
        return Package(directory, file.index, None, (problem,))


@dataclass(frozen=True)
class Part:
    """The initialisation or a segment of a stream: its name in the package, and its bytes."""

    name: str
    data: bytes


def read_parts(
    package: Package, kind: str, on_event: Listener, wanted: Wanted = everything
) -> Iterator[Part]:
    """The stream in the folder `kind` (VIDEO, or of a sound) as it is played: initialisation, then
    segments.

    Each is read when it is asked for, once: what was hashed is what is played. Where the index is
    signed, a segment that is not what it says is left out, and said. Otherwise all that lie in the
    folder are taken. Nothing where there is no such stream, or no initialisation. Of the segments
    only those whose number, from 0, is `wanted`.
    """
    if package.index is None or package.signer is None:
        # Hashes that nobody signed say nothing: the folder's files, in the order of their numbers.
        folder = package.directory / kind
        names = sorted(path.name for path in folder.glob(SEGMENTS))
        known = names or os.path.lexists(folder / INIT_NAME)
        names = [INIT_NAME, *names] if known else []
        entries: Sequence[FileEntry | str] = [f"{kind}/{name}" for name in names]
    else:
        index = package.index
        sounds = enumerate(index.sounds, start=1)
        of = {sound_folder(number): (sound.init, sound.segments) for number, sound in sounds}
        init, segments = ({VIDEO: (index.video_init, index.segments)} | of)[kind]
        entries = [init, *segments]
    action = f"the {kind} is not played"
    for number, entry in enumerate(entries, start=-1):
        if number >= 0 and not wanted(number):
            continue
        name = entry if isinstance(entry, str) else entry.file
        try:
            if isinstance(entry, str):
                yield Part(name, read_plain(package.directory, name, MAX_SEGMENT_BYTES))
            else:
                yield Part(name, entry.read(package.directory))
        except PackageError as error:
            on_event(Event("segment", name, str(error), action))
            if number < 0:
                return
        action = f"its {'frames are' if kind == VIDEO else 'sound is'} skipped"


def read_segments(
    package: Package, on_event: Listener, wanted: Wanted = everything
) -> Iterator[Mp4]:
    """The segments of the video, at least one, each behind the initialisation; their frames are of
    the size that a signed index says. Only those whose number, from 0, is `wanted`.

    Raises PackageError, with what is wrong with the first file, where none is left.
    """
    refused: list[Event] = []

    def listen(event: Event) -> None:
        refused.append(event)
        on_event(event)

    parts = read_parts(package, VIDEO, listen, wanted)
    size, head = None, b"".join(part.data for part in islice(parts, 1))
    if package.index is not None and package.signer is not None:
        size = package.index.lr.height, package.index.lr.width
    part = None
    for part in parts:
        yield Mp4(part.name, head + part.data, size)
    if part is None and refused:
        first = refused[0]
        raise PackageError(f"{package.directory / first.what}: {first.reason}; fetch it again")
    if part is None:
        raise NotAPackageError(f"{package.directory}: it has no segment of the video")
