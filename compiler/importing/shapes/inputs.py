"""What a function's parameters say of themselves, before anything is propagated."""

from collections.abc import Sequence
from dataclasses import replace

import tvm
from tvm import relax, tirx
from tvm.ir import PrimType, TupleType
from tvm.tirx.analysis import undefined_vars

from compiler.importing.shapes.domain import Domain
from compiler.importing.shapes.facts import (
    MAX_VALUES,
    UNPROVED,
    Cells,
    Facts,
    TensorFacts,
    TupleFacts,
    scalar_facts,
    shape_facts,
)
from compiler.importing.shapes.lattice import NAC, UNDEF, Known, NotConstant, Symbolic
from compiler.importing.shapes.region import Region

_LOW, _HIGH = "tir_var_lower_bound", "tir_var_upper_bound"  # attributes of the torch importer


def declare_symbols(domain: Domain, function: relax.Function) -> frozenset[tvm.ir.Var]:
    """The symbols in the parameters' types. Those of tensors are lengths, so never negative; the
    exported program bounds some further.
    """
    low, high = (_bounds(function, attribute) for attribute in (_LOW, _HIGH))
    lengths, numbers = _symbols([param.ty for param in function.params])
    for symbol in lengths:
        name = str(symbol.name)
        domain.declare(symbol, max(0, low.get(name, 0)), high.get(name))
    scalars = {param for param in function.params if isinstance(param.ty, PrimType)}
    return frozenset(lengths | numbers | scalars)


def _symbols(types: Sequence[tvm.ir.Type]) -> tuple[set[tvm.ir.Var], set[tvm.ir.Var]]:
    """Symbols in the shapes of tensors, and in types of shapes."""
    lengths: set[tvm.ir.Var] = set()
    numbers: set[tvm.ir.Var] = set()
    for declared in types:
        if isinstance(declared, TupleType):
            inner = _symbols(list(declared.fields))
            lengths, numbers = lengths | inner[0], numbers | inner[1]
        elif isinstance(declared, relax.ShapeType):
            numbers |= {s for e in declared.values or () for s in undefined_vars(e)}
        elif isinstance(declared, relax.TensorType) and declared.shape is not None:
            lengths |= {s for e in declared.shape.values for s in undefined_vars(e)}
    return lengths, numbers


def _bounds(function: relax.Function, attribute: str) -> dict[str, int]:
    attributes = function.attrs
    found = attributes[attribute] if attributes and attribute in attributes else {}
    return {str(name): int(bound) for name, bound in found.items()}


def input_facts(region: Region, declared: tvm.ir.Type, name: tvm.ir.Var | None = None) -> Facts:
    """A parameter as its type declares it; open dimensions and all contents are undef."""
    match declared:
        case relax.TensorType():
            values = UNDEF if str(declared.dtype) in ("int32", "int64") else NAC
            known = region.declared(declared)
            rank = int(declared.ndim)
            if declared.shape is not None and isinstance(known, TensorFacts):
                return replace(known, values=values, dtype=str(declared.dtype))
            return TensorFacts(UNDEF if rank < 0 else (UNDEF,) * rank, values, str(declared.dtype))
        case TupleType():
            return TupleFacts(tuple(input_facts(region, field) for field in declared.fields))
        case relax.ShapeType() if declared.values is not None:
            return shape_facts(region.element(e) for e in declared.values)
        case PrimType() if name is not None:
            return scalar_facts(region.element(name))
    return UNPROVED


def named(facts: Facts, name: str, domain: Domain) -> Facts:
    """An input that nothing determined: a symbol for each open dimension and small content.

    Every call of the function has one length there, so it is a constant; only its name is new.
    """
    if isinstance(facts, TupleFacts):
        fields = (named(f, f"{name}.{i}", domain) for i, f in enumerate(facts.fields))
        return TupleFacts(tuple(fields))
    dims = facts.dims
    if not isinstance(dims, NotConstant):
        open_dims = [f"{name}_{axis}" if d is UNDEF else None for axis, d in enumerate(dims)]
        pairs = zip(dims, open_dims, strict=True)
        dims = tuple(_length(symbol, domain) if symbol else d for d, symbol in pairs)
    return replace(facts, dims=NAC if dims is UNDEF else dims, values=_contents(facts, dims, name))


def _length(name: str, domain: Domain) -> Symbolic:
    symbol = tirx.Var(name, "int64")
    domain.declare(symbol, 0)
    return Symbolic(symbol)


def _contents(facts: TensorFacts, dims: Cells, name: str) -> Cells:
    """Symbols for the numbers of an integer input of rank 0 or 1 with a known length."""
    if facts.values is not UNDEF or isinstance(dims, NotConstant) or len(dims) > 1:
        return facts.values if facts.values is not UNDEF else NAC
    length = dims[0] if dims else Known(1)
    if not isinstance(length, Known) or length.value > MAX_VALUES:
        return NAC
    return tuple(Symbolic(tirx.Var(f"{name}_at_{i}", "int64")) for i in range(length.value))
