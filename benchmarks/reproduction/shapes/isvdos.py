"""ISVDOS: a value, often the contents of a small shape tensor, decides the output's shape."""

from benchmarks.reproduction.shapes.cells import known
from benchmarks.reproduction.shapes.registry import ALL_RULES
from benchmarks.reproduction.shapes.slicing import slice_length
from compiler.importing.shapes.facts import Cells, Facts, TensorFacts, TupleFacts
from compiler.importing.shapes.lattice import (
    NAC,
    UNDEF,
    Element,
    Known,
    NotConstant,
    greatest,
    quotient_up,
)
from compiler.importing.shapes.operators import (
    OperatorClass,
    Site,
    axis_of,
    rank_of,
    ranked,
    ranked_or_stop,
)
from compiler.importing.shapes.rules import dims_from, scalar_of, slice_bounds


@ALL_RULES.enter(OperatorClass.ISVDOS, "broadcast_to")
def _broadcast_to(site: Site) -> Facts:
    return dims_from(site.tensor(1))


@ALL_RULES.enter(OperatorClass.ISVDOS, "full", "zeros", "ones")
def _full(site: Site) -> Facts:
    return dims_from(site.tensor(0))


@ALL_RULES.enter(OperatorClass.ISVDOS, "arange")
def _arange(site: Site) -> Facts:
    begin, end, step = (scalar_of(site.tensor(i)) for i in range(3))
    if not isinstance(step, Known) or step.value <= 0:
        return TensorFacts((UNDEF if step is UNDEF else NAC,))
    stride = step.value
    length = site.domain.apply(lambda b, e: greatest(0, quotient_up(e - b, stride)), begin, end)
    return TensorFacts((length,))


@ALL_RULES.enter(OperatorClass.ISVDOS, "topk")
def _topk(site: Site) -> Facts:
    """k entries along an axis; k < 1 is all of them."""
    dims = ranked_or_stop(site)
    attributes = site.attributes
    if not isinstance(dims, TensorFacts):
        axis, k = axis_of(attributes.axis, len(dims)), int(attributes.k)
        cut = Known(k) if k >= 1 else dims[axis]
        dims = TensorFacts((*dims[:axis], cut, *dims[axis + 1 :]))
    return TupleFacts((dims, dims)) if attributes.ret_type == "both" else dims


@ALL_RULES.enter(OperatorClass.ISVDOS, "image.resize2d")
def _resize2d(site: Site) -> Facts:
    dims = ranked_or_stop(site)
    if isinstance(dims, TensorFacts):
        return dims
    layout = str(site.attributes.layout)
    sizes = dims_from(site.tensor(1)).dims
    if isinstance(sizes, NotConstant):
        sizes = (sizes,) * 2
    if sorted(layout) != sorted("NCHW") or len(dims) != len(layout) or len(sizes) != 2:
        return TensorFacts((NAC,) * len(dims))
    places = {layout.index("H"): sizes[0], layout.index("W"): sizes[1]}
    return TensorFacts(tuple(places.get(i, d) for i, d in enumerate(dims)))


def _length(site: Site, axis: int, bounds: tuple[Element, Element, Element]) -> Element:
    length, (begin, end, step) = ranked(site)[axis], bounds
    if not site.attributes.assume_inbound:
        return slice_length(site.domain, length, begin, end, step)
    signs = site.domain.at_least(begin, 0) and site.domain.at_least(end, 0)
    if not signs or not isinstance(step, Known) or step.value <= 0:
        return UNDEF if UNDEF in bounds else NAC
    stride = step.value
    return site.domain.apply(lambda b, e: quotient_up(e - b, stride), begin, end)


def _sliced_values(site: Site) -> Cells:
    """Numbers of a shape between known places."""
    values, bounds = site.tensor(0).values, slice_bounds(site)
    if isinstance(values, NotConstant):
        return values
    places = [known(e) for e in bounds[0]] if bounds and 0 in bounds else [None]
    if None in places or rank_of(site.tensor(0)) != 1:
        return NAC
    begin, end, step = (p for p in places if p is not None)
    return values[begin:end:step]


@ALL_RULES.enter(OperatorClass.ISVDOS, "strided_slice", values=_sliced_values)
def _strided_slice(site: Site) -> Facts:
    dims = ranked_or_stop(site)
    if isinstance(dims, TensorFacts):
        return dims
    bounds = slice_bounds(site)
    if bounds is None:
        return TensorFacts((NAC,) * len(dims))
    cut = (_length(site, i, bounds[i]) if i in bounds else d for i, d in enumerate(dims))
    return TensorFacts(tuple(cut))


@ALL_RULES.enter(OperatorClass.ISVDOS, "dynamic_strided_slice")
def _dynamic_strided_slice(site: Site) -> Facts:
    """Begin, end and step of every axis are the contents of three tensors."""
    dims = ranked_or_stop(site)
    if isinstance(dims, TensorFacts):
        return dims
    begins, ends, steps = (_row(site.tensor(place), len(dims)) for place in (1, 2, 3))
    places = zip(dims, begins, ends, steps, strict=True)
    return TensorFacts(tuple(slice_length(site.domain, n, b, e, s) for n, b, e, s in places))


def _row(facts: TensorFacts, count: int) -> tuple[Element, ...]:
    values = facts.values
    if isinstance(values, NotConstant):
        return (values,) * count
    return values if len(values) == count else (NAC,) * count
