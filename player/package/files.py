"""The one reader of a package's files: what is checked is what is used.

A package comes from somebody else. What bears the name of a segment may be a link out of the
folder, a pipe without end, a device, 200 GB of holes, or another file a moment later. So a file is
opened once, below the package's folder, following no link and waiting for nobody; it must be a
plain file no longer than it may be; it is read once, and those bytes are hashed and handed on.
"""

import errno
import os
import stat
from pathlib import Path

from player.package.package_error import PackageError

# Neither following a link, nor waiting for the other end of a pipe.
CAREFULLY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def read_plain(package: Path, name: str, most: int) -> bytes:
    """The bytes of the plain file `name` ("video/init.mp4") in the folder `package`.

    Raises PackageError, without the name, where it is missing, is a link or anything else but a
    plain file, leads through a link, or is longer than `most` bytes.
    """
    try:
        descriptor = _open_below(package, name)
    except OSError as error:
        # A link at the end is ELOOP, a link to a folder on the way ENOTDIR.
        is_link = error.errno == errno.ELOOP or (package / name).is_symlink()
        reason = "is a symbolic link" if is_link else f"cannot be read ({error.strerror})"
        raise PackageError(reason) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise PackageError("is not a plain file")
        if found.st_size > most:
            raise PackageError(f"has {found.st_size} bytes, not at most {most}")
        with open(descriptor, "rb", closefd=False) as file:
            # Not `most`, for which the memory would be taken at once; a file that grows meanwhile
            # is told by its hash.
            return file.read(found.st_size + 1)
    finally:
        os.close(descriptor)


def _open_below(package: Path, name: str) -> int:
    *folders, file = name.split("/")
    at = os.open(package, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            below = os.open(folder, CAREFULLY | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = below
        return os.open(file, CAREFULLY, dir_fd=at)
    finally:
        os.close(at)
