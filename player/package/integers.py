"""One convolution of an int8 network, on the way into a weights blob and out of it.

    weight s8 [O, I, k, k]   bias s32 [O]   multiplier f32 [O]     little endian, nothing between

The weight lies dense or sparse (`player.package.weight_forms`).

What makes an int8 network the same on every machine is checked here, for each output channel:
weights in -127..127, symmetric; 255 sum|w| + |bias| < 2^24, so that every sum, whole or half-way,
is a float32 without rounding; and a multiplier within [2^-40, 64), so that scaling neither
underflows nor leaves 32 bits.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.package.package_error import PackageError
from player.package.weight_forms import WeightForm, read_numbers

MAX_WEIGHT = 127
MAX_ACTIVATION = 255
SUM_LIMIT = 1 << 24
LEAST_MULTIPLIER, MULTIPLIER_LIMIT = 2.0**-40, 64.0
_S32, _F32 = np.dtype("<i4"), np.dtype("<f4")
_DTYPES: tuple[np.dtype[Any], ...] = (np.dtype("i1"), _S32, _F32)
_BYTES_AN_OUTPUT = 8  # bias and multiplier

Layer = tuple[NDArray[np.int8], NDArray[np.int32], NDArray[np.float32]]


def largest_sums(weight: NDArray[Any], bias: NDArray[Any]) -> NDArray[np.int64]:
    """[O]: what no sum of weights [O, ...] over activations 0..255, and a bias, can exceed."""
    absolute = np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(axis=1)
    return MAX_ACTIVATION * absolute + np.abs(bias.astype(np.int64))


def check_layer(name: str, layer: Layer) -> None:
    """Raises PackageError where a convolution breaks a limit, and says which and where."""
    weight, bias, multiplier = layer
    if (weight == -128).any():
        raise PackageError(f"weights: {name} holds -128; int8 weights are -127..127")
    sums = largest_sums(weight, bias)
    if (sums >= SUM_LIMIT).any():
        at = int(sums.argmax())
        raise PackageError(f"weights: {name}, output {at}: sums reach {sums[at]}, not below 2^24")
    good = (multiplier >= LEAST_MULTIPLIER) & (multiplier < MULTIPLIER_LIMIT)  # false for NaN
    if not good.all():
        at = int(np.flatnonzero(~good)[0])
        raise PackageError(
            f"weights: {name}, output {at}: multiplier {multiplier[at]} is outside 2^-40..64"
        )


def encode_layer(name: str, layer: Layer, form: WeightForm) -> bytes:
    """The bytes of a convolution; raises PackageError where the bounds do not hold."""
    arrays: tuple[NDArray[Any], ...] = layer
    for array, dtype in zip(arrays, _DTYPES, strict=True):
        if array.dtype != dtype:
            raise PackageError(f"weights: {name} is of {array.dtype}, not of {dtype}")
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
    bias, at = read_numbers(name, payload, at, _S32, shape[0])
    multiplier, at = read_numbers(name, payload, at, _F32, shape[0])
    layer = (flat.reshape(shape), bias.astype(np.int32), multiplier.astype(np.float32))
    check_layer(name, layer)
    return layer, at
