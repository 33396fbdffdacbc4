"""What the laboratory asks of cells and facts beyond the product: merging, wrapping, counting."""

from collections.abc import Callable

from compiler.importing.shapes import NAC, UNDEF, Element, Facts, Known, TensorFacts, TupleFacts
from compiler.importing.shapes.domain import Domain
from compiler.importing.shapes.facts import UNDEFINED, UNPROVED, Cells
from compiler.importing.shapes.lattice import NotConstant

_RANGES = {"int64": (-(1 << 63), (1 << 63) - 1), "int32": (-(1 << 31), (1 << 31) - 1)}


def is_constant(element: Element) -> bool:
    return not isinstance(element, NotConstant)


def known(element: Element) -> int | None:
    return element.value if isinstance(element, Known) else None


def fits(domain: Domain, element: Element, dtype: str) -> Element:
    """The element as a number of `dtype`: NAC where it might wrap around."""
    if not is_constant(element) or dtype == "int64":
        return element
    if dtype not in _RANGES:
        return NAC
    low, high = _RANGES[dtype]
    return element if domain.at_least(element, low) and domain.at_most(element, high) else NAC


def total(domain: Domain, elements: tuple[Element, ...]) -> Element:
    """The product: how many numbers a tensor has."""
    if Known(0) in elements:
        return Known(0)
    result: Element = Known(1)
    for element in elements:
        result = domain.apply(lambda a, b: a * b, result, element)
    return result


def merged(domain: Domain) -> Callable[[Element, Element], Element]:
    """Combine, at the end of a Switch: what holds whichever branch was taken."""

    def both(left: Element, right: Element) -> Element:
        for stop in (NAC, UNDEF):
            if stop in (left, right):
                return stop
        return left if domain.equal(left, right) else NAC

    return both


def combined(left: Facts, right: Facts, meet: Callable[[Element, Element], Element]) -> Facts:
    """Two facts of equal form, cell by cell; where the forms differ, nothing is proved."""
    if isinstance(left, TupleFacts) and isinstance(right, TupleFacts):
        if len(left.fields) != len(right.fields):
            return UNPROVED
        pairs = zip(left.fields, right.fields, strict=True)
        return TupleFacts(tuple(combined(a, b, meet) for a, b in pairs))
    if isinstance(left, TensorFacts) and isinstance(right, TensorFacts):
        dims = _combined_cells(left.dims, right.dims, meet)
        values = _combined_cells(left.values, right.values, meet)
        return TensorFacts(dims, values, left.dtype)
    return UNDEFINED if UNDEFINED in (left, right) else UNPROVED


def _combined_cells(
    left: Cells, right: Cells, meet: Callable[[Element, Element], Element]
) -> Cells:
    if isinstance(left, NotConstant) or isinstance(right, NotConstant):
        return NAC if NAC in (left, right) else UNDEF
    if len(left) != len(right):
        return NAC
    return tuple(meet(a, b) for a, b in zip(left, right, strict=True))


def count_constants(facts: Facts) -> tuple[int, int]:
    """Proved dimensions and all dimensions of a value; an unknown rank counts as one of none."""
    if isinstance(facts, TupleFacts):
        pairs = [count_constants(field) for field in facts.fields]
        return sum(p for p, _ in pairs), sum(n for _, n in pairs)
    if isinstance(facts.dims, NotConstant):
        return 0, 1
    return sum(map(is_constant, facts.dims)), len(facts.dims)
