"""ISDOS: operators that move, join, cut and sum whole axes; and what they do to values."""

from collections.abc import Callable, Sequence

from benchmarks.reproduction.shapes.cells import fits, is_constant, total
from benchmarks.reproduction.shapes.registry import ALL_RULES
from compiler.importing.shapes.facts import UNDEFINED, Cells, Facts, TensorFacts, TupleFacts
from compiler.importing.shapes.lattice import (
    NAC,
    UNDEF,
    Element,
    Known,
    NotConstant,
    Number,
    greatest,
    least,
    quotient_up,
)
from compiler.importing.shapes.operators import (
    OperatorClass,
    Site,
    axis_of,
    rank_of,
    ranked,
    ranked_or_stop,
    unranked,
)
from compiler.importing.shapes.rules import same_values

_REDUCTIONS = ("sum", "mean", "max", "min", "prod", "std", "variance")


@ALL_RULES.enter(OperatorClass.ISDOS, "expand_dims", values=same_values)
def _expand(site: Site) -> Facts:
    dims = ranked_or_stop(site)
    if isinstance(dims, TensorFacts):
        return dims
    rank = len(dims) + len(site.attributes.axis)
    new = {axis_of(axis, rank) for axis in site.attributes.axis}
    rest = iter(dims)
    return TensorFacts(tuple(Known(1) if i in new else next(rest) for i in range(rank)))


@ALL_RULES.enter(OperatorClass.ISDOS, "squeeze", values=same_values)
def _squeeze(site: Site) -> Facts:
    dims = ranked_or_stop(site)
    if isinstance(dims, TensorFacts):
        return dims
    axes = site.attributes.axis
    if axes is not None:
        gone = {axis_of(axis, len(dims)) for axis in axes}
        return TensorFacts(tuple(d for i, d in enumerate(dims) if i not in gone))
    if UNDEF in dims:
        return UNDEFINED
    if not all(d == Known(1) or site.domain.is_not_one(d) for d in dims):
        return TensorFacts(NAC)
    return TensorFacts(tuple(d for d in dims if d != Known(1)))


@ALL_RULES.enter(OperatorClass.ISDOS, "flatten", values=same_values)
def _flatten(site: Site) -> Facts:
    dims = ranked_or_stop(site)
    return dims if isinstance(dims, TensorFacts) else TensorFacts((total(site.domain, dims),))


@ALL_RULES.enter(OperatorClass.ISDOS, "cumsum", "cumprod")
def _cumulative(site: Site) -> Facts:
    if site.attributes.axis is None:
        return _flatten(site)
    return TensorFacts(site.tensor(0).dims)


def _reduced_values(site: Site) -> Cells:
    """Min over a Shape: the number itself, where all axes go."""
    values = site.tensor(0).values
    rules: dict[str, Callable[[Number, Number], Number]] = {
        "relax.min": least,
        "relax.max": greatest,
        "relax.sum": lambda a, b: a + b,
        "relax.prod": lambda a, b: a * b,
    }
    rule = rules.get(site.call.op.name)
    if isinstance(values, NotConstant):
        return values
    if rule is None or not values:
        return NAC
    result = values[0]
    for value in values[1:]:
        result = site.domain.apply(rule, result, value)
    return (fits(site.domain, result, site.tensor(0).dtype),)


@ALL_RULES.enter(OperatorClass.ISDOS, *_REDUCTIONS, values=_reduced_values)
def _reduce(site: Site) -> Facts:
    axes = site.attributes.axis
    return _reduced(site, None if axes is None else list(axes))


@ALL_RULES.enter(OperatorClass.ISDOS, "argmax", "argmin")
def _arg_reduce(site: Site) -> Facts:
    axis = site.attributes.axis
    return _reduced(site, None if axis is None else [int(axis)])


def _reduced(site: Site, axes: Sequence[int] | None) -> Facts:
    dims = ranked_or_stop(site)
    if isinstance(dims, TensorFacts):
        return dims
    gone = set(range(len(dims))) if axes is None else {axis_of(a, len(dims)) for a in axes}
    if site.attributes.keepdims:
        return TensorFacts(tuple(Known(1) if i in gone else d for i, d in enumerate(dims)))
    return TensorFacts(tuple(d for i, d in enumerate(dims) if i not in gone))


def _joined_values(site: Site) -> Cells:
    """Of tensors of rank 1, one behind the other."""
    values: list[Element] = []
    for field in site.fields(0):
        if isinstance(field.values, NotConstant):
            return field.values
        if rank_of(field) != 1:
            return NAC
        values.extend(field.values)
    return tuple(values)


def _concat_back(site: Site, result: Facts) -> list[Facts]:
    fields = site.fields(0)
    joined = _concat(site)
    rank = rank_of(joined) if isinstance(joined, TensorFacts) else None
    if rank is None or site.attributes.axis is None:
        return [UNDEFINED]
    axis = axis_of(site.attributes.axis, rank)
    # The other axes have one length in all fields and in the result.
    common = [_agreed([*_column(fields, i), *_column((result,), i)]) for i in range(rank)]
    common[axis] = UNDEF
    learned = []
    for place, field in enumerate(fields):
        dims = list(common)
        if field.dims is UNDEF or _column((field,), axis) == [UNDEF]:
            dims[axis] = _rest_of(site, result, fields, axis, place)
        learned.append(TensorFacts(tuple(dims), UNDEF))
    return [TupleFacts(tuple(learned))]


def _rest_of(
    site: Site, result: Facts, fields: Sequence[TensorFacts], axis: int, place: int
) -> Element:
    """The result's length less those of the other fields."""
    length = _column((result,), axis)[0]
    for i, field in enumerate(fields):
        if i != place:
            length = site.domain.apply(lambda a, b: a - b, length, _column((field,), axis)[0])
    return length


def _column(tensors: Sequence[Facts], axis: int) -> list[Element]:
    """One dimension of several tensors; UNDEF or NAC where a rank is."""
    rows = [t.dims if isinstance(t, TensorFacts) else UNDEF for t in tensors]
    return [row if isinstance(row, NotConstant) else row[axis] for row in rows]


def _agreed(elements: Sequence[Element]) -> Element:
    """Of lengths that must be equal for the run to go on: the first that is a constant."""
    constants = [e for e in elements if is_constant(e)]
    return constants[0] if constants else UNDEF if UNDEF in elements else NAC


@ALL_RULES.enter(OperatorClass.ISDOS, "concat", backward=_concat_back, values=_joined_values)
def _concat(site: Site) -> Facts:
    fields = site.fields(0)
    if not fields:
        return site.tensor(0)
    ranks = {rank_of(field) for field in fields} - {None}
    if len(ranks) != 1 or site.attributes.axis is None:
        return unranked(*fields) or TensorFacts((NAC,))
    (rank,) = (r for r in ranks if r is not None)
    axis = axis_of(site.attributes.axis, rank)
    dims = [_agreed(_column(fields, i)) for i in range(rank)]
    length: Element = Known(0)
    for element in _column(fields, axis):
        length = site.domain.apply(lambda a, b: a + b, length, element)
    dims[axis] = length
    return TensorFacts(tuple(dims))


def _scalars(fields: Sequence[TensorFacts]) -> Cells:
    rows = [field.values for field in fields]
    stops = [row for row in rows if isinstance(row, NotConstant)]
    if stops:
        return NAC if NAC in stops else UNDEF
    values = tuple(v for row in rows if not isinstance(row, NotConstant) for v in row)
    return values if all(rank_of(f) == 0 for f in fields) else NAC


@ALL_RULES.enter(OperatorClass.ISDOS, "stack", values=lambda site: _scalars(site.fields(0)))
def _stack(site: Site) -> Facts:
    fields = site.fields(0)
    if not fields:
        return site.tensor(0)
    stop = unranked(*fields)
    if stop or len({rank_of(f) for f in fields}) != 1:
        return stop or TensorFacts(NAC)
    rank = rank_of(fields[0]) or 0
    dims = [_agreed(_column(fields, i)) for i in range(rank)]
    dims.insert(axis_of(site.attributes.axis, rank + 1), Known(len(fields)))
    return TensorFacts(tuple(dims))


@ALL_RULES.enter(OperatorClass.ISDOS, "split")
def _split(site: Site) -> Facts:
    dims = ranked_or_stop(site)
    if isinstance(dims, TensorFacts):
        return dims
    axis = axis_of(site.attributes.axis, len(dims))
    cuts = site.attributes.indices_or_sections
    lengths = (
        _sections(site, dims[axis], int(cuts))
        if not hasattr(cuts, "__len__")
        else _between(site, dims[axis], [int(c) for c in cuts])
    )
    parts = ((*dims[:axis], length, *dims[axis + 1 :]) for length in lengths)
    return TupleFacts(tuple(TensorFacts(part) for part in parts))


def _sections(site: Site, length: Element, count: int) -> list[Element]:
    """Equal parts, rounded up; the last takes what is left."""
    part = site.domain.apply(lambda n: quotient_up(n, count), length)
    last = site.domain.apply(lambda n: n - (count - 1) * quotient_up(n, count), length)
    return [part] * (count - 1) + [last]


def _between(site: Site, length: Element, cuts: Sequence[int]) -> list[Element]:
    starts: list[Element] = [Known(0)]
    starts += [site.domain.apply(lambda n, c=cut: least(n, c), length) for cut in cuts]
    ends = [*starts[1:], length]
    difference: Callable[[Number, Number], Number] = lambda e, s: greatest(e - s, 0)  # noqa: E731
    return [site.domain.apply(difference, e, s) for s, e in zip(starts, ends, strict=True)]


def _taken_values(site: Site) -> Cells:
    """Numbers of a shape by known places; outside 0 .. length - 1 TVM reads what is not there."""
    values, places = site.tensor(0).values, site.tensor(1).values
    if isinstance(values, NotConstant) or isinstance(places, NotConstant):
        return NAC if NAC in (values, places) else UNDEF
    indices = [p.value for p in places if isinstance(p, Known)]
    inside = all(0 <= i < len(values) for i in indices)
    return tuple(values[i] for i in indices) if inside and len(indices) == len(places) else NAC


@ALL_RULES.enter(OperatorClass.ISDOS, "take", values=_taken_values)
def _take(site: Site) -> Facts:
    stop = unranked(site.tensor(0), site.tensor(1))
    if stop:
        return stop
    dims, places = ranked(site), ranked(site, 1)
    axis = 0 if site.attributes.axis is None else axis_of(site.attributes.axis, len(dims))
    return TensorFacts((*dims[:axis], *places, *dims[axis + 1 :]))


@ALL_RULES.enter(OperatorClass.ISDOS, "tile")
def _tile(site: Site) -> Facts:
    dims = ranked_or_stop(site)
    if isinstance(dims, TensorFacts):
        return dims
    repeats = [int(r) for r in site.attributes.repeats]
    rank = max(len(dims), len(repeats))
    row = (Known(1),) * (rank - len(dims)) + dims
    repeats = [1] * (rank - len(repeats)) + repeats
    pairs = zip(row, repeats, strict=True)
    return TensorFacts(tuple(site.domain.apply(lambda d, r=r: d * r, d) for d, r in pairs))


@ALL_RULES.enter(OperatorClass.ISDOS, "repeat")
def _repeat(site: Site) -> Facts:
    dims = ranked_or_stop(site)
    if isinstance(dims, TensorFacts):
        return dims
    times = int(site.attributes.repeats)
    if site.attributes.axis is None:
        dims, axis = (total(site.domain, dims),), 0
    else:
        axis = axis_of(site.attributes.axis, len(dims))
    longer = site.domain.apply(lambda d: d * times, dims[axis])
    return TensorFacts((*dims[:axis], longer, *dims[axis + 1 :]))
