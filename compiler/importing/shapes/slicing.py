"""The length of a slice, and whether its ends need no clamping.

x[begin:end:step] counts negative places from the end and clamps both ends to the length (NumPy
and torch alike), so its length is `max(0, ceil((clamp(end) - clamp(begin)) / step))`. What the
exported program promises of the sizes makes most clamps inert: of `h >= 14`, x[4:-4] is h - 8.
"""

from dataclasses import dataclass

from compiler.importing.shapes.domain import Domain
from compiler.importing.shapes.formula import Number, greatest, least, quotient_up
from compiler.importing.shapes.lattice import NAC, UNDEF, Element, Known

_NO_END = 1 << 62  # far beyond every length


@dataclass(frozen=True)
class Cut:
    """Where a slice with step 1 begins and ends on an axis, counted from the axis' start."""

    begin: Element
    end: Element


def slice_length(
    domain: Domain, length: Element, begin: Element, end: Element, step: Element
) -> Element:
    """Of an axis of `length`; NAC where a sign is not proved."""
    if not isinstance(step, Known) or step.value == 0:
        return UNDEF if step is UNDEF else NAC
    if step.value > 0:
        first = _place(domain, length, begin, (0, 0))
        last = _place(domain, length, end, (0, 0))
        stride = step.value
    else:
        last = _place(domain, length, begin, (-1, -1))
        first = _place(domain, length, end, (-1, -1))
        stride = -step.value
    return domain.apply(lambda a, b: greatest(0, quotient_up(b - a, stride)), first, last)


def _place(domain: Domain, length: Element, place: Element, limits: tuple[int, int]) -> Element:
    """The place, from the start, clamped to limits[0] .. length + limits[1]."""
    low, high = limits

    def clamp(n: Number, p: Number) -> Number:
        return least(greatest(p, low), n + high)

    return domain.apply(clamp, length, from_start(domain, length, place))


def from_start(domain: Domain, length: Element, place: Element) -> Element:
    """A negative place counts from the end; torch writes a missing end as 2^63 - 1."""
    if isinstance(place, Known) and place.value >= _NO_END:
        return length
    if domain.at_least(place, 0):
        return place
    if domain.at_most(place, -1):
        return domain.apply(lambda n, p: n + p, length, place)
    return UNDEF if UNDEF in (length, place) else NAC


def inbound_cut(domain: Domain, length: Element, begin: Element, end: Element) -> Cut | None:
    """Begin and end, where 0 <= begin <= end <= length is proved; None where a clamp may act."""
    first, last = (from_start(domain, length, place) for place in (begin, end))
    ordered = (first, domain.apply(lambda a, b: b - a, first, last))
    rest = domain.apply(lambda b, n: n - b, last, length)
    return Cut(first, last) if all(domain.at_least(e, 0) for e in (*ordered, rest)) else None
