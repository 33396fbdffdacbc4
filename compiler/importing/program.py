"""torch.export -> Relax, with shapes that stay readable: `h - 8`, not `min(max(h - 4, 0), h)`.

TVM's importer asks for the shape of every value on the way and gives up where Relax has lost it,
so slices are resolved here, as soon as they are met: with the proofs of rank and dimension
propagation (compiler/importing/shapes) and the bounds that the exported program states.
"""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import tvm
from tvm import relax
from tvm.ir import is_prim_expr
from tvm.relax.frontend.torch import from_exported_program
from tvm.tirx.analysis import undefined_vars

from compiler.compile_error import CompileError
from compiler.importing.shapes.domain import Domain
from compiler.importing.shapes.lattice import Element, Known, formula_of
from compiler.importing.shapes.rules import inbound_cut

if TYPE_CHECKING:
    from torch.export import ExportedProgram

_PREFIX = "network."  # of a tensor's name in sr.models.export_paths, not in tensor_layout
_NO_END = (1 << 63) - 1
_LARGEST = 1 << 31  # of a side; a bound beyond it is torch's way to say that there is none


def import_program(program: "ExportedProgram") -> tvm.IRModule:
    """One path as a Relax module: main(x [n, 3 u^2, h, w], weights...) -> [n, 3, r u h, r u w].

    The attribute `tensors` of main names main's weights in the order of its parameters.
    Raises CompileError for an operator that TVM's importer does not know.
    """
    converters: dict[str, Callable[..., Any]] = {
        "slice.Tensor": _SliceConverter(program),
        "pixel_shuffle.default": _decomposed_shuffle,
    }
    try:
        with warnings.catch_warnings():
            # The importer copies classes that torch has deprecated; no user can mend that.
            warnings.simplefilter("ignore", FutureWarning)
            module = from_exported_program(
                program,
                keep_params_as_input=True,
                unwrap_unit_return_tuple=True,
                custom_convert_map=converters,
                # torch would trace the network anew for it, which takes seconds, and of all
                # operators that the engine has it changes pixel shuffle alone.
                run_ep_decomposition=False,
            )
    except (AssertionError, NotImplementedError, ValueError) as error:
        raise CompileError(_not_understood(program, str(error))) from error
    specs = program.graph_signature.input_specs
    targets = {s.arg.name: s.target for s in specs if s.kind.name == "PARAMETER"}
    variables = [p.name for p in module["main"].params if p.name in targets]
    names = [str(targets[name]).removeprefix(_PREFIX) for name in variables]
    main = module["main"].without_attr("params").with_attr("tensors", names)
    return tvm.IRModule({"main": main})


def _not_understood(program: "ExportedProgram", reason: str) -> str:
    """Names the first operator that the importer's message is about, with its module."""
    for node in program.graph.nodes:
        operator = str(node.target).removeprefix("aten.")
        if node.op == "call_function" and f"'{operator}'" in reason:
            # The torch module that the node comes from, by its path in the network.
            stack = list((node.meta.get("nn_module_stack") or {}).values())
            path = str(stack[-1][0]).removeprefix(_PREFIX) if stack else ""
            where = f"module {path}" if path else "the network's own forward"
            return (
                f"network: operator {operator} in {where} (node {node.name}) is not "
                "known to the importer; use convolutions, ReLU, sums, crops and one pixel shuffle"
            )
    return f"network: not understood by the importer: {reason}"


def _decomposed_shuffle(node: Any, importer: Any) -> relax.Expr:
    """Pixel shuffle as torch decomposes it, [n, c r r, h, w] -> [n, c, h r, w r]."""
    x, r, emit = importer.env[node.args[0]], node.args[1], importer.block_builder.emit
    n, channels, h, w = x.ty.shape.values
    split = emit(relax.op.reshape(x, [n, int(channels) // r**2, r, r, h, w]))
    woven = emit(relax.op.permute_dims(split, [0, 1, 4, 2, 5, 3]))
    return emit(relax.op.reshape(woven, [n, int(channels) // r**2, h * r, w * r]))


class _SliceConverter:
    """x[:, :, a:-b] as a slice whose ends need no clamping, wherever that is proved.

    The importer's own clamps both ends for lengths that might be shorter, and would hide from
    every later shape that it equals another one.
    """

    def __init__(self, program: "ExportedProgram") -> None:
        self._domain = Domain()
        self._bounds: dict[str, tuple[int, int | None]] = {}
        for symbol, bounds in program.range_constraints.items():
            low, high = int(bounds.lower), bounds.upper  # torch writes infinity as a symbol
            is_bound = high.is_number and high <= _LARGEST
            self._bounds[str(symbol)] = low, int(high) if is_bound else None

    def __call__(self, node: Any, importer: Any) -> relax.Expr:
        x = importer.env[node.args[0]]
        given = dict(enumerate(node.args))
        operands = [importer.env.get(given.get(i), given.get(i)) for i in range(1, 5)]
        defaults = (0, 0, _NO_END, 1)  # begin and end may be numbers or formulas of sizes
        pairs = zip(operands, defaults, strict=True)
        axis, begin, end, step = (default if o is None else o for o, default in pairs)
        # `x[:, :, a:-b]` is exported with a slice for each colon, which takes all there is.
        if isinstance(end, int) and (begin, end, step) == (0, _NO_END, 1):
            return x
        if x.ty.shape is None:
            return self._emit(importer, x, axis, begin, end, step, inbound=False)
        length = self._element(x.ty.shape.values[axis])
        cut = inbound_cut(self._domain, length, self._element(begin), self._element(end))
        if step != 1 or cut is None:
            return self._emit(importer, x, axis, begin, end, step, inbound=False)
        if cut.begin == Known(0) and self._domain.equal(cut.end, length):
            return x
        ends = formula_of(cut.begin), formula_of(cut.end)
        return self._emit(importer, x, axis, *ends, 1, inbound=True)

    def _element(self, size: Any) -> Element:
        """A length or an end, its symbols bounded as the exported program says."""
        if is_prim_expr(size):
            for symbol in undefined_vars(size):
                self._domain.declare(symbol, *self._bounds.get(str(symbol.name), (0, None)))
        return self._domain.constant(size)

    @staticmethod
    def _emit(
        importer: Any, x: relax.Expr, axis: int, begin: Any, end: Any, step: int, inbound: bool
    ) -> relax.Expr:
        sliced = relax.op.strided_slice(x, [axis], [begin], [end], [step], assume_inbound=inbound)
        return importer.block_builder.emit(sliced)
