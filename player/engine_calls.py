"""Calls into the engine's C interface: what all of its objects check before and after."""

import ctypes

import numpy as np
from numpy.typing import NDArray

from player.package.package_error import PackageError

_ERRORS = {
    1: ("PSR_E_FORMAT", "not a blob that this engine can read"),
    2: ("PSR_E_ARCH", "its architecture is not compiled into this engine; run `compile` again"),
    3: ("PSR_E_CRC", "the checksum is wrong, the file is damaged"),
    4: ("PSR_E_LIMIT", "it asks for more than the limits allow"),
    5: ("PSR_E_SELFTEST", "the self-test gives other values than it should"),
    6: ("PSR_E_NOMEM", "out of memory"),
    7: ("PSR_E_ARG", "an argument is out of range"),
}
_ALIGN = 64  # bytes; a cache line, and the widest vector

Image = NDArray[np.uint8]


class EngineError(PackageError):
    """The engine refused something; `name` is the constant of pocketsr.h."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{message} ({name})")
        self.name = name


class Arena:
    """Working memory of one call: `address` is aligned, with `size` bytes behind it."""

    def __init__(self, size: int) -> None:
        self._buffer = ctypes.create_string_buffer(size + _ALIGN)
        start = ctypes.addressof(self._buffer)
        self.address = start + -start % _ALIGN


def check_code(code: int, what: str) -> None:
    """Raises EngineError where a call has returned anything but PSR_OK."""
    if code:
        name, message = _ERRORS.get(code, (f"PSR_E_{code}", "the engine reports an unknown error"))
        raise EngineError(name, f"{what}: {message}")


def row_stride(image: Image) -> int:
    """Bytes from row to row; raises EngineError where C could not read or write the pixels."""
    packed = image.ndim == 3 and image.shape[2] == 3 and image.strides[1:] == (3, 1)
    if image.dtype != np.uint8 or not packed or image.strides[0] < 3 * image.shape[1]:
        raise EngineError("PSR_E_ARG", f"image {image.shape} {image.dtype} is not RGB24 in rows")
    return image.strides[0]
