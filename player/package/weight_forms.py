"""How the integer weights of a convolution lie in a weights blob: each of them, or the non-zero.

    dense    s8 [n]
    sparse   u8 bitmap[ceil(n / 8)]: weight i is non-zero where bit i % 8 of byte i // 8 is set
             s8 values: the non-zero weights, in order

Of a sparse form the bits behind the last weight are zero and no stored value is, so that the same
weights always give the same bytes. It is the shorter form where less than 7 of 8 weights are
non-zero. `compiler/runtime/blob.c` proves the same in C.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.package.package_error import PackageError

_S8 = np.dtype("i1")


@dataclass(frozen=True)
class WeightForm:
    """One form of n weights.

    `encode`: s8 of any shape -> bytes. `decode`: (name of the convolution, payload, offset, n) ->
    s8 [n] and the offset behind them; raises PackageError where the bytes are not n weights.
    `byte_range`: n -> the fewest and the most bytes.
    """

    encode: Callable[[NDArray[np.int8]], bytes]
    decode: Callable[[str, bytes, int, int], tuple[NDArray[np.int8], int]]
    byte_range: Callable[[int], tuple[int, int]]


def read_numbers(
    name: str, payload: bytes, at: int, dtype: np.dtype[Any], count: int
) -> tuple[NDArray[Any], int]:
    """[count] of `dtype` from offset `at`, and the offset behind; PackageError past the end."""
    end = at + count * dtype.itemsize
    if end > len(payload):
        raise PackageError(f"weights: the payload ends within {name}; the file is damaged")
    return np.frombuffer(payload[at:end], dtype), end


def _encode_dense(weight: NDArray[np.int8]) -> bytes:
    return weight.tobytes()


def _decode_dense(name: str, payload: bytes, at: int, count: int) -> tuple[NDArray[np.int8], int]:
    return read_numbers(name, payload, at, _S8, count)


def _encode_sparse(weight: NDArray[np.int8]) -> bytes:
    flat = weight.ravel()
    held = flat != 0
    return np.packbits(held, bitorder="little").tobytes() + flat[held].tobytes()


def _decode_sparse(name: str, payload: bytes, at: int, count: int) -> tuple[NDArray[np.int8], int]:
    bitmap, at = read_numbers(name, payload, at, np.dtype("u1"), _bitmap_bytes(count))
    bits = np.unpackbits(bitmap, bitorder="little")
    if bits[count:].any():
        raise PackageError(f"weights: {name} has a bit set behind its last weight")
    held = bits[:count] == 1
    values, at = read_numbers(name, payload, at, _S8, int(held.sum()))
    if not values.all():
        raise PackageError(f"weights: {name} stores a zero among the weights that are non-zero")
    weights = np.zeros(count, np.int8)
    weights[held] = values
    return weights, at


def _bitmap_bytes(count: int) -> int:
    return -(-count // 8)


DENSE = WeightForm(_encode_dense, _decode_dense, lambda n: (n, n))
SPARSE = WeightForm(
    _encode_sparse, _decode_sparse, lambda n: (_bitmap_bytes(n), _bitmap_bytes(n) + n)
)
