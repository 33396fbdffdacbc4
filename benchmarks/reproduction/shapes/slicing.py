"""The length of any slice: steps, and ends that are clamped.

`max(0, ceil((clamp(end) - clamp(begin)) / step))`; of x[4:-4] with 6 rows that is 0.
"""

from compiler.importing.shapes import NAC, UNDEF, Element, Known
from compiler.importing.shapes.domain import Domain
from compiler.importing.shapes.lattice import Number, greatest, least, quotient_up
from compiler.importing.shapes.rules import from_start


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
