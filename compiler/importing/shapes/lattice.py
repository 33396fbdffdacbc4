"""The lattice of rank and dimension propagation (SoD2, ASPLOS 2024, Algorithm 1).

    nac                nothing is proved before the program runs
     |
    constants          Known 48 | Symbolic h | Inferred min(h - 8, w), an op-inferred constant
     |
    undef              nothing is known yet

There is one such element for a tensor's rank, for each dimension and for each number of a small
tensor of integers. Constants are not comparable with one another: a cell takes one and keeps it.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

import tvm
import tvm_ffi
from tvm import tirx
from tvm.ir import is_prim_expr
from tvm.tirx import IntImm

_NUMBER = re.compile(r"T\.int64\((-?\d+)\)")  # TVM writes its numbers with their type

Formula: TypeAlias = tvm.ir.Expr  # an integer expression over symbols, int64
Number = Any  # an int or a formula: what the arithmetic below is done with
Arithmetic = Callable[[Number, Number], Number]


def _of_both(on_numbers: Arithmetic, on_formulas: Arithmetic) -> Arithmetic:
    def rule(left: Number, right: Number) -> Number:
        both = isinstance(left, int) and isinstance(right, int)
        return on_numbers(left, right) if both else on_formulas(left, right)

    return rule


least, greatest = _of_both(min, tirx.min), _of_both(max, tirx.max)
# Rounded down; the divisor must be positive.
quotient = _of_both(operator.floordiv, tirx.floordiv)
remainder = _of_both(operator.mod, tirx.floormod)


def quotient_up(number: Number, divisor: Number) -> Number:
    return quotient(number + divisor - 1, divisor)


_OPERATORS: dict[type, Arithmetic] = {
    tirx.Add: operator.add,
    tirx.Sub: operator.sub,
    tirx.Mul: operator.mul,
    tirx.FloorDiv: quotient,
    tirx.FloorMod: remainder,
    tirx.Min: least,
    tirx.Max: greatest,
}


def value_of(formula: Formula, symbols: Mapping[tvm.ir.Var, Number]) -> Number | None:
    """The formula with ints (an int comes out) or formulas for its symbols.

    None where it has another operator than + - * // % min max, or a symbol without a value.
    """
    if isinstance(formula, IntImm):
        return int(formula)
    if isinstance(formula, tvm.ir.Var):
        return symbols.get(formula)
    rule = _OPERATORS.get(type(formula))
    if rule is None:
        return None
    left, right = (value_of(side, symbols) for side in (formula.a, formula.b))
    return None if left is None or right is None else rule(left, right)


def size_of(formula: Formula) -> int:
    """How many numbers, symbols and operators it is written with."""
    if type(formula) not in _OPERATORS:
        return 1
    return 1 + size_of(formula.a) + size_of(formula.b)


class NotConstant(Enum):
    """The lattice's bottom and top."""

    UNDEF = "undef"
    NAC = "nac"

    def __str__(self) -> str:
        return self.value


UNDEF, NAC = NotConstant.UNDEF, NotConstant.NAC


@dataclass(frozen=True)
class Known:
    """A number."""

    value: int

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True, eq=False)
class Symbolic:
    """A symbol: fixed in one run, and given by the inputs' shapes or by R.match_cast."""

    symbol: tvm.ir.Var

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Symbolic) and bool(self.symbol.same_as(other.symbol))

    def __hash__(self) -> int:
        return hash(self.symbol)

    def __str__(self) -> str:
        return str(self.symbol.name)


@dataclass(frozen=True, eq=False)
class Inferred:
    """An op-inferred constant: symbols and numbers under + - * // min max."""

    formula: Formula

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Inferred) and bool(
            tvm_ffi.structural_equal(self.formula, other.formula)
        )

    def __hash__(self) -> int:
        return int(tvm_ffi.structural_hash(self.formula))

    def __str__(self) -> str:
        return _NUMBER.sub(r"\1", str(self.formula)).replace("T.", "")


Constant = Known | Symbolic | Inferred
Element = NotConstant | Constant


def constant_of(formula: Formula | int) -> Constant:
    """The element that stands for a simplified formula."""
    if isinstance(formula, int | IntImm):
        return Known(int(formula))
    if isinstance(formula, tvm.ir.Var):
        return Symbolic(formula)
    if not is_prim_expr(formula):
        raise TypeError(f"{formula} is no integer expression")
    return Inferred(formula)


def formula_of(element: Element) -> Formula | None:
    """A constant as an int64 expression; None for undef and nac."""
    match element:
        case Known(value):
            return IntImm("int64", value)
        case Symbolic(symbol):
            return symbol
        case Inferred(formula):
            return formula
        case _:
            return None


def first_of(have: Element, learned: Element) -> Element:
    """A cell takes what it learns while it is undef, and keeps it: it changes at most once."""
    return learned if have is UNDEF else have
