"""R.match_cast: where symbols are given a meaning within a function."""

from collections.abc import Sequence

import tvm
from tvm import relax

from benchmarks.reproduction.shapes.cells import is_constant
from benchmarks.reproduction.shapes.region import NestedRegion
from compiler.importing.shapes.facts import Cells, Facts, TensorFacts
from compiler.importing.shapes.lattice import NAC, UNDEF, Element, NotConstant, Symbolic
from compiler.importing.shapes.region import Place


def cast(region: NestedRegion, binding: relax.MatchCast, facts: Facts) -> Facts:
    """What the value is known to be, or else what is checked of it when the program runs.

    A symbol that is new here stands for its dimension from now on.
    """
    declared = binding.ty
    if not isinstance(facts, TensorFacts):
        return facts
    if isinstance(declared, relax.ShapeType) and declared.values is not None:
        row = _cast_row(region, binding.var, declared.values, facts.values, is_value=True)
        return TensorFacts(facts.dims, row, facts.dtype)
    if isinstance(declared, relax.TensorType) and isinstance(declared.shape, relax.ShapeExpr):
        row = _cast_row(region, binding.var, declared.shape.values, facts.dims, is_value=False)
        return TensorFacts(row, facts.values, facts.dtype)
    return facts


def _cast_row(
    region: NestedRegion,
    var: relax.Var,
    formulas: Sequence[tvm.ir.Expr],
    cells: Cells,
    is_value: bool,
) -> Cells:
    row = (cells,) * len(formulas) if isinstance(cells, NotConstant) else cells
    if len(row) != len(formulas):
        return cells  # the program stops here
    places = [Place(var, i, is_value) for i in range(len(row))]
    return tuple(_cast_cell(region, *cell) for cell in zip(places, formulas, row, strict=True))


def _cast_cell(region: NestedRegion, place: Place, formula: tvm.ir.Expr, cell: Element) -> Element:
    is_symbol = isinstance(formula, tvm.ir.Var)
    if is_symbol and not _is_defined(region, formula):
        region.symbols[formula] = place
        if not place.is_value:
            region.domain.declare(formula, 0)
    if is_symbol and region.symbols.get(formula) == place:
        # In a function that is called twice one symbol would stand for two lengths.
        return Symbolic(formula) if cell is NAC and region.runs_once else cell
    if is_constant(cell):
        return cell
    checked = region.element(formula)
    return checked if is_constant(checked) or UNDEF not in (cell, checked) else UNDEF


def _is_defined(region: NestedRegion, symbol: tvm.ir.Var) -> bool:
    if symbol in region.symbols or symbol in region.inputs:
        return True
    return region.outer is not None and _is_defined(region.outer, symbol)
