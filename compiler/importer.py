"""torch.export -> Relax, with shapes that stay readable: `h - 8`, not `min(max(h - 4, 0), h)`."""

import warnings
from collections.abc import Callable
from typing import Any

import tvm
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from tvm import relax
from tvm.relax.frontend.torch import from_exported_program

from compiler.errors import CompileError

_TO_THE_END = 1 << 31  # torch writes a slice's missing end as the largest integer
_PREFIX = "network."  # of a tensor's name in sr.models.export_paths, not in tensor_layout


def import_program(program: ExportedProgram) -> tvm.IRModule:
    """One path as a Relax module: main(x [n, 3, h, w], weights...) -> [n, 3, r h, r w].

    The attribute `tensors` of main names main's weights in the order of its parameters.
    Raises CompileError for an operator that TVM's importer does not know.
    """
    converters: dict[str, Callable[..., Any]] = {"slice.Tensor": _convert_crop}
    try:
        with warnings.catch_warnings():
            # The importer copies classes that torch has deprecated; no user can mend that.
            warnings.simplefilter("ignore", FutureWarning)
            module = from_exported_program(
                program,
                keep_params_as_input=True,
                unwrap_unit_return_tuple=True,
                custom_convert_map=converters,
            )
    except (AssertionError, NotImplementedError, ValueError) as error:
        raise CompileError(f"network: not understood by the importer: {error}") from error
    specs = program.graph_signature.input_specs
    targets = {s.arg.name: s.target for s in specs if s.kind is InputKind.PARAMETER}
    variables = [p.name for p in module["main"].params if p.name in targets]
    names = [str(targets[name]).removeprefix(_PREFIX) for name in variables]
    main = module["main"].without_attr("params").with_attr("tensors", names)
    return tvm.IRModule({"main": main})


def _convert_crop(node: Any, importer: Any) -> relax.Expr:
    """x[:, :, a:-b] as a slice with an end that is a plain expression of the length.

    The importer's own clamps begin and end to the length, for lengths that might be shorter;
    ours are not (the exported program's bounds say so), and the clamps would hide from every
    later shape that it equals another one.
    """
    x, (axis, begin, end) = importer.env[node.args[0]], _bounds(node)
    length = x.ty.shape.values[axis]
    if begin == 0 and end is None:
        return x
    stop = length if end is None else length + end if end < 0 else end
    return importer.block_builder.emit(
        relax.op.strided_slice(x, [axis], [begin], [stop], assume_inbound=True)
    )


def _bounds(node: Any) -> tuple[int, int, int | None]:
    """Axis, begin and end of a slice; raises CompileError for what is not a crop."""
    given: dict[int, Any] = dict(enumerate(node.args))
    axis, begin, end, step = given.get(1, 0), given.get(2) or 0, given.get(3), given.get(4, 1)
    if isinstance(end, int) and end >= _TO_THE_END:
        end = None
    if step != 1 or not isinstance(begin, int) or not isinstance(end, int | None):
        raise CompileError(f"network: slice {node.name} is not a crop by fixed numbers of pixels")
    return axis, begin, end
