"""ISDOS: operators that work number by number, with broadcasting; and what they do to values."""

from collections.abc import Callable

from benchmarks.reproduction.shapes.cells import fits
from benchmarks.reproduction.shapes.registry import ALL_RULES
from compiler.importing.shapes.facts import Cells
from compiler.importing.shapes.lattice import (
    NAC,
    UNDEF,
    Element,
    NotConstant,
    Number,
    greatest,
    least,
    quotient,
)
from compiler.importing.shapes.operators import OperatorClass, Site
from compiler.importing.shapes.rules import broadcast, broadcast_back, same_shape, same_shape_back

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
        return tuple(fits(site.domain, e, site.tensor(0).dtype) for e in found)

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
    return tuple(fits(site.domain, v, str(site.attributes.dtype)) for v in values)


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

# add, clip and relu are the product's, entered once more: add with what it does to values.
for _names, _forward, _backward in (
    (_SAME_SHAPE, same_shape, same_shape_back),
    (_BROADCAST, broadcast, broadcast_back),
):
    for _name in _names:
        ALL_RULES.enter(OperatorClass.ISDOS, _name, backward=_backward, values=_VALUES.get(_name))(
            _forward
        )
