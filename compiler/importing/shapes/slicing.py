"""Slices whose ends need no clamping: crops.

x[begin:end] counts negative places from the end and clamps both ends to the length (NumPy and
torch alike). What the exported program promises of the sizes makes most clamps inert: of
`h >= 14`, x[4:-4] is h - 8.
"""

from dataclasses import dataclass

from compiler.importing.shapes.domain import Domain
from compiler.importing.shapes.facts import TensorFacts
from compiler.importing.shapes.lattice import NAC, UNDEF, Element, Known, NotConstant
from compiler.importing.shapes.operators import Site, axis_of, rank_of, ranked

_NO_END = 1 << 62  # far beyond every length; torch writes a missing end as 2^63 - 1


@dataclass(frozen=True)
class Cut:
    """Where a slice with step 1 begins and ends on an axis, counted from the axis' start."""

    begin: Element
    end: Element


def from_start(domain: Domain, length: Element, place: Element) -> Element:
    """A negative place counts from the end."""
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


def scalar_of(facts: TensorFacts) -> Element:
    """The one number that a tensor holds."""
    values = facts.values
    if isinstance(values, NotConstant):
        return values
    return values[0] if len(values) == 1 else NAC


def slice_bounds(site: Site) -> dict[int, tuple[Element, Element, Element]] | None:
    """Of a strided_slice: begin, end and step by axis; None where the axes are not known."""
    rank = rank_of(site.tensor(0))
    axes, begins, ends = ([scalar_of(f) for f in site.fields(i)] for i in (1, 2, 3))
    steps = [scalar_of(f) for f in site.fields(4)] if len(site.arguments) > 4 else []
    steps = steps or [Known(1)] * len(axes)
    places = [axis.value for axis in axes if isinstance(axis, Known)]
    if rank is None or len(places) != len(axes):
        return None
    order = [axis_of(place, rank) for place in places]
    return dict(zip(order, zip(begins, ends, steps, strict=True), strict=True))


def crop_of(site: Site) -> dict[int, Cut] | None:
    """A slice with step 1 whose ends are proved to lie inside: its cuts by axis; else None."""
    bounds = slice_bounds(site)
    if bounds is None:
        return None
    cuts = {}
    for axis, (begin, end, step) in bounds.items():
        cut = inbound_cut(site.domain, ranked(site)[axis], begin, end)
        if cut is None or step != Known(1):
            return None
        cuts[axis] = cut
    return cuts
