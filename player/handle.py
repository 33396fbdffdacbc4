"""What C opens for Python: used while it is open, closed once, and never within a call."""

import ctypes
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

from player.package.package_error import PackageError

_ALIGN = 64  # bytes; a cache line, and the widest vector
_ERRORS = {  # by the value of pocketsr.h: its name there, and what it means
    1: ("PSR_E_FORMAT", "not a blob that this engine can read"),
    2: ("PSR_E_ARCH", "a network outside the family, or of the other dtype"),
    3: ("PSR_E_CRC", "the checksum is wrong, the file is damaged"),
    4: ("PSR_E_LIMIT", "it asks for more than the limits allow"),
    5: ("PSR_E_SELFTEST", "the self-test gives other values than it should"),
    6: ("PSR_E_NOMEM", "out of memory"),
    7: ("PSR_E_ARG", "an argument is out of range"),
}


class EngineError(PackageError):
    """The engine refused something; `name` is the constant of pocketsr.h."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{message} ({name})")
        self.name = name


def check_code(code: int, what: str) -> None:
    """Raises EngineError where a call has returned anything but PSR_OK."""
    if code:
        name, message = _ERRORS.get(code, (f"PSR_E_{code}", "the engine reports an unknown error"))
        raise EngineError(name, f"{what}: {message}")


class Arena:
    """Working memory of one call: `address` is aligned, with `size` bytes behind it."""

    def __init__(self, size: int) -> None:
        # The buffer belongs to this object: an Arena must outlive the call that has its address.
        self._buffer = ctypes.create_string_buffer(size + _ALIGN)
        start = ctypes.addressof(self._buffer)
        self.address = start + -start % _ALIGN


class Handle:
    """A pointer that C gave; `with handle as pointer` keeps it open for a call.

    Closed while other threads are within calls, it lets them end, and the last one gives the
    memory back; closed twice, or after a fork in the child, it does nothing. `what` is its name
    in messages. One that `has_threads` is refused in the child: a fork copies no threads.
    """

    def __init__(
        self,
        what: str,
        pointer: ctypes.c_void_p,
        close: Callable[[ctypes.c_void_p], Any],
        has_threads: bool = False,
    ) -> None:
        self.what, self._pointer, self._process = what, pointer, os.getpid()
        self._has_threads = has_threads
        self._calls, self._closed = 0, False
        # Not __del__: at the interpreter's end the library's functions may be gone before it runs.
        self._finalizer = weakref.finalize(self, _give_back, close, pointer, self._process)
        # Nor then: a daemon thread may still be within a call, and the memory goes anyhow.
        self._finalizer.atexit = False

    def __enter__(self) -> ctypes.c_void_p:
        """The pointer; raises EngineError where it is closed."""
        if self._has_threads and os.getpid() != self._process:
            raise EngineError(
                "PSR_E_ARG", f"the {self.what} was opened before a fork: open one in this process"
            )
        with _lock:
            if self._closed:
                raise EngineError("PSR_E_ARG", f"the {self.what} is closed: open another one")
            self._calls += 1
        return self._pointer

    def __exit__(self, *_: object) -> None:
        with _lock:
            self._calls -= 1
            is_last = self._closed and not self._calls
        if is_last:
            self._finalizer()

    def close(self) -> None:
        """Give the memory back, now or when the last call ends."""
        with _lock:
            self._closed = True
            is_idle = not self._calls
        if is_idle:
            self._finalizer()

    @property
    def _as_parameter_(self) -> ctypes.c_void_p:
        return self._pointer

    @property
    def value(self) -> int | None:
        """The address; for callers that see to it themselves that it is open."""
        return self._pointer.value


def _give_back(close: Callable[[ctypes.c_void_p], Any], pointer: ctypes.c_void_p, by: int) -> None:
    # A pool's threads are the parent's: in the child, to wait for their end is to wait for ever.
    if os.getpid() == by:
        close(pointer)


# Of all handles, held for a few instructions. A garbage collection within them may come back here.
_lock = threading.RLock()


def _renew_lock() -> None:
    global _lock
    _lock = threading.RLock()


# A thread that the child does not have may hold it.
os.register_at_fork(after_in_child=_renew_lock)
