"""Passes that name the parts of a network which the engine has kernels for.

Each is an ordinary Relax pass: a group of operators becomes one call of a private function with
the attribute `Composite`, the group's name. What is left over afterwards, other than crops, is
unknown to the compiler, and verify.py says so.

Operators become one only where rank and dimension propagation (importing/shapes) proves that their
shapes are equal for every size of the input: a kernel's loop runs over one shape, and a sum that
broadcasts, or might, is none of its business.

    clip(shuffle(y + anchor(x)))  ->  pocketsr.store_anchored(y, x)
    clip(shuffle(y))              ->  pocketsr.store(y)
    [relu](conv(x) + bias) [+ z]  ->  pocketsr.convolution[_relu|_add](x, weight, bias[, z])
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import isqrt

import numpy as np
import tvm
from tvm import relax
from tvm.ir.transform import Pass, PassContext, module_pass
from tvm.relax.dpl import DFPattern, is_const, is_op, wildcard
from tvm.relax.transform import FuseOpsByPattern, FusionPattern, PatternCheckContext

from compiler.importing.shapes import Known, ShapeProofs, TensorFacts, prove_shapes
from player.package.anchor import anchor_kernel
from player.package.scale import SCALES, parse_scale

STORE = "pocketsr.store"
STORE_ANCHORED = "pocketsr.store_anchored"
CONVOLUTION = "pocketsr.convolution"
CONVOLUTION_RELU = "pocketsr.convolution_relu"
CONVOLUTION_ADD = "pocketsr.convolution_add"

_SHUFFLE_AXES = [0, 1, 4, 2, 5, 3]  # [n, 3, r, r, h, w] -> [n, 3, h, r, w, r]
_ANCHOR_TOLERANCE = 1e-6
_PIXELS = (0.0, 255.0)


def recognise_stores() -> Pass:
    """Pixel shuffle and clip, with the anchor where its constant is the bicubic kernel."""
    return _recognise("recognise_stores", store_patterns)


def recognise_convolutions() -> Pass:
    """Convolution and bias, with the ReLU or the sum that follows."""
    return _recognise("recognise_convolutions", convolution_patterns)


def _recognise(name: str, patterns: Callable[[ShapeProofs], list[FusionPattern]]) -> Pass:
    @module_pass(opt_level=0, name=name)
    def run(module: tvm.IRModule, _: PassContext) -> tvm.IRModule:
        return FuseOpsByPattern(patterns(prove_shapes(module)))(module)

    return run


def store_patterns(proofs: ShapeProofs) -> list[FusionPattern]:
    """The end of a network, where `proofs` says that it is a pixel shuffle."""
    kernel = is_const()
    total = is_op("relax.add")(wildcard(), is_op("relax.nn.conv2d")(wildcard(), kernel))
    plain, parts = _shuffled_and_clipped(wildcard())
    anchored, sum_parts = _shuffled_and_clipped(total)
    sum_parts = {**sum_parts, "kernel": kernel, "total": total}

    def is_store(context: PatternCheckContext) -> bool:
        return _is_store(proofs, context.annotated_expr)

    def is_anchored_store(context: PatternCheckContext) -> bool:
        parts = context.annotated_expr
        is_one_shape = proofs.same_shape(*parts["total"].args)
        return is_one_shape and is_store(context) and _is_anchor(proofs, parts)

    return [
        FusionPattern(STORE_ANCHORED, anchored, sum_parts, is_anchored_store),
        FusionPattern(STORE, plain, parts, is_store),
    ]


def convolution_patterns(proofs: ShapeProofs) -> list[FusionPattern]:
    """Convolutions with what is added to them, where `proofs` says that the shapes are equal."""
    plain, parts = _biased_convolution()
    before_relu, relu_parts = _biased_convolution()
    before_sum, sum_parts = _biased_convolution()
    total = is_op("relax.add")(before_sum, wildcard())

    def is_biased(context: PatternCheckContext) -> bool:
        """The sum adds one number to each channel, and broadcasts no further."""
        convolved, bias = (proofs.dims(s) for s in context.annotated_expr["biased"].args)
        if convolved is None:
            return False
        return proofs.equal_rows(bias, (Known(1), convolved[1], Known(1), Known(1)))

    def is_summed(context: PatternCheckContext) -> bool:
        both = context.annotated_expr["total"].args
        return is_biased(context) and proofs.same_shape(*both)

    return [
        FusionPattern(CONVOLUTION_RELU, is_op("relax.nn.relu")(before_relu), relu_parts, is_biased),
        FusionPattern(CONVOLUTION_ADD, total, {**sum_parts, "total": total}, is_summed),
        FusionPattern(CONVOLUTION, plain, parts, is_biased),
    ]


def _biased_convolution() -> tuple[DFPattern, dict[str, DFPattern]]:
    convolution = is_op("relax.nn.conv2d")(wildcard(), wildcard())
    bias = is_op("relax.reshape")(wildcard(), wildcard())
    biased = is_op("relax.add")(convolution, bias)
    return biased, {"biased": biased}


def _shuffled_and_clipped(y: DFPattern) -> tuple[DFPattern, dict[str, DFPattern]]:
    split = is_op("relax.reshape")(y, wildcard())
    permuted = is_op("relax.permute_dims")(split)
    merged = is_op("relax.reshape")(permuted, wildcard())
    clipped = is_op("relax.clip")(merged, wildcard(), wildcard())
    parts = {"split": split, "permuted": permuted, "merged": merged, "clipped": clipped}
    return clipped, parts


def _is_store(proofs: ShapeProofs, parts: Mapping[str, relax.Call]) -> bool:
    low, high = (float(bound.value) for bound in parts["clipped"].args[1:])
    axes = [int(axis) for axis in parts["permuted"].attrs.axes]
    return (low, high) == _PIXELS and axes == _SHUFFLE_AXES and _is_shuffle(proofs, parts)


def _is_shuffle(proofs: ShapeProofs, parts: Mapping[str, relax.Call]) -> bool:
    """[n, 3 r^2, h, w] -> [n, 3, r, r, h, w] -> (permuted) -> [n, 3, r h, r w]."""
    whole, split = (proofs.dims(parts[name].args[0]) for name in ("split", "permuted"))
    merged = proofs.of(parts["merged"].args[1])
    scale = _scale_of(proofs, parts)
    if whole is None or len(whole) != len("nchw") or scale is None:
        return False
    assert isinstance(merged, TensorFacts)
    batch, channels, height, width = whole
    colours, factor = Known(3), Known(scale)
    rows, columns = (proofs.domain.apply(lambda n: n * scale, n) for n in (height, width))
    return (
        channels == Known(3 * scale**2)
        and proofs.equal_rows(split, (batch, colours, factor, factor, height, width))
        and proofs.equal_rows(merged.values, (batch, colours, rows, columns))
    )


def _scale_of(proofs: ShapeProofs, parts: Mapping[str, relax.Call]) -> int | None:
    split = proofs.dims(parts["permuted"].args[0])
    factor = split[2] if split and len(split) == len(_SHUFFLE_AXES) else None
    return factor.value if isinstance(factor, Known) else None


def _is_anchor(proofs: ShapeProofs, parts: Mapping[str, relax.Call]) -> bool:
    side, found = _scale_of(proofs, parts), parts["kernel"].value.numpy()
    units = isqrt(found.shape[1] // 3)
    if side is None or units == 0 or Fraction(side, units) not in SCALES:
        return False
    wanted = anchor_kernel(parse_scale(Fraction(side, units)), units)
    same = found.shape == wanted.shape and np.allclose(found, wanted, atol=_ANCHOR_TOLERANCE)
    return bool(same)


def composite_of(function: relax.Function) -> str | None:
    """The group's name of a function that these passes made."""
    attributes = function.attrs
    return str(attributes["Composite"]) if attributes and "Composite" in attributes else None
