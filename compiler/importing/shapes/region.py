"""What is known of the variables of one function, and what its parameters declare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import tvm
from tvm import relax
from tvm.ir import PrimType, TupleType, is_prim_expr
from tvm.tirx import IntImm
from tvm.tirx.analysis import undefined_vars

from compiler.importing.shapes.domain import Domain
from compiler.importing.shapes.facts import (
    MAX_VALUES,
    UNDEFINED,
    UNPROVED,
    Facts,
    TensorFacts,
    TupleFacts,
    refined,
    scalar_facts,
    shape_facts,
)
from compiler.importing.shapes.lattice import (
    NAC,
    UNDEF,
    Element,
    Known,
    NotConstant,
    Symbolic,
    formula_of,
    value_of,
)

_INTEGERS = ("int32", "int64")
_LOW, _HIGH = "tir_var_lower_bound", "tir_var_upper_bound"  # attributes of the torch importer


@dataclass(frozen=True)
class Place:
    """A cell: a dimension of a variable, or a number of a shape."""

    var: relax.Var
    index: int
    is_value: bool = False


@dataclass
class Region:
    """`symbols`: the cell that defines a symbol of this region; `inner`: the regions of a called
    function, by the variable that takes its result.
    """

    domain: Domain
    facts: dict[relax.Var, Facts] = field(default_factory=dict)
    symbols: dict[tvm.ir.Var, Place] = field(default_factory=dict)
    inputs: frozenset[tvm.ir.Var] = frozenset()  # symbols of the analysed function's parameters
    inner: dict[relax.Var, tuple[Region, ...]] = field(default_factory=dict)

    def read(self, var: relax.Var) -> Facts:
        return self.facts.get(var, UNDEFINED)

    def define(self, var: relax.Var, facts: Facts) -> bool:
        """Forward: what the variable's own operator says. True where something is new."""
        return self.refine(self.facts, var, facts)

    def learn(self, var: relax.Var, facts: Facts) -> bool:
        """Backward: what a reader says, constants only. True where something is new."""
        return var in self.facts and self.refine(self.facts, var, constants_only(facts))

    @staticmethod
    def refine(store: dict[relax.Var, Facts], var: relax.Var, facts: Facts) -> bool:
        before = store.get(var)
        store[var] = refined(before, facts) if before is not None else facts
        return before is None or store[var] != before

    def symbol(self, symbol: tvm.ir.Var) -> Element:
        """What stands for a symbol here: a called function's are its arguments' dimensions."""
        if symbol in self.symbols:
            return self.cell(self.symbols[symbol])
        return Symbolic(symbol) if symbol in self.inputs else NAC

    def cell(self, place: Place) -> Element:
        facts = self.read(place.var)
        if not isinstance(facts, TensorFacts):
            return NAC
        cells = facts.values if place.is_value else facts.dims
        return cells if isinstance(cells, NotConstant) else cells[place.index]

    def element(self, formula: tvm.ir.Expr) -> Element:
        """An integer expression of the program as an element."""
        if isinstance(formula, IntImm):
            return Known(int(formula))
        if not is_prim_expr(formula) or str(formula.ty) not in _INTEGERS:
            return NAC
        found = {symbol: self.symbol(symbol) for symbol in undefined_vars(formula)}
        for stop in (NAC, UNDEF):
            if stop in found.values():
                return stop
        names = {
            symbol: element.value if isinstance(element, Known) else formula_of(element)
            for symbol, element in found.items()
        }
        here = value_of(formula, names)
        return NAC if here is None else self.domain.constant(here)

    def facts_of(self, expression: tvm.ir.Expr) -> Facts:
        """What is known of an argument: a variable, a constant, a shape, a number or a tuple."""
        match expression:
            case tvm.ir.GenericConst():
                return _constant_facts(expression)
            case relax.ShapeExpr():
                return shape_facts(self.element(e) for e in expression.values)
            case relax.Tuple():
                return TupleFacts(tuple(self.facts_of(f) for f in expression.fields))
        if is_prim_expr(expression):
            return scalar_facts(self.element(expression))
        if not isinstance(expression, relax.Var):
            return UNPROVED
        facts = self.read(expression)
        if isinstance(facts, TensorFacts) and isinstance(expression.ty, relax.TensorType):
            return replace(facts, dtype=str(expression.ty.dtype))
        return facts

    def declared(self, declared_type: tvm.ir.Type) -> Facts:
        """What a type says by itself; of dimensions that it leaves open, nothing is proved."""
        match declared_type:
            case relax.TensorType():
                if declared_type.shape is None or not hasattr(declared_type.shape, "values"):
                    rank = int(declared_type.ndim)
                    return TensorFacts(NAC if rank < 0 else (NAC,) * rank)
                return TensorFacts(tuple(self.element(e) for e in declared_type.shape.values))
            case relax.ShapeType() if declared_type.values is not None:
                return shape_facts(self.element(e) for e in declared_type.values)
            case TupleType():
                return TupleFacts(tuple(self.declared(f) for f in declared_type.fields))
            case PrimType():
                return TensorFacts(())
        return UNPROVED

    def name_symbols(self, param: relax.Var) -> None:
        """The symbols in a parameter's type stand for what the argument is known to be."""
        declared = param.ty
        formulas: Sequence[tvm.ir.Expr] = ()
        is_value = not isinstance(declared, relax.TensorType)
        if isinstance(declared, PrimType):
            formulas = (param,)
        elif isinstance(declared, relax.ShapeType):
            formulas = declared.values or ()
        elif isinstance(declared, relax.TensorType) and isinstance(declared.shape, relax.ShapeExpr):
            formulas = declared.shape.values
        for index, formula in enumerate(formulas):
            if isinstance(formula, tvm.ir.Var):
                self.symbols.setdefault(formula, Place(param, index, is_value))


def constants_only(facts: Facts) -> Facts:
    """What can be learned of facts: nac teaches nothing."""
    if isinstance(facts, TupleFacts):
        return TupleFacts(tuple(constants_only(f) for f in facts.fields))
    if isinstance(facts.dims, NotConstant):
        return UNDEFINED
    dims = tuple(UNDEF if isinstance(d, NotConstant) else d for d in facts.dims)
    return TensorFacts(dims, UNDEF)


def _constant_facts(constant: tvm.ir.GenericConst) -> TensorFacts:
    numbers = constant.value.numpy()
    dims = tuple(Known(int(n)) for n in numbers.shape)
    small = numbers.ndim <= 1 and numbers.size <= MAX_VALUES and str(numbers.dtype) in _INTEGERS
    values = tuple(Known(int(v)) for v in numbers.reshape(-1)) if small else NAC
    return TensorFacts(dims, values, str(numbers.dtype))


def declare_symbols(domain: Domain, function: relax.Function) -> frozenset[tvm.ir.Var]:
    """The symbols in the parameters' types. Those of tensors are lengths, so never negative; the
    exported program bounds some further.
    """
    attributes = dict(function.attrs or {})

    def bounds(attribute: str) -> dict[str, int]:
        found = attributes.get(attribute, {})
        return {str(name): int(bound) for name, bound in found.items()}

    low, high = bounds(_LOW), bounds(_HIGH)
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
