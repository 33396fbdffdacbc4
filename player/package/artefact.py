"""The one writer of files that must be there whole, or not at all.

    temporary file beside ──► fsync ──► rename ──► fsync of the folder

A reader sees the old file or the new one, even after a power cut. What only a job reads (records,
checkpoints) is *sealed* as well: its SHA-256 stands in its last line, so that a flipped bit or a
cut is known from the file alone. A package's own files have theirs in the signed index.
"""

import errno
import hashlib
import os
import tempfile
from pathlib import Path

from player.package.package_error import PackageError

PART_SUFFIX = ".part"
_NAME_CHARACTERS = 50  # of at most four bytes: a name has 255
_SEAL_BYTES = 1 + 64 + 1  # a line of its own: newline, hexadecimal digits, newline


def part_prefix(path: Path) -> str:
    """How the name of a temporary file for `path` begins; it ends in `PART_SUFFIX`."""
    return f".{path.name[:_NAME_CHARACTERS]}."


def write_bytes(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Put `data` at `path`; raises OSError, and leaves nothing behind then."""
    if path.is_dir() and not path.is_symlink():
        # The rename would say so as well, but of the temporary file.
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    # Beside its place, for a rename is atomic within one file system only; dot and suffix tell
    # whoever continues an interrupted job what to remove.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=part_prefix(path), suffix=PART_SUFFIX)
    try:
        with os.fdopen(handle, "wb") as file:
            # A temporary file is the owner's alone, and a web server could not read it.
            os.fchmod(file.fileno(), mode)
            file.write(data)
            # Before the rename: after a power cut the name must not stand for an empty file.
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    # Ctrl-C as well: half a file is of no use to anyone.
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync(path.parent)  # the rename itself is only on the disk once its folder is


def write_text(path: Path, text: str) -> None:
    """As `write_bytes`, in UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_sealed(path: Path, data: bytes) -> None:
    """As `write_bytes`, with the seal behind it."""
    write_bytes(path, data + _seal(data))


def read_sealed(path: Path) -> bytes:
    """What `write_sealed` wrote. Raises PackageError where it is not that any more, OSError."""
    sealed = path.read_bytes()
    data = sealed[:-_SEAL_BYTES]
    # What is shorter than a seal is not equal to one either.
    if sealed[-_SEAL_BYTES:] != _seal(data):
        raise PackageError(f"{path}: damaged, its checksum is wrong; remove it")
    return data


def make_folder(path: Path, mode: int = 0o777) -> None:
    """Make a folder and those above it, where they are not there, to stay. Raises OSError."""
    missing = [f for f in (path, *path.parents) if not f.exists()]
    path.mkdir(mode, parents=True, exist_ok=True)
    for folder in reversed(missing):
        sync(folder.parent)


def sync(path: Path) -> None:
    """Wait until a file, or what a folder names, is on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _seal(data: bytes) -> bytes:
    return b"\n" + hashlib.sha256(data).hexdigest().encode("ascii") + b"\n"
