"""Integers of an int8 network, on the way into a blob and out of it: one convolution after another.

    weight s8 [O, I, k, k]   bias s32 [O]   multiplier f32 [O]     little endian, nothing between

The weight lies in one of two forms:

    DENSE    s8 [n]
    SPARSE   u8 bitmap[ceil(n / 8)]: weight i is non-zero where bit i % 8 of byte i // 8 is set
             s8 values: the non-zero weights, in order

`compiler/runtime/blob.c` reads and proves the same in C.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.package.package_error import PackageError

MAX_WEIGHT = 127
MAX_ACTIVATION = 255
SUM_LIMIT = 1 << 24
LEAST_MULTIPLIER, MULTIPLIER_LIMIT = 2.0**-40, 64.0
# A multiplier on the grid keeps three bits of its mantissa: eight steps of 6 to 12 % an octave.
MANTISSA_BITS, LEAST_EXPONENT = 3, -40
GRID_SHIFT = 23 - MANTISSA_BITS
GRID_PLACES = (6 - LEAST_EXPONENT) << MANTISSA_BITS
_FIRST_PLACE = np.uint32((127 + LEAST_EXPONENT) << MANTISSA_BITS)  # 127: the exponent's bias
_MOST_UNIT_BITS = 31
_S8, _U8 = np.dtype("i1"), np.dtype("u1")
_S32, _F32 = np.dtype("<i4"), np.dtype("<f4")
_DTYPES: tuple[np.dtype[Any], ...] = (_S8, _S32, _F32)
_BYTES_AN_OUTPUT = 8  # bias and multiplier

Layer = tuple[NDArray[np.int8], NDArray[np.int32], NDArray[np.float32]]


class WeightForm(ABC):
    """One way to store n integer weights."""

    @abstractmethod
    def encode(self, weight: NDArray[np.int8]) -> bytes:
        """The bytes of weights of any shape."""

    @abstractmethod
    def decode(self, name: str, payload: bytes, at: int, n: int) -> tuple[NDArray[np.int8], int]:
        """s8 [n] of the convolution `name` from offset `at` on, and the offset behind them.

        Raises PackageError where the bytes are not n weights.
        """

    @abstractmethod
    def byte_range(self, n: int) -> tuple[int, int]:
        """The fewest and the most bytes of n weights."""


class _Dense(WeightForm):
    def encode(self, weight: NDArray[np.int8]) -> bytes:
        return weight.tobytes()

    def decode(self, name: str, payload: bytes, at: int, n: int) -> tuple[NDArray[np.int8], int]:
        return _read_numbers(name, payload, at, _S8, n)

    def byte_range(self, n: int) -> tuple[int, int]:
        return n, n


class _Sparse(WeightForm):
    """The shorter form where less than 7 of 8 weights are non-zero."""

    def encode(self, weight: NDArray[np.int8]) -> bytes:
        flat = weight.ravel()
        held = flat != 0
        return np.packbits(held, bitorder="little").tobytes() + flat[held].tobytes()

    def decode(self, name: str, payload: bytes, at: int, n: int) -> tuple[NDArray[np.int8], int]:
        bitmap, at = _read_numbers(name, payload, at, _U8, -(-n // 8))
        bits = np.unpackbits(bitmap, bitorder="little")
        # Neither bits behind the last weight nor stored zeros: the same weights are the same bytes.
        if bits[n:].any():
            raise PackageError(f"weights: {name} has a bit set behind its last weight")
        held = bits[:n] == 1
        values, at = _read_numbers(name, payload, at, _S8, int(held.sum()))
        if not values.all():
            raise PackageError(f"weights: {name} stores a zero among the weights that are non-zero")
        weights = np.zeros(n, np.int8)
        weights[held] = values
        return weights, at

    def byte_range(self, n: int) -> tuple[int, int]:
        # No weight stored, or all of them: how many there are only the bitmap tells.
        return -(-n // 8), -(-n // 8) + n


DENSE, SPARSE = _Dense(), _Sparse()


def _read_numbers(
    name: str, payload: bytes, at: int, dtype: np.dtype[Any], count: int
) -> tuple[NDArray[Any], int]:
    """[count] of `dtype` from offset `at`, and the offset behind; PackageError past the end."""
    end = at + count * dtype.itemsize
    if end > len(payload):
        raise PackageError(f"weights: the payload ends within {name}; the file is damaged")
    return np.frombuffer(payload[at:end], dtype), end


def largest_sums(weight: NDArray[Any], bias: NDArray[Any]) -> NDArray[np.int64]:
    """[O]: what no sum of weights [O, ...] over activations 0..255, and a bias, can exceed."""
    # In 64 bits: the lowest integer of 8 or 32 bits is its own absolute value there.
    absolute = np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(axis=1)
    return MAX_ACTIVATION * absolute + np.abs(bias.astype(np.int64))


def grid_multiplier(multiplier: NDArray[Any]) -> NDArray[np.float32]:
    """The nearest multipliers, of any shape, on the grid on which coded blobs have them.

    The grid is every float32 of 2^-40..60 whose lower 20 bits are zero, so that a multiplier is a
    small integer. A quantiser takes its weight step from here: step = grid multiplier x the step
    that the layer writes / the step that it reads.
    """
    values = np.asarray(multiplier, np.float32)
    # As integers, positive floats lie in their own order; half of what is cut off rounds.
    nearest = (values.view(np.uint32) + np.uint32(1 << (GRID_SHIFT - 1))) >> GRID_SHIFT
    least, most = np.float32(LEAST_MULTIPLIER), np.float32(MULTIPLIER_LIMIT * 15 / 16)
    return np.clip((nearest << GRID_SHIFT).view(np.float32), least, most)


def grid_places(name: str, multiplier: NDArray[np.float32]) -> list[int]:
    """[O] from 0, of 2^-40, to 367, of 60; raises PackageError where a multiplier lies between."""
    between = grid_multiplier(multiplier) != multiplier
    if between.any():
        at = int(between.argmax())
        raise PackageError(
            f"weights: {name}, output {at}: multiplier {multiplier[at]} is not on the grid"
        )
    return [int(place) for place in (multiplier.view(np.uint32) >> GRID_SHIFT) - _FIRST_PLACE]


def multipliers_at(places: Sequence[int]) -> NDArray[np.float32]:
    """The inverse of `grid_places`."""
    return ((np.array(places, np.uint32) + _FIRST_PLACE) << GRID_SHIFT).view(np.float32)


def bias_units(multiplier: NDArray[np.float32], precision: int) -> NDArray[np.int64]:
    """[O]: powers of two, of which a bias is worth 2^precision to 2^(precision + 1) of an output.

    Biases that are multiples of them take fewer bits in coded blobs, where each layer has the
    largest precision that its biases allow. A unit is at least 1, whatever the precision.
    """
    exponent = np.frexp(multiplier)[1].astype(np.int64) - 1
    return np.int64(1) << np.clip(precision - exponent, 0, _MOST_UNIT_BITS)


def unit_bits(precision: int, place: int) -> int:
    """log2 of the unit of a bias whose multiplier has that place on the grid."""
    return max(0, min(_MOST_UNIT_BITS, precision - _exponent(place)))


def bias_precision(biases: Sequence[int], places: Sequence[int]) -> int:
    """The largest precision in whose units all biases are whole; LEAST_EXPONENT if all are 0."""
    # A number's lowest bit that is set is all that it has in common with its negative.
    lowest = ((bias & -bias).bit_length() - 1 for bias in biases)
    allowed = (
        low + _exponent(place) for low, place in zip(lowest, places, strict=True) if low >= 0
    )
    return min(allowed, default=LEAST_EXPONENT)


def _exponent(place: int) -> int:
    return (place >> MANTISSA_BITS) + LEAST_EXPONENT


def check_layer(name: str, layer: Layer) -> None:
    """Raises PackageError where a convolution breaks a limit, and says which and where.

    The limits are what makes an int8 network the same on every machine.
    """
    weight, bias, multiplier = layer
    # NEON adds two products of q - 128 and a weight in 16 bits: 2 * 128 * 127 < 2^15.
    if (weight == -128).any():
        raise PackageError(f"weights: {name} holds -128; int8 weights are -127..127")
    # Below 2^24 every sum, whole or half-way, is a float32 without rounding.
    sums = largest_sums(weight, bias)
    if (sums >= SUM_LIMIT).any():
        at = int(sums.argmax())
        raise PackageError(f"weights: {name}, output {at}: sums reach {sums[at]}, not below 2^24")
    # Within this range scaling neither underflows nor leaves 32 bits.
    good = (multiplier >= LEAST_MULTIPLIER) & (multiplier < MULTIPLIER_LIMIT)  # false for NaN
    if not good.all():
        at = int(np.flatnonzero(~good)[0])
        raise PackageError(
            f"weights: {name}, output {at}: multiplier {multiplier[at]} is outside 2^-40..64"
        )


def check_types(name: str, layer: Layer) -> None:
    """Raises PackageError where an array is not of its type."""
    arrays: tuple[NDArray[Any], ...] = layer
    for array, dtype in zip(arrays, _DTYPES, strict=True):
        if array.dtype != dtype:
            raise PackageError(f"weights: {name} is of {array.dtype}, not of {dtype}")


def encode_layer(name: str, layer: Layer, form: WeightForm) -> bytes:
    """The bytes of a convolution; raises PackageError where the bounds do not hold."""
    check_types(name, layer)
    check_layer(name, layer)
    weight, bias, multiplier = layer
    outputs = bias.astype(_S32).tobytes() + multiplier.astype(_F32).tobytes()
    return form.encode(weight) + outputs


def layer_byte_range(shape: tuple[int, ...], form: WeightForm) -> tuple[int, int]:
    """The fewest and the most bytes of a convolution whose weight has `shape` [O, I, k, k]."""
    least, most = form.byte_range(int(np.prod(shape)))
    return least + _BYTES_AN_OUTPUT * shape[0], most + _BYTES_AN_OUTPUT * shape[0]


def decode_layer(
    name: str, payload: bytes, at: int, shape: tuple[int, ...], form: WeightForm
) -> tuple[Layer, int]:
    """The inverse of `encode_layer` from offset `at` on, and the offset of what follows.

    Raises PackageError where the payload ends too early or the bounds do not hold.
    """
    flat, at = form.decode(name, payload, at, int(np.prod(shape)))
    bias, at = _read_numbers(name, payload, at, _S32, shape[0])
    multiplier, at = _read_numbers(name, payload, at, _F32, shape[0])
    layer = (flat.reshape(shape), bias.astype(np.int32), multiplier.astype(np.float32))
    check_layer(name, layer)
    return layer, at
