"""What an int8 network has other than the one that it was made of, by the range coder.

    for each convolution    u3 how many low bits all changes of its weights have at zero
      for each output       its multiplier's change, in places of the grid
                            its bias's change, in units of the multiplier that it has now
                            a bit: whether any of its weights changes
                            and where one does, their changes [I, k, k],     weight_coder.py
                            without those low bits

A unit is worth 1/8 to 1/4 of a hidden value, 2 to 4 of the last convolution's Q6. What does not
change takes bits that are expected: of 150,000 weights a few bytes.
"""

from collections.abc import Sequence
from functools import reduce
from operator import or_

import numpy as np

from player.package.architecture import Architecture, convolutions
from player.package.integers import (
    GRID_PLACES,
    MAX_WEIGHT,
    SUM_LIMIT,
    Layer,
    check_layer,
    check_types,
    grid_places,
    multipliers_at,
    unit_bits,
)
from player.package.package_error import PackageError
from player.package.range_coder import SIGNED_CONTEXTS, Coder, Decoder, Encoder
from player.package.weight_coder import WEIGHT_CONTEXTS, WeightCoder

HIDDEN_PRECISION, LAST_PRECISION = -3, 1  # of the units of changes: see `integers.bias_units`
_SHIFT_BITS = 3
_MOST_ZEROS = (1 << _SHIFT_BITS) - 1
# Of hidden convolutions, then of last ones: multipliers, biases, whether weights change.
_SCALARS = 2 * SIGNED_CONTEXTS + 1
_CONTEXTS = WEIGHT_CONTEXTS + 2 * _SCALARS


def change_precision(name: str) -> int:
    """Of the units in which the biases of a convolution change."""
    return HIDDEN_PRECISION if name.startswith("trunk.") else LAST_PRECISION


def encode_changes(arch: Architecture, base: Sequence[Layer], layers: Sequence[Layer]) -> bytes:
    """What turns the layers `base` into `layers`.

    Raises PackageError where a bound does not hold, a multiplier is not on the grid, a weight
    changes by more than 127 or a bias by other than whole units.
    """
    for (name, _), layer in zip(convolutions(arch), layers, strict=True):
        check_types(name, layer)
        check_layer(name, layer)
    coder = Encoder(_CONTEXTS)
    _code_changes(coder, arch, base, layers)
    return coder.finish()


def decode_changes(arch: Architecture, base: Sequence[Layer], payload: bytes) -> list[Layer]:
    """The inverse: the layers. Raises PackageError where the payload is not what
    `encode_changes` makes."""
    coder = Decoder(payload, _CONTEXTS)
    layers = _code_changes(coder, arch, base, base)
    coder.finish()
    return layers


def _code_changes(
    coder: Coder, arch: Architecture, base: Sequence[Layer], layers: Sequence[Layer]
) -> list[Layer]:
    """Writes what the layers have other than `base`, or reads others; returns them."""
    coded: list[Layer] = []
    for (name, shape), old, new in zip(convolutions(arch), base, layers, strict=True):
        changes = (new[0].astype(np.int64) - old[0]).ravel().tolist()
        shift = coder.even_bits(_SHIFT_BITS, _common_zeros(changes))
        changes = [change >> shift for change in changes]
        rows, row = WeightCoder(coder, changes, shape, None), len(changes) // shape[0]
        before, places = grid_places(name, old[2]), grid_places(name, new[2])
        firsts, biases = old[1].tolist(), new[1].tolist()
        multiplier = WEIGHT_CONTEXTS + (0 if name.startswith("trunk.") else _SCALARS)
        bias, touched = multiplier + SIGNED_CONTEXTS, multiplier + 2 * SIGNED_CONTEXTS
        for o in range(shape[0]):
            where = f"{name}, output {o}"
            places[o] = before[o] + coder.signed(multiplier, places[o] - before[o])
            if not 0 <= places[o] < GRID_PLACES:
                raise PackageError(f"weights: {where}: its multiplier is off the grid")
            unit = unit_bits(change_precision(name), places[o])
            units = coder.signed(bias, _whole_units(where, biases[o] - firsts[o], unit))
            biases[o] = firsts[o] + (units << unit)
            if abs(biases[o]) >= SUM_LIMIT:
                raise PackageError(f"weights: {where}: its bias is not below 2^24")
            if not coder.bit(touched, int(any(changes[o * row : (o + 1) * row]))):
                rows.skip_output()
            elif not rows.code_output(o):
                # The same changes are the same bytes.
                raise PackageError(f"weights: {where}: of its weights none changes")
        changes = [change << shift for change in changes]
        if _common_zeros(changes) != shift:
            raise PackageError(f"weights: {name} does not have the precision of its changes")
        weight = old[0] + np.array(changes, np.int64).reshape(shape)
        if (np.abs(weight) > MAX_WEIGHT).any():
            raise PackageError(f"weights: {name} has a weight that is not in -127..127")
        arrays = weight.astype(np.int8), np.array(biases, np.int32), multipliers_at(places)
        check_layer(name, arrays)
        coded.append(arrays)
    return coded


def _common_zeros(changes: Sequence[int]) -> int:
    """The low bits that are zero in all of them; 0 where none changes."""
    bits = reduce(or_, changes, 0)
    return min((bits & -bits).bit_length() - 1, _MOST_ZEROS) if bits else 0


def _whole_units(where: str, change: int, bits: int) -> int:
    if change & ((1 << bits) - 1):
        raise PackageError(f"weights: {where}: its bias changes by no whole units of {1 << bits}")
    return change >> bits
