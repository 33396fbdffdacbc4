"""Opening a package: what of it can be used, and what cannot."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from player.events import Event
from player.package.index import FileEntry, Index, read_index
from player.package.layout import INDEX_PATH
from player.package.package_error import PackageError

INIT_PATH = "video/init.mp4"


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
    def scale(self) -> int:
        """HR pixels for an LR pixel, 1 where nothing is known."""
        return self.index.scale if self.index else 1


def open_package(directory: Path | str, trust: frozenset[str] | None = None) -> Package:
    """Open a package. Damage in `sr/` is told in `problems`, and never an error.

    `trust` holds the public keys whose packages may run their own networks; None takes any
    signature that holds. Raises NotAPackageError where there is no video.
    """
    directory = Path(directory)
    if not (directory / INIT_PATH).is_file():
        raise NotAPackageError(f"{directory}: no {INIT_PATH} in it; give the folder of a package")
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
        with (package.directory / entry.file).open("rb") as file:
            data = file.read(entry.bytes + 1)
    except OSError as error:
        raise PackageError(f"cannot be read ({error.strerror})") from error
    if len(data) != entry.bytes or hashlib.sha256(data).hexdigest() != entry.sha256:
        raise PackageError("its contents are not what the index says")
    return data
