"""Inputs whose type leaves something open: unknown ranks, dimensions and contents."""

from dataclasses import replace

import tvm
from tvm import relax, tirx
from tvm.ir import PrimType, TupleType

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
