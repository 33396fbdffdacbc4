"""Passes that name the parts of a network which the engine has kernels for.

Each is an ordinary Relax pass: a group of operators becomes one call of a private function with
the attribute `Composite`, the group's name. What is left over afterwards, other than crops, is
unknown to the compiler, and verify.py says so.

    clip(shuffle(y + anchor(x)))  ->  pocketsr.store_anchored(y, x)
    clip(shuffle(y))              ->  pocketsr.store(y)
    [relu](conv(x) + bias) [+ z]  ->  pocketsr.convolution[_relu|_add](x, weight, bias[, z])
"""

import numpy as np
import tvm
from tvm import relax
from tvm.relax.dpl import DFPattern, is_const, is_op, wildcard
from tvm.relax.transform import FuseOpsByPattern, FusionPattern, PatternCheckContext

from player.package.anchor import anchor_kernel

STORE = "pocketsr.store"
STORE_ANCHORED = "pocketsr.store_anchored"
CONVOLUTION = "pocketsr.convolution"
CONVOLUTION_RELU = "pocketsr.convolution_relu"
CONVOLUTION_ADD = "pocketsr.convolution_add"

_SHUFFLE_AXES = [0, 1, 4, 2, 5, 3]  # [n, 3, r, r, h, w] -> [n, 3, h, r, w, r]
_ANCHOR_TOLERANCE = 1e-6
_PIXELS = (0.0, 255.0)


def recognise_stores() -> tvm.ir.transform.Pass:
    """Pixel shuffle and clip, with the anchor where its constant is the bicubic kernel."""
    return FuseOpsByPattern([_anchored_store(), _plain_store()])


def recognise_convolutions() -> tvm.ir.transform.Pass:
    """Convolution and bias, with the ReLU or the sum that follows."""
    plain, _ = _biased_convolution()
    before_relu, _ = _biased_convolution()
    before_sum, _ = _biased_convolution()
    return FuseOpsByPattern(
        [
            FusionPattern(CONVOLUTION_RELU, is_op("relax.nn.relu")(before_relu)),
            FusionPattern(CONVOLUTION_ADD, is_op("relax.add")(before_sum, wildcard())),
            FusionPattern(CONVOLUTION, plain),
        ]
    )


def _biased_convolution() -> tuple[DFPattern, DFPattern]:
    convolution = is_op("relax.nn.conv2d")(wildcard(), wildcard())
    bias = is_op("relax.reshape")(wildcard(), wildcard())
    return is_op("relax.add")(convolution, bias), convolution


def _shuffled_and_clipped(y: DFPattern) -> tuple[DFPattern, dict[str, DFPattern]]:
    split = is_op("relax.reshape")(y, wildcard())
    permuted = is_op("relax.permute_dims")(split)
    merged = is_op("relax.reshape")(permuted, wildcard())
    clipped = is_op("relax.clip")(merged, wildcard(), wildcard())
    return clipped, {"split": split, "permuted": permuted, "clipped": clipped}


def _plain_store() -> FusionPattern:
    pattern, parts = _shuffled_and_clipped(wildcard())
    return FusionPattern(STORE, pattern, parts, _is_store)


def _anchored_store() -> FusionPattern:
    kernel = is_const()
    anchor = is_op("relax.nn.conv2d")(wildcard(), kernel)
    pattern, parts = _shuffled_and_clipped(is_op("relax.add")(wildcard(), anchor))
    return FusionPattern(STORE_ANCHORED, pattern, {**parts, "kernel": kernel}, _is_anchored_store)


def _is_store(context: PatternCheckContext) -> bool:
    parts = context.annotated_expr
    low, high = (float(bound.value) for bound in parts["clipped"].args[1:])
    axes = [int(axis) for axis in parts["permuted"].attrs.axes]
    return (low, high) == _PIXELS and axes == _SHUFFLE_AXES


def _is_anchored_store(context: PatternCheckContext) -> bool:
    parts = context.annotated_expr
    scale = int(parts["split"].ty.shape.values[2])
    wanted = anchor_kernel(scale)
    found = parts["kernel"].value.numpy()
    same = found.shape == wanted.shape and np.allclose(found, wanted, atol=_ANCHOR_TOLERANCE)
    return bool(same) and _is_store(context)


def composite_of(function: relax.Function) -> str | None:
    """The group's name of a function that these passes made."""
    attributes = function.attrs
    return str(attributes["Composite"]) if attributes and "Composite" in attributes else None
