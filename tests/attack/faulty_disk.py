"""A disk that fails, or a process that ends, at the n-th change to it; as SQLite tests itself.

https://www.sqlite.org/testing.html, sections 3.2 and 3.3.
"""

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

# Every change that an encode makes to a folder goes through one of these: a file begun, its data
# on the disk, its name, and what is made or removed besides.
CHANGES = (
    (tempfile, "mkstemp"),
    (os, "fsync"),
    (os, "replace"),
    (os, "mkdir"),
    (os, "unlink"),
    (os, "rmdir"),
)


class Killed(BaseException):
    """Stands for the end of the process: from here on nothing changes the disk any more."""


@contextmanager
def faulty_disk(at: int | None = None, kill: bool = False) -> Iterator[list[str]]:
    """Fail the change number `at`, from 0; or end the process there. Yields the changes' names."""
    seen: list[str] = []

    def watched(name: str, change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **named: Any) -> Any:
            seen.append(name)
            if kill and at is not None and len(seen) > at:
                raise Killed
            if len(seen) - 1 == at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return change(*arguments, **named)

        return changed

    patches = [mock.patch.object(m, n, watched(n, getattr(m, n))) for m, n in CHANGES]
    try:
        for patch in patches:
            patch.start()
        yield seen
    finally:
        for patch in patches:
            patch.stop()
