"""What rank and dimension propagation gives each pass, with it and without it.

    python -m benchmarks.shapes [--json FILE]

*without* is TVM as it comes: its importer with its own slices, and the shapes that Relax's types
have. *with* is the compiler's importer and `compiler.importing.shapes`. The passes are the same.
Nothing is timed but the analysis itself.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import tvm
from torch.export import ExportedProgram
from tvm import relax
from tvm.relax.frontend.torch import from_exported_program
from tvm.relax.transform import FuseOpsByPattern

from benchmarks.harness import argument_parser, environment, write_json
from benchmarks.reproduction.shapes import count_constants
from benchmarks.reproduction.shapes.shape_class import convolution_classes
from compiler.importing.program import import_program
from compiler.importing.shapes import Known, ShapeProofs, prove_shapes
from compiler.importing.shapes.domain import Domain
from compiler.importing.shapes.region import Region, declare_symbols
from compiler.pipeline import PASSES
from compiler.plan.lower import lower_to_graph
from compiler.plan.recognise import convolution_patterns, store_patterns
from compiler.plan.verify import bindings_of
from sr.models import BACKBONES, architecture, export_paths

SCALE = 4
_ROWS = ("network", "path", "shapes", "dims", "sums", "fused", "calls", "formulas", "analysis_ms")


@dataclass(frozen=True)
class PathShapes:
    """One path: dimensions proved, of all; sums whose operands are proved to have one shape, of
    all; operators that went into groups, of all; calls that are left to run; convolutions whose
    margin is a number, of all. None where the path cannot even be imported.
    """

    network: str
    path: str
    shapes: str
    dims: tuple[int, int] | None = None
    sums: tuple[int, int] | None = None
    fused: tuple[int, int] | None = None
    calls: int | None = None
    formulas: tuple[int, int] | None = None
    analysis_ms: float | None = None


def import_as_tvm_does(program: ExportedProgram) -> tvm.IRModule | None:
    """TVM's importer with its own slices; None where it fails."""
    try:
        module = from_exported_program(
            program, keep_params_as_input=True, unwrap_unit_return_tuple=True
        )
    except (AssertionError, TypeError, ValueError):
        return None
    return tvm.IRModule({"main": module["main"].without_attr("params")})


def declared_shapes(module: tvm.IRModule) -> ShapeProofs:
    """What Relax's types say, in the form of proofs; no bounds, no propagation."""
    main, domain = module["main"], Domain()
    symbols = declare_symbols(domain, main.without_attr("tir_var_lower_bound"))
    region = Region(domain, inputs=symbols)
    for var in (*main.params, *(b.var for b in bindings_of(main))):
        region.define(var, region.declared(var.ty))
    return ShapeProofs(domain, region, rounds=0)


def measure(
    network: str,
    path: str,
    module: tvm.IRModule,
    shapes: str,
    prove: Callable[[tvm.IRModule], ShapeProofs],
) -> PathShapes:
    """Run the recognising passes with one kind of proofs, and count."""
    start = time.perf_counter()
    proofs = prove(module)
    analysis_ms = (time.perf_counter() - start) * 1e3
    after = FuseOpsByPattern(store_patterns(proofs))(module)
    after = FuseOpsByPattern(convolution_patterns(prove(after)))(after)
    operators, left = _operators(module), _operators(after)
    groups = sum(1 for call in _calls(after) if isinstance(call.op, tvm.ir.GlobalVar))
    return PathShapes(
        network,
        path,
        shapes,
        dims=_dims(proofs, module),
        sums=_sums(proofs, module),
        fused=(operators - left, operators),
        calls=left + groups,
        formulas=_formulas(proofs, module),
        analysis_ms=round(analysis_ms, 1),
    )


def _calls(module: tvm.IRModule) -> list[relax.Call]:
    values = [b.value for b in bindings_of(module["main"])]
    return [v for v in values if isinstance(v, relax.Call)]


def _operators(module: tvm.IRModule) -> int:
    """Operators in main that are in no group; crops only move a margin and do not count."""
    names = [_operator(call) for call in _calls(module)]
    return sum(1 for name in names if name not in ("", "relax.strided_slice"))


def _dims(proofs: ShapeProofs, module: tvm.IRModule) -> tuple[int, int]:
    counts = [count_constants(proofs.of(b.var)) for b in bindings_of(module["main"])]
    return sum(proved for proved, _ in counts), sum(number for _, number in counts)


def _sums(proofs: ShapeProofs, module: tvm.IRModule) -> tuple[int, int]:
    """Sums of two feature maps; a bias is meant to broadcast."""
    bindings = bindings_of(module["main"])
    sums = [b.value.args for b in bindings if _operator(b.value) == "relax.add"]
    biases = {b.var for b in bindings if _operator(b.value) == "relax.reshape"}
    pairs = [args for args in sums if not any(a in biases for a in args)]
    return sum(proofs.same_shape(*pair) for pair in pairs), len(pairs)


def _formulas(proofs: ShapeProofs, module: tvm.IRModule) -> tuple[int, int]:
    """Convolutions whose rows and columns are the input's less a number: a margin to plan with."""
    main = module["main"]
    results = [b.var for b in bindings_of(main) if _operator(b.value) == "relax.nn.conv2d"]
    sides = (proofs.dims(main.params[0]) or ())[2:]
    found = 0
    for result in results:
        pairs = zip(sides, (proofs.dims(result) or ())[2:], strict=False)
        lost = [proofs.domain.apply(lambda n, m: n - m, *pair) for pair in pairs]
        found += len(lost) == len(sides) and all(isinstance(e, Known) for e in lost)
    return found, len(results)


def _operator(value: relax.Expr) -> str:
    is_operator = isinstance(value, relax.Call) and isinstance(value.op, tvm.ir.Op)
    return str(value.op.name) if is_operator else ""


def measure_path(network: str, path: str, program: ExportedProgram) -> list[PathShapes]:
    plain = import_as_tvm_does(program)
    ours = import_program(program)
    without = (
        PathShapes(network, path, "without")
        if plain is None
        else measure(network, path, plain, "without", declared_shapes)
    )
    return [without, measure(network, path, ours, "with", prove_shapes)]


def describe_classes(program: ExportedProgram) -> dict[str, Any]:
    """What version choice sees of a path, and the path's margins."""
    module = import_program(program)
    for stage in PASSES:
        module = stage.run(module)
    graph = lower_to_graph(module)
    return {
        "scale": graph.side,
        "halo_px": graph.halo,
        "margins_px": {v.name: v.margin for v in graph.values.values()},
        "convolutions": [asdict(c) for c in convolution_classes(module)],
    }


def report() -> dict[str, Any]:
    rows, classes = [], {}
    for network in BACKBONES:
        for path, program in export_paths(architecture(network, SCALE, dynamic=True)).items():
            rows += [asdict(row) for row in measure_path(network, path, program)]
            classes[f"{network} {path}"] = describe_classes(program)
    return {
        "schema": "pocketsr.shapes/1",
        "environment": environment(("apache-tvm", "torch")),
        "rows": rows,
        "classes": classes,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown; docs/shapes.md has it."""
    lines = [f"| {' | '.join(_ROWS[:-1])} |", "|---" * (len(_ROWS) - 1) + "|"]
    for row in rows:
        lines.append(f"| {' | '.join(_cell(row[name]) for name in _ROWS[:-1])} |")
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return " of ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def main() -> None:
    arguments = argument_parser("shapes", __doc__).parse_args()
    result = report()
    write_json(arguments.json, result)
    print(table(result["rows"]))


if __name__ == "__main__":
    main()
