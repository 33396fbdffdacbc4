"""The transfer functions of the operators that the exported networks are made of.

These seven are all that an import of chain, ESPCN or WDSR meets. Rules of other operators are
entered on top of these in benchmarks/reproduction/shapes; an operator without a rule is what
Relax's type says of it.
"""

from dataclasses import dataclass

from compiler.importing.shapes.domain import Domain
from compiler.importing.shapes.facts import UNDEFINED, Cells, Facts, TensorFacts
from compiler.importing.shapes.lattice import NAC, UNDEF, Element, Known, NotConstant, quotient
from compiler.importing.shapes.operators import (
    OperatorClass,
    Rules,
    Site,
    axis_of,
    rank_of,
    ranked,
    ranked_or_stop,
    unranked,
)

RULES = Rules()

_DATA, _KERNEL = "NCHW", "OIHW"
_PLAIN = 4  # the rank of both
_NO_END = 1 << 62  # far beyond every length; torch writes a missing end as 2^63 - 1


def same_shape_back(site: Site, result: Facts) -> list[Facts]:
    dims = result.dims if isinstance(result, TensorFacts) else UNDEF
    return [TensorFacts(dims, UNDEF), *(UNDEFINED for _ in site.arguments[1:])]


@RULES.enter(OperatorClass.ISDOS, "nn.relu", "clip", backward=same_shape_back)
def same_shape(site: Site) -> Facts:
    return TensorFacts(site.tensor(0).dims)


def broadcast_back(site: Site, result: Facts) -> list[Facts]:
    """An operand's dimension is the result's where all other operands have a 1 there."""
    tensors = [site.tensor(i) for i in range(len(site.arguments))]
    if not isinstance(result, TensorFacts) or unranked(result, *tensors):
        return [UNDEFINED for _ in tensors]
    rows = [t.dims for t in tensors if not isinstance(t.dims, NotConstant)]
    aims = result.dims if not isinstance(result.dims, NotConstant) else ()

    def is_one(row: tuple[Element, ...], from_the_end: int) -> bool:
        return from_the_end > len(row) or row[-from_the_end] == Known(1)

    learned: list[Facts] = []
    for place, row in enumerate(rows):
        others = [other for i, other in enumerate(rows) if i != place]
        cells = [
            aims[len(aims) - back] if all(is_one(o, back) for o in others) else UNDEF
            for back in range(len(row), 0, -1)
        ]
        learned.append(TensorFacts(tuple(cells), UNDEF))
    return learned


@RULES.enter(OperatorClass.ISDOS, "add", backward=broadcast_back)
def broadcast(site: Site) -> Facts:
    dims: Cells = ()
    for place in range(len(site.arguments)):
        dims = broadcast_dims(site, dims, site.tensor(place).dims)
    return TensorFacts(dims)


def broadcast_dims(site: Site, left: Cells, right: Cells) -> Cells:
    """The dimensions of two shapes broadcast against each other."""
    if isinstance(left, NotConstant) or isinstance(right, NotConstant):
        return NAC if NAC in (left, right) else UNDEF
    rank = max(len(left), len(right))
    rows = ((Known(1),) * (rank - len(side)) + side for side in (left, right))
    return tuple(site.domain.broadcast(a, b) for a, b in zip(*rows, strict=True))


def _axes_order(site: Site, rank: int) -> list[int]:
    axes = site.attributes.axes
    return [axis_of(a, rank) for a in axes] if axes is not None else list(range(rank))[::-1]


def _permute_back(site: Site, result: Facts) -> list[Facts]:
    """The result's rank is the argument's: unknown ranks are learned from the axes' count."""
    if not isinstance(result, TensorFacts) or isinstance(result.dims, NotConstant):
        return [UNDEFINED]
    order = _axes_order(site, len(result.dims))
    dims = tuple(result.dims[order.index(axis)] for axis in range(len(order)))
    return [TensorFacts(dims, UNDEF)]


@RULES.enter(OperatorClass.ISDOS, "permute_dims", backward=_permute_back)
def _permute(site: Site) -> Facts:
    dims = ranked_or_stop(site)
    if isinstance(dims, TensorFacts):
        return dims
    return TensorFacts(tuple(dims[axis] for axis in _axes_order(site, len(dims))))


def same_values(site: Site) -> Cells:
    """For operators that keep the numbers and their order."""
    return site.tensor(0).values


@RULES.enter(OperatorClass.ISVDOS, "reshape", values=same_values)
def _reshape(site: Site) -> Facts:
    return dims_from(site.tensor(1))


def dims_from(shape: TensorFacts) -> TensorFacts:
    """A tensor whose shape is the contents of another; its length alone gives a rank."""
    if not isinstance(shape.values, NotConstant):
        return TensorFacts(shape.values)
    if isinstance(shape.dims, NotConstant):
        return TensorFacts(shape.dims)
    rank = shape.dims[0].value if shape.dims and isinstance(shape.dims[0], Known) else None
    unknown = NAC if NAC in (shape.values, *shape.dims) else UNDEF
    return TensorFacts(unknown if rank is None else (unknown,) * rank)


# x[begin:end] counts negative places from the end and clamps both ends to the length (NumPy and
# torch alike). What the exported program promises of the sizes makes most clamps inert: of
# `h >= 14`, x[4:-4] is h - 8.
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


@RULES.enter(OperatorClass.ISVDOS, "strided_slice")
def _strided_slice(site: Site) -> Facts:
    """A crop: begin and end proved to lie inside. Of other slices no length is claimed."""
    dims = ranked_or_stop(site)
    if isinstance(dims, TensorFacts):
        return dims
    bounds = slice_bounds(site)
    if bounds is None:
        return TensorFacts((NAC,) * len(dims))
    row = list(dims)
    for axis, (begin, end, step) in bounds.items():
        cut = inbound_cut(site.domain, ranked(site)[axis], begin, end)
        if cut is not None and step == Known(1):
            row[axis] = site.domain.apply(lambda b, e: e - b, cut.begin, cut.end)
        else:
            row[axis] = UNDEF if UNDEF in (row[axis], begin, end, step) else NAC
    return TensorFacts(tuple(row))


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


@dataclass(frozen=True)
class Slide:
    """How a window moves along one axis."""

    step: int
    spread: int
    padding: int  # on both sides together

    def length_after(self, site: Site, length: Element, taps: Element) -> Element:
        return site.domain.apply(
            lambda n, k: quotient(n + self.padding - self.spread * (k - 1) - 1, self.step) + 1,
            length,
            taps,
        )

    def length_before(self, site: Site, length: Element, taps: Element) -> Element:
        """Known only without a stride: else several lengths give the same number of windows."""
        if self.step != 1:
            return UNDEF
        return site.domain.apply(
            lambda n, k: n + self.spread * (k - 1) - self.padding, length, taps
        )


def slides(site: Site) -> tuple[Slide, Slide]:
    """Down the rows, and across the columns."""
    attributes = site.attributes
    steps, spreads = attributes.strides, attributes.dilation
    top, left, bottom, right = (int(p) for p in attributes.padding)
    rows = Slide(int(steps[0]), int(spreads[0]), top + bottom)
    return rows, Slide(int(steps[1]), int(spreads[1]), left + right)


def plain_dims(facts: TensorFacts) -> tuple[Element, ...]:
    """The four dimensions of NCHW data or of an OIHW kernel."""
    dims = facts.dims
    if isinstance(dims, NotConstant):
        return (dims,) * _PLAIN
    return dims if len(dims) == _PLAIN else (NAC,) * _PLAIN


def _has_plain_layouts(site: Site) -> bool:
    attributes = site.attributes
    layouts = (attributes.data_layout, attributes.kernel_layout, attributes.out_layout)
    return layouts == (_DATA, _KERNEL, _DATA)


def _conv2d_back(site: Site, result: Facts) -> list[Facts]:
    """Channels agree; without a stride the output's size gives the input's."""
    if not _has_plain_layouts(site) or not isinstance(result, TensorFacts):
        return [UNDEFINED, UNDEFINED]
    batch, out, *sizes = plain_dims(result)
    _, channels, *_ = plain_dims(site.tensor(0))
    _, deep, *window = plain_dims(site.tensor(1))
    groups = int(site.attributes.groups)
    places = zip(slides(site), sizes, window, strict=True)
    lengths = [slide.length_before(site, size, taps) for slide, size, taps in places]
    read = site.domain.apply(lambda d: d * groups, deep)
    data = (batch, read, *lengths)
    weight = (out, channels if groups == 1 else UNDEF, UNDEF, UNDEF)
    return [TensorFacts(row, UNDEF) for row in (data, weight)]


@RULES.enter(OperatorClass.ISDOS, "nn.conv2d", backward=_conv2d_back)
def _conv2d(site: Site) -> Facts:
    if not _has_plain_layouts(site):
        return TensorFacts((NAC,) * _PLAIN)
    batch, _, *lengths = plain_dims(site.tensor(0))
    out, _, *window = plain_dims(site.tensor(1))
    places = zip(slides(site), lengths, window, strict=True)
    return TensorFacts((batch, out, *(slide.length_after(site, n, k) for slide, n, k in places)))
