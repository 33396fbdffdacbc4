"""Relax -> PathGraph: reads the module that the recognising passes and verify.py have left.

Margins and channels are what rank and dimension propagation proves, not what Relax happens to
know of a shape: a value of h' x w' symbolic pixels has the margin m for which h' = h + 2 m and
w' = w + 2 m, with h x w the patch that the store reads.
"""

from dataclasses import dataclass, field
from math import isqrt

import tvm
from tvm import relax

from compiler.compile_error import CompileError
from compiler.importing.shapes import Element, Known, ShapeProofs, prove_shapes
from compiler.plan.graph import INPUT, Anchor, Convolution, PathGraph, Store, Value
from compiler.plan.recognise import CONVOLUTION_RELU, STORE_ANCHORED, composite_of
from compiler.plan.verify import bindings_of

_WEIGHT = ".weight"


@dataclass
class _Reader:
    """What has been read of main so far."""

    module: tvm.IRModule
    proofs: ShapeProofs
    layers: dict[str, str]  # parameter of main -> tensor's name
    patch: tuple[Element, Element]  # h and w of the patch, in terms of the input's
    names: dict[relax.Var, str] = field(default_factory=dict)  # variable -> value
    values: dict[str, Value] = field(default_factory=dict)
    convolutions: list[Convolution] = field(default_factory=list)
    store: Store | None = None
    side: int = 0


def lower_to_graph(module: tvm.IRModule) -> PathGraph:
    """Raises CompileError where the sizes are not those of a patch with a halo."""
    main = module["main"]
    image, *weights = main.params
    layers = {p.name: str(n) for p, n in zip(weights, main.attrs["tensors"], strict=True)}
    bindings = bindings_of(main)
    proofs = prove_shapes(module)
    store = next((b.value for b in bindings if _is_store(module, b.value)), None)
    if store is None:
        raise CompileError("network: it does not end in a pixel shuffle and a clip to 0..255")
    # The patch without halo: rows and columns of what the store reads.
    *_, rows, columns = proofs.dims(_residual(module, store)) or ()
    reader = _Reader(module, proofs, layers, (rows, columns))
    _define(reader, image, INPUT)
    for binding in bindings:
        _read(reader, binding.var, binding.value)
    assert reader.store is not None
    pixels = reader.values[INPUT]
    units = isqrt(pixels.channels // 3)
    return PathGraph(
        units,
        reader.side,
        pixels.margin,
        reader.values,
        tuple(reader.convolutions),
        reader.store,
    )


def _callee(module: tvm.IRModule, value: relax.Expr) -> relax.Function | None:
    is_call = isinstance(value, relax.Call) and isinstance(value.op, tvm.ir.GlobalVar)
    return module[value.op] if is_call else None


def _is_store(module: tvm.IRModule, value: relax.Expr) -> bool:
    function = _callee(module, value)
    return function is not None and "store" in (composite_of(function) or "")


def _residual(module: tvm.IRModule, store: relax.Call) -> relax.Var:
    """What a store takes its HR pixels from, before the anchor is added."""
    function = module[store.op]
    arguments = dict(zip(function.params, store.args, strict=True))
    operators = operators_of(function)
    if composite_of(function) == STORE_ANCHORED:
        return arguments[operators["relax.add"].args[0]]
    return arguments[bindings_of(function)[0].value.args[0]]


def _read(reader: _Reader, var: relax.Var, value: relax.Expr) -> None:
    function = _callee(reader.module, value)
    if function is None:  # a crop, or the output's new name
        source = value.args[0] if isinstance(value, relax.Call) else value
        reader.names[var] = reader.names[source]
    elif _is_store(reader.module, value):
        residual = reader.names[_residual(reader.module, value)]
        reader.side = isqrt(reader.values[residual].channels // 3)
        is_anchored = composite_of(function) == STORE_ANCHORED
        reader.store = Store(residual, _anchor(reader) if is_anchored else Anchor.NONE)
        reader.names[var] = "hr"
    else:
        _read_convolution(reader, var, function, value)


def _anchor(reader: _Reader) -> Anchor:
    """The one of this side and these units, which recognise.py has compared the constant with."""
    units = isqrt(reader.values[INPUT].channels // 3)
    if reader.side == units:
        return Anchor.IDENTITY
    return Anchor.NEAR if units == 1 else Anchor.WIDE


def _define(reader: _Reader, var: relax.Var, name: str) -> None:
    """A value of the path: its channels and its margin."""
    dims = reader.proofs.dims(var)
    _, channels, *sides = dims if dims and len(dims) == len("nchw") else (None,) * 4
    margins = [_margin(reader, side, of) for side, of in zip(sides, reader.patch, strict=True)]
    if not isinstance(channels, Known) or margins[0] is None or margins[0] != margins[1]:
        raise CompileError(
            f"network: {name} is {reader.proofs.of(var)}, which is not a fixed number of channels "
            "of the patch with an equal margin on every side"
        )
    reader.names[var] = name
    reader.values[name] = Value(name, channels.value, margins[0])


def _margin(reader: _Reader, side: Element | None, patch: Element) -> int | None:
    """m, where side = patch + 2 m is proved for every size; None where it is not."""
    if side is None:
        return None
    double = reader.proofs.domain.apply(lambda n, of: n - of, side, patch)
    is_even = isinstance(double, Known) and double.value >= 0 and double.value % 2 == 0
    return double.value // 2 if isinstance(double, Known) and is_even else None


def operators_of(function: relax.Function) -> dict[str, relax.Call]:
    """The calls of a composite by operator; of two sums the last stays."""
    values = [binding.value for binding in bindings_of(function)]
    return {value.op.name: value for value in values if isinstance(value, relax.Call)}


def _read_convolution(
    reader: _Reader, var: relax.Var, function: relax.Function, call: relax.Call
) -> None:
    arguments = dict(zip(function.params, call.args, strict=True))
    operators = operators_of(function)
    data, weight = (arguments[a] for a in operators["relax.nn.conv2d"].args)
    added = [a for a in operators["relax.add"].args if a in arguments]
    layer = reader.layers[weight.name].removesuffix(_WEIGHT)
    name = layer.replace(".", "_")
    _define(reader, var, name)
    reader.convolutions.append(
        Convolution(
            weights=layer,
            source=reader.names[data],
            result=name,
            window=int(weight.ty.shape.values[2]),
            relu=composite_of(function) == CONVOLUTION_RELU,
            adds=reader.names[arguments[added[0]]] if added else None,
        )
    )
