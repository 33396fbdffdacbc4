"""Opening a package: what of it can be used, what cannot, and which files of it are played.

Each step down the ladder of docs/player.md is one `Event`, told to the caller's listener.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from player.package.entries import FileEntry, Index, digest
from player.package.index import read_index
from player.package.layout import INDEX_PATH, INIT_NAME, SEGMENTS, VIDEO
from player.package.package_error import PackageError
from player.package.scale import Scale


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
        return f"{self.what}: {self.reason}; {self.action}"


Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The listener of a caller that does not want to know."""


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


def open_package(directory: Path | str, trust: frozenset[str] | None = None) -> Package:
    """Open a package. Damage in `sr/` is told in `problems`, and never an error.

    `trust` holds the public keys whose packages may run their own networks; None takes any
    signature that holds. Raises NotAPackageError where there is no video.
    """
    directory = Path(directory)
    init = f"{VIDEO}/{INIT_NAME}"
    if not (directory / init).is_file():
        raise NotAPackageError(f"{directory}: no {init} in it; give the folder of a package")
    try:
        file = read_index(directory)
    except PackageError as error:
        problem = Event("index", INDEX_PATH, str(error), "the LR video is shown as it is")
        return Package(directory, None, None, (problem,))
    try:
        return Package(directory, file.index, file.signer(trust))
    except PackageError as error:
        problem = Event("signature", INDEX_PATH, str(error), "its networks are not used")
        return Package(directory, file.index, None, (problem,))


def read_entry(package: Package, entry: FileEntry) -> bytes:
    """The bytes of a file that the index names; raises PackageError where they are others."""
    try:
        with entry.path(package.directory).open("rb") as file:
            # One byte more than there should be tells a file that is too long, and bounds the
            # memory by the index, which is itself bounded.
            data = file.read(entry.bytes + 1)
    except OSError as error:
        raise PackageError(f"cannot be read ({error.strerror})") from error
    if not entry.fits((hashlib.sha256(data).hexdigest(), len(data))):
        raise PackageError("its contents are not what the index says")
    return data


def intact_files(package: Package, kind: str, on_event: Listener) -> list[Path]:
    """The files of the stream `kind` ("video", "audio") to play: initialisation, then segments.

    Where the index is signed, a segment that is not what it says is left out, and said.
    Otherwise all that lie in the folder are taken. Empty where there is no such stream.
    """
    index = package.index
    if index is None or package.signer is None:
        # Hashes that nobody signed say nothing: the folder's files, in the order of their numbers.
        start = package.directory / kind / INIT_NAME
        return [start, *sorted(start.parent.glob(SEGMENTS))] if start.is_file() else []
    streams = {
        "video": (index.video_init, index.segments, "its frames are skipped"),
        "audio": (index.audio_init, index.audio, "its sound is skipped"),
    }
    init, segments, action = streams[kind]
    if init is None:
        return []
    # Without its initialisation nothing decodes, so that trying a damaged one costs nothing.
    _is_intact(package, init, "it is tried as it is", on_event)
    whole = [s for s in segments if _is_intact(package, s, action, on_event)]
    return [package.directory / f.file for f in (init, *whole)]


def _is_intact(package: Package, entry: FileEntry, action: str, on_event: Listener) -> bool:
    try:
        if entry.fits(digest(package.directory / entry.file)):
            return True
        reason = "its contents are not what the index says"
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    on_event(Event("segment", entry.file, reason, action))
    return False
