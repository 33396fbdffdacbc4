"""ISDOS: operators that work number by number, with broadcasting; and what they do to values."""

from collections.abc import Callable

from compiler.importing.shapes.facts import UNDEFINED, Cells, Facts, TensorFacts
from compiler.importing.shapes.formula import Number, greatest, least, quotient
from compiler.importing.shapes.lattice import NAC, UNDEF, Element, Known, NotConstant
from compiler.importing.shapes.operators import OperatorClass, Site, register, unranked

_SAME_SHAPE = (
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "bitwise_not",
    "ceil",
    "clip",
    "cos",
    "cosh",
    "erf",
    "exp",
    "floor",
    "isfinite",
    "isinf",
    "isnan",
    "log",
    "logical_not",
    "negative",
    "round",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "tril",
    "triu",
    "trunc",
    "astype",
    "full_like",
    "zeros_like",
    "ones_like",
    "flip",
    "sort",
    "argsort",
    "nn.relu",
    "nn.leakyrelu",
    "nn.gelu",
    "nn.gelu_tanh",
    "nn.selu",
    "nn.silu",
    "nn.softmax",
    "nn.log_softmax",
    "nn.softplus",
    "nn.layer_norm",
    "nn.group_norm",
    "nn.instance_norm",
    "nn.rms_norm",
    "nn.prelu",
)
_BROADCAST = (
    "add",
    "subtract",
    "multiply",
    "divide",
    "floor_divide",
    "floor_mod",
    "mod",
    "power",
    "minimum",
    "maximum",
    "atan2",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "logical_and",
    "logical_or",
    "logical_xor",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "left_shift",
    "right_shift",
    "log_add_exp",
    "where",
    "ewise_fma",
)


def _same_shape(site: Site) -> Facts:
    return TensorFacts(site.tensor(0).dims)


def _same_shape_back(site: Site, result: Facts) -> list[Facts]:
    dims = result.dims if isinstance(result, TensorFacts) else UNDEF
    return [TensorFacts(dims, UNDEF), *(UNDEFINED for _ in site.arguments[1:])]


def _broadcast(site: Site) -> Facts:
    tensors = [site.tensor(i) for i in range(len(site.arguments))]
    dims: Cells = ()
    for tensor in tensors:
        dims = broadcast_dims(site, dims, tensor.dims)
    return TensorFacts(dims)


def broadcast_dims(site: Site, left: Cells, right: Cells) -> Cells:
    """The dimensions of two shapes broadcast against each other."""
    if isinstance(left, NotConstant) or isinstance(right, NotConstant):
        return NAC if NAC in (left, right) else UNDEF
    rank = max(len(left), len(right))
    rows = ((Known(1),) * (rank - len(side)) + side for side in (left, right))
    return tuple(site.domain.broadcast(a, b) for a, b in zip(*rows, strict=True))


def _broadcast_back(site: Site, result: Facts) -> list[Facts]:
    """An operand's dimension is the result's where all other operands have a 1 there."""
    tensors = [site.tensor(i) for i in range(len(site.arguments))]
    if not isinstance(result, TensorFacts) or unranked(result, *tensors):
        return [UNDEFINED for _ in tensors]
    rows = [t.dims for t in tensors if not isinstance(t.dims, NotConstant)]
    aims = result.dims if not isinstance(result.dims, NotConstant) else ()
    learned: list[Facts] = []
    for place, row in enumerate(rows):
        others = [other for i, other in enumerate(rows) if i != place]
        cells = [
            aims[len(aims) - back] if all(_is_one(o, back) for o in others) else UNDEF
            for back in range(len(row), 0, -1)
        ]
        learned.append(TensorFacts(tuple(cells), UNDEF))
    return learned


def _is_one(row: tuple[Element, ...], from_the_end: int) -> bool:
    return from_the_end > len(row) or row[-from_the_end] == Known(1)


def _by_value(rule: Callable[..., Number]) -> Callable[[Site], Cells]:
    """Values of integer tensors under an operator; a single number meets every one."""

    def values(site: Site) -> Cells:
        rows: list[tuple[Element, ...]] = []
        for place in range(len(site.arguments)):
            facts = site.tensor(place)
            if isinstance(facts.values, NotConstant):
                return facts.values
            rows.append(facts.values)
        length = max(len(row) for row in rows)
        if any(len(row) not in (1, length) for row in rows):
            return NAC
        columns = zip(*(row * length if len(row) == 1 else row for row in rows), strict=True)
        found = (site.domain.apply(rule, *column) for column in columns)
        return tuple(site.domain.fits(e, site.tensor(0).dtype) for e in found)

    return values


def _divided(site: Site) -> Cells:
    """floor_divide by numbers that are proved to be positive."""
    divisors = site.tensor(1).values
    if isinstance(divisors, NotConstant):
        return divisors
    if not all(site.domain.at_least(d, 1) for d in divisors):
        return UNDEF if UNDEF in divisors else NAC
    return _by_value(quotient)(site)


def _cast(site: Site) -> Cells:
    values = site.tensor(0).values
    if isinstance(values, NotConstant):
        return values
    return tuple(site.domain.fits(v, str(site.attributes.dtype)) for v in values)


_VALUES: dict[str, Callable[[Site], Cells]] = {
    "add": _by_value(lambda a, b: a + b),
    "subtract": _by_value(lambda a, b: a - b),
    "multiply": _by_value(lambda a, b: a * b),
    "minimum": _by_value(least),
    "maximum": _by_value(greatest),
    "negative": _by_value(lambda a: -a),
    "floor_divide": _divided,
    "astype": _cast,
}

for _name in _SAME_SHAPE:
    register(OperatorClass.ISDOS, _name, backward=_same_shape_back, values=_VALUES.get(_name))(
        _same_shape
    )
for _name in _BROADCAST:
    register(OperatorClass.ISDOS, _name, backward=_broadcast_back, values=_VALUES.get(_name))(
        _broadcast
    )
