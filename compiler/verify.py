"""Checks of the module between passes: what the next pass may rely on."""

import tvm
from tvm import relax

from compiler.errors import CompileError
from compiler.recognise import composite_of

_CROP = "relax.strided_slice"


def check_well_formed(module: tvm.IRModule) -> None:
    """TVM's own rules: every variable defined, every shape consistent. Raises CompileError."""
    if not relax.analysis.check_well_formed(module):
        raise CompileError("network: a pass has made an ill-formed module; this is our fault")


def check_recognised(module: tvm.IRModule) -> None:
    """After recognition nothing is left but groups and crops; names the first other operator."""
    check_well_formed(module)
    bindings = bindings_of(module["main"])
    for place, binding in enumerate(bindings):
        operator = _unknown_operator(module, binding.value)
        if operator:
            raise CompileError(
                f"network: operator {operator} (step {place + 1} of {len(bindings)}, "
                f"result {binding.var.name}) has no kernel; use convolutions with bias, ReLU, "
                "sums with a convolution, one pixel shuffle and a clip to 0..255"
            )
    for variable, function in module.functions_items():
        for binding in bindings_of(function):
            _check_convolution(variable.name_hint, binding.value)


def bindings_of(function: relax.Function) -> list[relax.Binding]:
    """The steps of a function, in order."""
    return [binding for block in function.body.blocks for binding in block.bindings]


def _unknown_operator(module: tvm.IRModule, value: relax.Expr) -> str | None:
    if not isinstance(value, relax.Call):
        return None if isinstance(value, relax.Var) else type(value).__name__
    if isinstance(value.op, tvm.ir.GlobalVar):
        return None if composite_of(module[value.op]) else str(value.op.name_hint)
    return None if value.op.name == _CROP else str(value.op.name)


def _check_convolution(place: str, value: relax.Expr) -> None:
    """Square odd windows up to 5, stride 1, no padding: all that the kernels do."""
    if not isinstance(value, relax.Call) or getattr(value.op, "name", "") != "relax.nn.conv2d":
        return
    attributes = value.attrs
    height, width = (int(v) for v in value.args[1].ty.shape.values[2:])
    steps = {int(s) for s in (*attributes.strides, *attributes.dilation, attributes.groups)}
    padding = {int(p) for p in attributes.padding}
    if steps != {1} or padding != {0} or height != width or height not in (1, 3, 5):
        raise CompileError(
            f"network: relax.nn.conv2d in {place} has a stride, padding, dilation, groups or a "
            f"window of {height}x{width}; the kernels take plain 1x1, 3x3 and 5x5 windows"
        )
