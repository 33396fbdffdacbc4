"""From real numbers to integers: steps, weights, biases and multipliers of a deployed network.

A step is the real value of one integer. A convolution whose input has the step a, whose weights
have the step w[o] and whose output has the step b computes, in whole numbers,

    real output = a w[o] (bias + sum q weight)      so      multiplier[o] = a w[o] / b

Pixels have the step 1; the residual has 1/64 (Q6). Symmetric weights, one step for each output
channel (Krishnamoorthi, "Quantizing deep convolutional networks", 2018, section 3). What the last
bits of a multiplier or of a bias say nobody sees, and a coded blob pays for each: a multiplier lies
on a coarse grid, from which the weight step follows, and a bias is a whole number of units of an
eighth to a quarter of a hidden value's step, 1/32 to 1/16 of a pixel's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.package.architecture import Architecture, Tensors, check_int8, convolutions
from player.package.integers import (
    MAX_WEIGHT,
    MULTIPLIER_LIMIT,
    SUM_LIMIT,
    Layer,
    bias_units,
    grid_multiplier,
    largest_sums,
)
from sr.quant.reference import FRACTION_BITS

PIXEL_STEP, DETAIL_STEP = 1.0, 2.0**-FRACTION_BITS
HIDDEN_PRECISION, DETAIL_PRECISION = -3, 1  # of biases: see `bias_units`
SMALLEST_STEP = 1e-30  # of weights that are all zero
# So large becomes the largest weight; on the nearest multiplier of the grid it is 127 at most.
USED_WEIGHT = MAX_WEIGHT * 16 / 17
_MOST_BIAS = 0.97  # of 2^24: what no bias is above, whatever it was
_BIAS_SHARE = 0.9  # of 2^24 that a bias alone may take before its channel's step is raised

Steps = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class StepSet:
    """What one integer is worth: `activations` [] of each trunk convolution's output, `weights`
    [O] of each convolution, both in the units of the deployed network (pixels of 0..255)."""

    activations: Mapping[str, float]
    weights: Steps


def source_of(arch: Architecture, name: str) -> str | None:
    """The convolution whose output `name` reads; None where it reads the pixels."""
    if name.startswith("trunk."):
        depth = int(name.removeprefix("trunk."))
    else:
        # An exit reads what so many convolutions have made, espcn's tail what all have.
        depth = arch.exits[int(name.removeprefix("exits."))] if name != "tail" else arch.exits[-1]
    return f"trunk.{depth - 1}" if depth else None


def largest_weight_steps(weight: NDArray[Any]) -> NDArray[np.float64]:
    """[O]: the steps with which the largest weight of each output [O, ...] is just within 127."""
    most = np.abs(weight.astype(np.float64)).reshape(len(weight), -1).max(axis=1)
    return np.maximum(most / USED_WEIGHT, SMALLEST_STEP)


def nearest_multiplier(wanted: NDArray[Any]) -> NDArray[np.float32]:
    """Those on the grid; one beyond all multipliers stays as it is, for the packer to refuse."""
    within = grid_multiplier(wanted)
    return np.where(wanted < MULTIPLIER_LIMIT, within, wanted.astype(np.float32))


def quantise(arch: Architecture, tensors: Tensors, steps: StepSet) -> dict[str, NDArray[Any]]:
    """The tensors of an int8 blob, from a deployed network's float32 tensors in pixel units.

    A weight step is raised where the sums would reach 2^24. Raises PackageError where the
    architecture has no int8 form.
    """
    check_int8(arch)
    integers: dict[str, NDArray[Any]] = {}
    written: dict[str, float] = {}  # the step of each trunk convolution's output
    for name, _ in convolutions(arch):
        source = source_of(arch, name)
        reads = written[source] if source else PIXEL_STEP
        writes, precision = DETAIL_STEP, DETAIL_PRECISION
        if name in steps.activations:
            # What is always zero was given no step worth the name: any that keeps to the limit is
            # right.
            least = 2 * float(steps.weights[name].max()) * reads / MULTIPLIER_LIMIT
            writes = written[name] = max(steps.activations[name], least)
            precision = HIDDEN_PRECISION
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        layer = integer_layer(weight, bias, steps.weights[name], reads, writes, precision)
        parts = (f"{name}.weight", f"{name}.bias", f"{name}.multiplier")
        integers |= dict(zip(parts, layer, strict=True))
    return integers


def real_tensors(arch: Architecture, integers: Tensors) -> dict[str, NDArray[np.float32]]:
    """The inverse of `quantise`, but for rounding: float32 tensors in pixel units.

    What hidden integers are worth a blob does not say, and need not: they count as pixels here.
    """
    tensors: dict[str, NDArray[np.float32]] = {}
    for name, _ in convolutions(arch):
        writes = PIXEL_STEP if name.startswith("trunk.") else DETAIL_STEP
        steps = integers[f"{name}.multiplier"].astype(np.float64) * writes
        weight = integers[f"{name}.weight"] * steps.reshape(-1, 1, 1, 1)
        tensors[f"{name}.weight"] = weight.astype(np.float32)
        tensors[f"{name}.bias"] = (integers[f"{name}.bias"] * steps).astype(np.float32)
    return tensors


def integer_layer(
    weight: NDArray[Any],
    bias: NDArray[Any],
    steps: NDArray[np.float64],
    reads: float,
    writes: float,
    precision: int = HIDDEN_PRECISION,
) -> Layer:
    """Weight, bias and multiplier of one convolution [O, I, k, k], for weight steps [O] and the
    steps of what it reads and writes. A weight step goes to the nearest that has its multiplier on
    the grid, and is raised where the sums would reach 2^24.
    """
    # The steps at which a bias alone takes 0.9 of 2^24; smaller ones leave the weights too little.
    least = np.abs(bias.astype(np.float64)) / (reads * _BIAS_SHARE * SUM_LIMIT)
    # A bias that asks for more than the largest multiplier decides its output alone: 0 or the most.
    least = np.minimum(least, MULTIPLIER_LIMIT / 2 * writes / reads)
    multiplier = nearest_multiplier(np.maximum(steps, least) * reads / writes)
    while True:
        scale = multiplier.astype(np.float64) * writes  # of what is added up
        whole = np.rint(weight.astype(np.float64) * reads / scale.reshape(-1, 1, 1, 1))
        integers = np.clip(whole, -MAX_WEIGHT, MAX_WEIGHT).astype(np.int8)
        units = bias_units(multiplier, precision)
        most = np.floor(_MOST_BIAS * SUM_LIMIT / units)
        counts = np.clip(np.rint(bias.astype(np.float64) / (scale * units)), -most, most)
        biases = (counts * units).astype(np.int32)
        sums = largest_sums(integers, biases)
        if (sums < SUM_LIMIT).all():
            return integers, biases, multiplier
        # Integers shrink as their step grows, but for rounding: hence another look. A tenth more
        # is at least the next place of the grid.
        raised = np.where(sums < SUM_LIMIT, 1.0, np.maximum(1.1, sums / SUM_LIMIT))
        multiplier = nearest_multiplier(multiplier * raised)
