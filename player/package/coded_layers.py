"""The integers of an int8 network by the range coder: the payload of dtype INT8_CODED.

    for each convolution    u7 precision of its biases + 40
      for each output       its weights [I, k, k]             weight_coder.py
                            its multiplier's place on the grid, less that of the output before
                            its bias, in units

A unit is what `integers.bias_units` makes of the precision and the multiplier; the precision is
the largest that the biases allow. `compiler/runtime/coded.c` reads the same in C.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import prod

import numpy as np

from player.package.architecture import Architecture, convolutions
from player.package.integers import (
    GRID_PLACES,
    LEAST_EXPONENT,
    SUM_LIMIT,
    Layer,
    bias_precision,
    check_layer,
    check_types,
    grid_places,
    multipliers_at,
    unit_bits,
)
from player.package.limits import MAX_CODED_WEIGHTS
from player.package.package_error import PackageError
from player.package.range_coder import SIGNED_CONTEXTS, Coder, Decoder, Encoder
from player.package.weight_coder import WEIGHT_CONTEXTS, WeightCoder

_MULTIPLIERS = WEIGHT_CONTEXTS
_BIASES = _MULTIPLIERS + SIGNED_CONTEXTS  # of outputs with weights, then of outputs without
_CONTEXTS = _BIASES + 2 * SIGNED_CONTEXTS
_PRECISION_BITS = 7
_FIRST_PLACE = GRID_PLACES * 3 // 4  # 2^-5.5
# Networks that ship are read again and again, and a large one takes long in Python.
_KEPT = 16


def encode_layers(arch: Architecture, layers: Sequence[Layer]) -> bytes:
    """The payload of the architecture's convolutions, in their order.

    Raises PackageError where a bound does not hold or a multiplier is not on the grid.
    """
    _check_count(arch)
    for (name, _), layer in zip(convolutions(arch), layers, strict=True):
        check_types(name, layer)
        check_layer(name, layer)
    coder = Encoder(_CONTEXTS)
    _code_layers(coder, arch, layers)
    return coder.finish()


def decode_layers(arch: Architecture, payload: bytes) -> list[Layer]:
    """The inverse; raises PackageError where the payload is not what `encode_layers` makes."""
    return [(w.copy(), b.copy(), m.copy()) for w, b, m in _decoded(arch, payload)]


@lru_cache(_KEPT)
def _decoded(arch: Architecture, payload: bytes) -> list[Layer]:
    _check_count(arch)
    coder = Decoder(payload, _CONTEXTS)
    shapes = (shape for _, shape in convolutions(arch))
    blank = [
        (np.zeros(s, np.int8), np.zeros(s[0], np.int32), np.ones(s[0], np.float32)) for s in shapes
    ]
    layers = _code_layers(coder, arch, blank)
    coder.finish()
    return layers


def _check_count(arch: Architecture) -> None:
    """A few bytes may unfold into many weights: larger networks are dense, or sparse."""
    count = sum(prod(shape) for _, shape in convolutions(arch))
    if count > MAX_CODED_WEIGHTS:
        raise PackageError(f"weights: {count} of them, above {MAX_CODED_WEIGHTS}")


def _code_layers(coder: Coder, arch: Architecture, layers: Sequence[Layer]) -> list[Layer]:
    """Writes the layers, or reads others of their shapes; returns them."""
    coded: list[Layer] = []
    sums: list[list[int]] = []  # of each convolution, of each output: its weights' magnitudes
    place = _FIRST_PLACE
    for (name, shape), layer in zip(convolutions(arch), layers, strict=True):
        source = arch.source_of(len(sums))
        weights, biases = layer[0].ravel().tolist(), layer[1].tolist()
        places = grid_places(name, layer[2])
        rows = WeightCoder(coder, weights, shape, None if source is None else sums[source])
        precision = bias_precision(biases, places) - LEAST_EXPONENT
        precision = coder.even_bits(_PRECISION_BITS, precision) + LEAST_EXPONENT
        sums.append([])
        for o in range(shape[0]):
            sums[-1].append(rows.code_output(o))
            place += coder.signed(_MULTIPLIERS, places[o] - place)
            if not 0 <= place < GRID_PLACES:
                raise PackageError(f"weights: {name}, output {o}: its multiplier is off the grid")
            unit, idle = unit_bits(precision, place), int(sums[-1][o] == 0)
            bias = coder.signed(_BIASES + idle * SIGNED_CONTEXTS, biases[o] >> unit) << unit
            if abs(bias) >= SUM_LIMIT:
                raise PackageError(f"weights: {name}, output {o}: its bias is not below 2^24")
            places[o], biases[o] = place, bias
        # The same integers are the same bytes.
        if bias_precision(biases, places) != precision:
            raise PackageError(f"weights: {name} does not have the precision of its biases")
        arrays = np.array(weights, np.int8).reshape(shape), np.array(biases, np.int32)
        coded.append((*arrays, multipliers_at(places)))
        check_layer(name, coded[-1])
    return coded
