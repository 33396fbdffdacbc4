"""What is known of one Relax value: a tensor, a shape, a number, or a tuple of such.

A shape (`R.Shape`) is the tensor of its dimensions, a number (`T.int64`) a tensor of rank 0, so
that the same rules move values through shapes, tensors and numbers.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from compiler.importing.shapes.lattice import NAC, UNDEF, Element, Known, NotConstant, first_of

MAX_VALUES = 16  # numbers of a tensor that are followed; a shape has far fewer dimensions

Cells = tuple[Element, ...] | NotConstant  # a row of cells, or why there is none


@dataclass(frozen=True)
class TensorFacts:
    """`dims`: one element for each dimension, UNDEF or NAC where the rank is.

    `values`: the numbers of an integer tensor of rank 0 or 1 with at most MAX_VALUES of them.
    `dtype`: of the numbers, "" where it does not matter.
    """

    dims: Cells
    values: Cells = NAC
    dtype: str = ""

    @property
    def rank(self) -> Element:
        return self.dims if isinstance(self.dims, NotConstant) else Known(len(self.dims))

    def __str__(self) -> str:
        dims = self.dims
        return str(dims) if isinstance(dims, NotConstant) else f"[{', '.join(map(str, dims))}]"


@dataclass(frozen=True)
class TupleFacts:
    fields: "tuple[Facts, ...]"

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.fields))})"


Facts = TensorFacts | TupleFacts

UNDEFINED = TensorFacts(UNDEF, UNDEF)
UNPROVED = TensorFacts(NAC)


def shape_facts(values: Iterable[Element]) -> TensorFacts:
    """A shape, or a tensor of rank 1 with known numbers."""
    row = tuple(values)
    return TensorFacts((Known(len(row)),), row if len(row) <= MAX_VALUES else NAC, "int64")


def scalar_facts(value: Element, dtype: str = "int64") -> TensorFacts:
    return TensorFacts((), (value,), dtype)


def refined(have: Facts, learned: Facts) -> Facts:
    """`have`, its undefined cells filled from `learned`."""
    if isinstance(have, TupleFacts) and isinstance(learned, TupleFacts):
        pairs = zip(have.fields, learned.fields, strict=True)
        return TupleFacts(tuple(refined(h, n) for h, n in pairs))
    if isinstance(have, TensorFacts) and isinstance(learned, TensorFacts):
        dims = _filled(have.dims, learned.dims)
        values = _filled(have.values, learned.values)
        return TensorFacts(dims, values, have.dtype or learned.dtype)
    return learned if have == UNDEFINED else have


def _filled(have: Cells, learned: Cells) -> Cells:
    if isinstance(have, NotConstant):
        return learned if have is UNDEF else have
    if isinstance(learned, NotConstant) or len(learned) != len(have):
        return have
    return tuple(first_of(h, n) for h, n in zip(have, learned, strict=True))
