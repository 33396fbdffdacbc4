"""What is constant about a path's convolutions: by this, kernels are chosen.

SoD2 (ASPLOS 2024) compiles an operator in several versions, one for each class of shapes. Here a
class is what rank and dimension propagation proves for every size of the input: channels, window,
and whether rows and columns are numbers or formulas, and between which bounds. Which instruction
set runs a class is the processor's business (`compiler.kernels.versions`).
"""

from dataclasses import dataclass

import tvm
from tvm import relax

from compiler.compile_error import CompileError
from compiler.importing.shapes import Element, Known, ShapeProofs, prove_shapes
from compiler.plan.lower import operators_of
from compiler.plan.recognise import composite_of
from compiler.plan.verify import bindings_of


@dataclass(frozen=True)
class SideClass:
    """Rows or columns of what a convolution computes, in pixels; `high` None is no bound."""

    formula: str
    low: int
    high: int | None

    @property
    def is_symbolic(self) -> bool:
        return self.low != self.high


@dataclass(frozen=True)
class ConvolutionClass:
    """One convolution: `layer` is its tensors' name without ".weight"."""

    layer: str
    channels_in: int
    channels_out: int
    window: int
    rows: SideClass
    columns: SideClass


def convolution_classes(module: tvm.IRModule) -> tuple[ConvolutionClass, ...]:
    """Of a module that the recognising passes have left, in the order of its steps.

    Raises CompileError where channels or window are not proved to be numbers.
    """
    main, proofs = module["main"], prove_shapes(module)
    layers = dict(zip(main.params[1:], main.attrs["tensors"], strict=True))
    found = []
    for binding in bindings_of(main):
        weight = _weight_of(module, binding.value)
        if weight is not None:
            layer = str(layers[weight]).removesuffix(".weight")
            found.append(_class_of(proofs, layer, binding.var, weight))
    return tuple(found)


def _weight_of(module: tvm.IRModule, value: relax.Expr) -> relax.Var | None:
    """The weights that a group's convolution reads; None for a store or a crop."""
    if not isinstance(value, relax.Call) or not isinstance(value.op, tvm.ir.GlobalVar):
        return None
    function = module[value.op]
    if not (composite_of(function) or "").startswith("pocketsr.convolution"):
        return None
    arguments = dict(zip(function.params, value.args, strict=True))
    return arguments[operators_of(function)["relax.nn.conv2d"].args[1]]


def _class_of(
    proofs: ShapeProofs, layer: str, result: relax.Var, weight: relax.Var
) -> ConvolutionClass:
    kernel, output = proofs.dims(weight) or (), proofs.dims(result) or ()
    numbers = [d.value for d in kernel if isinstance(d, Known)]
    if len(numbers) != len("OIHW") or len(output) != len("NCHW"):
        raise CompileError(f"network: channels and window of layer {layer} are not constant")
    channels_out, channels_in, window, _ = numbers
    rows, columns = (_side(proofs, side) for side in output[2:])
    return ConvolutionClass(layer, channels_in, channels_out, window, rows, columns)


def _side(proofs: ShapeProofs, side: Element) -> SideClass:
    low, high = proofs.domain.bounds(side)
    return SideClass(str(side), max(0, low or 0), high)
