"""Checks of the module between passes: what the next pass may rely on."""

import tvm
from tvm import relax

from compiler.compile_error import CompileError
from compiler.importing.shapes import ShapeProofs, prove_shapes
from compiler.importing.shapes.rules import crop_of
from compiler.plan.recognise import composite_of

_CROP = "relax.strided_slice"
_ROWS, _COLUMNS = 2, 3  # axes of [N, C, H, W]


def check_well_formed(module: tvm.IRModule) -> None:
    """TVM's own rules: every variable defined, every shape consistent. Raises CompileError."""
    if not relax.analysis.check_well_formed(module):
        raise CompileError("network: a pass has made an ill-formed module; this is our fault")


def check_recognised(module: tvm.IRModule) -> None:
    """After recognition nothing is left but groups and crops; names the first other operator."""
    check_well_formed(module)
    main, proofs = module["main"], prove_shapes(module)
    bindings = bindings_of(main)
    places = layer_places(main)
    for number, binding in enumerate(bindings):
        where = f"(step {number + 1} of {len(bindings)}, {places[binding.var]})"
        operator = _unknown_operator(module, binding.value)
        if operator:
            raise CompileError(
                f"network: operator {operator} {where} has no kernel; use convolutions with "
                "bias, ReLU, sums with a convolution of the same shape, one pixel shuffle and a "
                "clip to 0..255"
            )
        if isinstance(binding.value, relax.Call) and not composite_call(module, binding.value):
            _check_crop(proofs, binding.value, where)
    for variable, function in module.functions_items():
        for binding in bindings_of(function):
            _check_convolution(variable.name_hint, binding.value)


def layer_places(main: relax.Function) -> dict[relax.Var, str]:
    """For each variable of main, where it is in the model: by the nearest layer with weights."""
    names = [str(n) for n in main.attrs["tensors"]] if "tensors" in (main.attrs or {}) else []
    weights = dict(zip(main.params[1:], names, strict=False))
    nearest: dict[relax.Var, str] = {}
    places: dict[relax.Var, str] = {}
    for binding in bindings_of(main):
        value = binding.value
        arguments = value.args if isinstance(value, relax.Call) else [value]
        read = [a for a in arguments if isinstance(a, relax.Var)]
        own = [weights[a].rsplit(".", 1)[0] for a in read if a in weights]
        before = [nearest[a] for a in read if a in nearest]
        if own or before:
            nearest[binding.var] = (own or before)[0]
        behind = f"behind layer {before[0]}" if before else "before the first layer"
        places[binding.var] = f"layer {own[0]}" if own else behind
    return places


def _check_crop(proofs: ShapeProofs, call: relax.Call, where: str) -> None:
    """A crop takes as many pixels from both ends of rows and columns, whatever their number."""
    cuts, length = crop_of(proofs.site(call)), proofs.dims(call.args[0])
    if cuts is None or length is None or not set(cuts) <= {_ROWS, _COLUMNS}:
        raise CompileError(
            f"network: slice {where} is not a crop by fixed numbers of pixels of rows and columns"
        )
    for axis, cut in cuts.items():
        rest = proofs.domain.apply(lambda n, e: n - e, length[axis], cut.end)
        if not proofs.domain.equal(cut.begin, rest):
            raise CompileError(
                f"network: crop {where} takes {cut.begin} pixels from one end and {rest} from "
                "the other; a patch has one margin on every side"
            )


def bindings_of(function: relax.Function) -> list[relax.Binding]:
    """The steps of a function, in order."""
    return [binding for block in function.body.blocks for binding in block.bindings]


def composite_call(module: tvm.IRModule, call: relax.Call) -> str | None:
    """The group that a call is of; None for an operator."""
    return composite_of(module[call.op]) if isinstance(call.op, tvm.ir.GlobalVar) else None


def _unknown_operator(module: tvm.IRModule, value: relax.Expr) -> str | None:
    if not isinstance(value, relax.Call):
        return None if isinstance(value, relax.Var) else type(value).__name__
    if isinstance(value.op, tvm.ir.GlobalVar):
        return None if composite_call(module, value) else str(value.op.name_hint)
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
