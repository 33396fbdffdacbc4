"""From real numbers to integers: steps, weights, biases and multipliers of a deployed network.

A step is the real value of one integer. A convolution whose input has the step a, whose weights
have the step w[o] and whose output has the step b computes, in whole numbers,

    real output = a w[o] (bias + sum q weight)      so      multiplier[o] = a w[o] / b

Pixels have the step 1; the residual has 1/64 (Q6). Symmetric weights, one step for each output
channel (Krishnamoorthi, "Quantizing deep convolutional networks", 2018, section 3).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.package.architecture import Architecture, Tensors, check_int8, convolutions
from player.package.integers import (
    LEAST_MULTIPLIER,
    MAX_WEIGHT,
    MULTIPLIER_LIMIT,
    SUM_LIMIT,
    Layer,
    largest_sums,
)
from sr.quant.reference import FRACTION_BITS

PIXEL_STEP, DETAIL_STEP = 1.0, 2.0**-FRACTION_BITS
_SMALLEST_STEP = 1e-30  # of weights that are all zero
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
    """[O]: the steps with which the largest weight of each output [O, ...] is 127."""
    most = np.abs(weight.astype(np.float64)).reshape(len(weight), -1).max(axis=1)
    return np.maximum(most / MAX_WEIGHT, _SMALLEST_STEP)


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
        writes = DETAIL_STEP
        if name in steps.activations:
            # What is always zero was given no step worth the name: any that keeps to the limit is
            # right.
            least = 2 * float(steps.weights[name].max()) * reads / MULTIPLIER_LIMIT
            writes = written[name] = max(steps.activations[name], least)
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        layer = integer_layer(weight, bias, steps.weights[name], reads, writes)
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
) -> Layer:
    """Weight, bias and multiplier of one convolution [O, I, k, k], for weight steps [O] and the
    steps of what it reads and writes. A weight step is raised where the sums would reach 2^24.
    """
    # Twice the least multiplier: rounding to float32 cannot take it below.
    steps = np.maximum(steps, 2 * LEAST_MULTIPLIER * writes / reads)
    steps = bounded_steps(weight, bias, steps, reads)
    multiplier = (steps * reads / writes).astype(np.float32)
    return _weights(weight, steps), _biases(bias, steps * reads), multiplier


def bounded_steps(
    weight: NDArray[Any], bias: NDArray[Any], steps: NDArray[np.float64], reads: float
) -> NDArray[np.float64]:
    """[O]: the weight steps, raised where 255 sum|w| + |bias| would not stay below 2^24."""
    # The steps at which a bias alone takes 0.9 of 2^24; smaller ones leave the weights too little.
    least = np.abs(bias.astype(np.float64)) / (reads * _BIAS_SHARE * SUM_LIMIT)
    steps = np.maximum(steps, least)
    while True:
        sums = largest_sums(_weights(weight, steps), _biases(bias, steps * reads))
        if (sums < SUM_LIMIT).all():
            return steps
        # Integers shrink as their step grows, but for rounding: hence a little more, and another
        # look.
        steps = steps * np.maximum(1.0, 1.001 * sums / SUM_LIMIT)


def _weights(weight: NDArray[Any], steps: NDArray[np.float64]) -> NDArray[np.int8]:
    scaled = np.rint(weight.astype(np.float64) / steps.reshape(-1, 1, 1, 1))
    return np.clip(scaled, -MAX_WEIGHT, MAX_WEIGHT).astype(np.int8)


def _biases(bias: NDArray[Any], steps: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.rint(bias.astype(np.float64) / steps).astype(np.int32)
