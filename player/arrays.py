"""What Python gives to C: checked here, because C cannot."""

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.handle import EngineError
from player.package.paths import BICUBIC, PATH_NAMES

Image = NDArray[np.uint8]
Patches = NDArray[np.int32]  # [n, 6]: y, x, h, w in LR px, network, path
_INT_MAX = 2**31 - 1


def refuse(message: str) -> EngineError:
    """The error of a wrong argument."""
    return EngineError("PSR_E_ARG", message)


def int_of(value: Any, what: str) -> int:
    """A whole number that C holds; raises EngineError."""
    try:
        number = operator.index(value)
    except TypeError:
        raise refuse(f"{what} is {value!r}, no whole number") from None
    # ctypes would cut it to 32 bits, and another number may be a valid one.
    if not -_INT_MAX <= number <= _INT_MAX:
        raise refuse(f"{what} of {number} is out of range")
    return number


def bytes_of(blob: Any) -> bytes:
    """The bytes of a blob, which may lie in any buffer; raises EngineError."""
    # Copied unless they are bytes already: another thread may write into all else.
    try:
        return bytes(memoryview(blob))
    except TypeError:
        raise refuse(f"a blob is bytes, not {type(blob).__name__}") from None


def row_stride(image: Any) -> int:
    """Bytes from row to row; raises EngineError where C could not read the pixels."""
    if not isinstance(image, np.ndarray):
        raise refuse(f"an image is an array of NumPy, not {type(image).__name__}: numpy.asarray it")
    # [row, column, colour] with strides (any, 3, 1); rows that overlap or run backwards are
    # refused.
    packed = image.ndim == 3 and image.shape[2] == 3 and image.strides[1:] == (3, 1)
    if image.dtype != np.uint8 or not packed or image.strides[0] < 3 * image.shape[1]:
        raise refuse(f"image {image.shape} {image.dtype} is not RGB24 in rows")
    if not image.size:
        raise refuse(f"image {image.shape} has no pixels")
    return int(image.strides[0])


def check_out(out: Any, shape: tuple[int, int, int], lr: Image) -> None:
    """Raises EngineError where C could not write a frame of `shape` made of `lr` into `out`."""
    row_stride(out)
    if out.shape != shape:
        raise refuse(f"out of {out.shape} for a frame of {shape}")
    if not out.flags.writeable:
        raise refuse("out is read-only")
    # Threads would read what others have written.
    if np.shares_memory(out, lr):
        raise refuse("out is the memory of the frame that is read")


def checked_patches(patches: Any, networks: int, lr: Image) -> Patches:
    """A copy of the patches [n, 6] of a frame; raises EngineError where they are no cover of it.

    A copy, for C reads them more than once, and another thread could change them in between.
    """
    if not isinstance(patches, np.ndarray):
        raise refuse(f"patches are an array of NumPy, not {type(patches).__name__}")
    if patches.dtype != np.int32 or patches.ndim != 2 or patches.shape[1] != 6:
        raise refuse(f"patches {patches.shape} {patches.dtype} are not [n, 6]")
    copy = np.array(patches, np.int32, order="C")
    y, x, h, w, network, path = copy.T.astype(np.int64)  # so that no sum can overflow
    inside = (y >= 0) & (x >= 0) & (h >= 1) & (w >= 1)
    inside &= (y + h <= lr.shape[0]) & (x + w <= lr.shape[1])
    inside &= (network >= 0) & (network < networks)
    inside &= (path >= BICUBIC) & (path < len(PATH_NAMES))
    if not inside.all():
        raise refuse("a patch lies outside the frame, or names no network")
    if not _cover_once((y, y + h), (x, x + w), lr.shape[:2]):
        raise refuse("the patches do not cover the frame once")
    return copy


Ranges = tuple[NDArray[np.int64], NDArray[np.int64]]  # where they begin, and where they end


def _cover_once(rows: Ranges, columns: Ranges, size: tuple[int, ...]) -> bool:
    """Whether rectangles inside a frame of `size` tile it exactly."""
    area = ((rows[1] - rows[0]) * (columns[1] - columns[0])).sum()
    if area != size[0] * size[1]:
        return False
    # Equal areas may still overlap. Counted over the cells between all begins and ends, from the
    # four corners of each rectangle (a summed-area table backwards).
    ys, n_rows = _numbered(rows, size[0])
    xs, n_columns = _numbered(columns, size[1])
    corners = [y * n_columns + x for y in ys for x in xs]
    signs = np.repeat([1.0, -1.0, -1.0, 1.0], len(rows[0]))
    counts = np.bincount(np.concatenate(corners), signs, n_rows * n_columns)
    counts = counts.reshape(n_rows, n_columns).cumsum(0).cumsum(1)
    # None twice, and the areas equal: then none is left out.
    return bool(counts.max() <= 1)


def _numbered(ranges: Ranges, side: int) -> tuple[Ranges, int]:
    """The ranges in numbers of their own begins and ends, and how many of these there are."""
    marked = np.zeros(side + 1, np.int64)
    marked[ranges[0]] = marked[ranges[1]] = 1
    number = marked.cumsum() - 1
    return (number[ranges[0]], number[ranges[1]]), int(number[-1]) + 1
