"""The symbols of one function, their bounds, and what TVM's analyser can prove of formulas.

Sizes and arithmetic on them are taken to stay below 2^63, as everywhere in Relax.
"""

from collections.abc import Callable

import tvm
from tvm.ir import Range
from tvm.sym import Analyzer, ConstIntBound
from tvm.tirx import IntImm

from compiler.importing.shapes.lattice import (
    NAC,
    UNDEF,
    Element,
    Inferred,
    Known,
    NotConstant,
    Number,
    constant_of,
    formula_of,
    greatest,
    size_of,
)

MAX_SIZE = 96  # of a formula; a longer one would help nobody and cost every later proof
_INT64 = (-(1 << 63), (1 << 63) - 1)


class Domain:
    """What may be assumed of the symbols, and what follows from it."""

    def __init__(self) -> None:
        self._analyzer = Analyzer()

    def declare(self, symbol: tvm.ir.Var, low: int, high: int | None = None) -> None:
        """low <= symbol [<= high]."""
        if high is None:
            bound = ConstIntBound(low, ConstIntBound.POS_INF)
            self._analyzer.update(symbol, bound, True)
        else:
            first, count = IntImm("int64", low), IntImm("int64", high - low + 1)
            self._analyzer.bind(symbol, Range.from_min_extent(first, count), True)

    def constant(self, formula: Number) -> Element:
        """The formula simplified; NAC where it is too long or no 64-bit number."""
        if isinstance(formula, int):
            return Known(formula) if _INT64[0] <= formula <= _INT64[1] else NAC
        simple = self._analyzer.simplify(formula)
        return NAC if size_of(simple) > MAX_SIZE else constant_of(simple)

    def apply(self, rule: Callable[..., Number], *elements: Element) -> Element:
        """rule(*elements); undef and nac swallow it.

        `rule` takes ints where all elements are numbers, else formulas, and may use
        `least`, `greatest` and `quotient`.
        """
        for stop in (NAC, UNDEF):
            if stop in elements:
                return stop
        if all(isinstance(e, Known) for e in elements):
            return self.constant(rule(*(e.value for e in elements if isinstance(e, Known))))
        return self.constant(rule(*(formula_of(e) for e in elements)))

    def equal(self, left: Element, right: Element) -> bool:
        """Whether both are constants and proved equal for all values of the symbols."""
        if isinstance(left, NotConstant) or isinstance(right, NotConstant):
            return False
        if left == right:
            return True
        if isinstance(left, Known) and isinstance(right, Known):
            return False
        return bool(self._analyzer.can_prove_equal(formula_of(left), formula_of(right)))

    def bounds(self, element: Element) -> tuple[int | None, int | None]:
        """The least and the greatest value; None is no bound."""
        if isinstance(element, Known):
            return element.value, element.value
        if isinstance(element, NotConstant):
            return None, None
        bound = self._analyzer.const_int_bound(formula_of(element))
        low, high = int(bound.min_value), int(bound.max_value)
        unbounded = ConstIntBound.NEG_INF, ConstIntBound.POS_INF
        return (None if low <= unbounded[0] else low), (None if high >= unbounded[1] else high)

    def at_least(self, element: Element, least_value: int) -> bool:
        low, _ = self.bounds(element)
        if low is not None and low >= least_value:
            return True
        if not isinstance(element, Inferred):
            return False
        return bool(self._analyzer.can_prove(element.formula >= least_value))

    def at_most(self, element: Element, greatest_value: int) -> bool:
        return self.at_least(self.apply(lambda e: -e, element), -greatest_value)

    def is_not_one(self, element: Element) -> bool:
        """Whether a dimension is proved to be no dimension that broadcasts."""
        return self.at_least(element, 2) or element == Known(0)

    def broadcast(self, left: Element, right: Element) -> Element:
        """One dimension of a broadcast result."""
        one = Known(1)
        if left == one or self.equal(left, right):
            return right
        if right == one or self.is_not_one(left):
            return left
        if self.is_not_one(right):
            return right
        for stop in (UNDEF, NAC):
            if stop in (left, right):
                return stop
        if self.at_least(left, 1) and self.at_least(right, 1):
            return self.apply(greatest, left, right)
        return NAC
