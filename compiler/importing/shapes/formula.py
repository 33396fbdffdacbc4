"""Formulas of symbols: their values, their size, and one put into another."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import tvm
from tvm import tirx
from tvm.tirx import IntImm

Formula: TypeAlias = tvm.ir.Expr  # an integer expression over symbols, int64
Number = Any  # an int or a formula: what the arithmetic below is done with


def least(left: Number, right: Number) -> Number:
    both = isinstance(left, int) and isinstance(right, int)
    return min(left, right) if both else tirx.min(left, right)


def greatest(left: Number, right: Number) -> Number:
    both = isinstance(left, int) and isinstance(right, int)
    return max(left, right) if both else tirx.max(left, right)


def quotient(number: Number, divisor: Number) -> Number:
    """Rounded down; the divisor must be positive."""
    both = isinstance(number, int) and isinstance(divisor, int)
    return number // divisor if both else tirx.floordiv(number, divisor)


def quotient_up(number: Number, divisor: Number) -> Number:
    return quotient(number + divisor - 1, divisor)


def remainder(number: Number, divisor: Number) -> Number:
    both = isinstance(number, int) and isinstance(divisor, int)
    return number % divisor if both else tirx.floormod(number, divisor)


_OPERATORS: dict[type, Callable[[Number, Number], Number]] = {
    tirx.Add: lambda a, b: a + b,
    tirx.Sub: lambda a, b: a - b,
    tirx.Mul: lambda a, b: a * b,
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
