"""What a rule of an operator is: its class, and its transfer functions.

SoD2 (ASPLOS 2024, Figure 1) sorts operators by what fixes the shape of their output.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tvm import relax

from compiler.importing.shapes.domain import Domain
from compiler.importing.shapes.facts import Cells, Facts, TensorFacts, TupleFacts
from compiler.importing.shapes.lattice import NAC, UNDEF, Element, Known, NotConstant


class OperatorClass(Enum):
    """What determines an output; If (Switch and Combine) is control flow, no operator."""

    ISDO = "the input's shape determines the output, values too"
    ISDOS = "the input's shape determines the output's shape"
    ISVDOS = "the inputs' shapes and values determine the output's shape"
    EDO = "only execution determines the output's shape"


@dataclass(frozen=True)
class Site:
    """One call of an operator, and what is known of its arguments."""

    domain: Domain
    call: relax.Call
    arguments: tuple[Facts, ...]

    @property
    def attributes(self) -> Any:
        return self.call.attrs

    def tensor(self, place: int) -> TensorFacts:
        """An argument that is no tuple; a tuple tells nothing as a tensor."""
        facts = self.arguments[place] if place < len(self.arguments) else TensorFacts(NAC)
        return facts if isinstance(facts, TensorFacts) else TensorFacts(NAC)

    def fields(self, place: int) -> tuple[TensorFacts, ...]:
        """The fields of an argument that is a tuple of tensors, or the values of a shape."""
        facts = self.arguments[place]
        fields = facts.fields if isinstance(facts, TupleFacts) else ()
        return tuple(f if isinstance(f, TensorFacts) else TensorFacts(NAC) for f in fields)


Forward = Callable[[Site], Facts]
Backward = Callable[[Site, Facts], Sequence[Facts]]
Values = Callable[[Site], Cells]


@dataclass(frozen=True)
class Rule:
    """`forward`: the output's facts. `backward`: from them, what the arguments must be for the
    run to go on. `values`: the output's numbers, where it is a small integer tensor.
    """

    kind: OperatorClass
    forward: Forward
    backward: Backward | None = None
    values: Values | None = None


class Rules(dict[str, Rule]):
    """Rules by operator. A copy takes more of them without a change to the first."""

    def enter(
        self,
        kind: OperatorClass,
        *names: str,
        backward: Backward | None = None,
        values: Values | None = None,
    ) -> Callable[[Forward], Forward]:
        """Enter a forward transfer function under the operators' names, "relax." left out."""

        def entered(forward: Forward) -> Forward:
            self.update({f"relax.{n}": Rule(kind, forward, backward, values) for n in names})
            return forward

        return entered


def rank_of(facts: TensorFacts) -> int | None:
    rank = facts.rank
    return rank.value if isinstance(rank, Known) else None


def unranked(*tensors: TensorFacts) -> TensorFacts | None:
    """The result where an argument has no rank yet, or never: UNDEF or NAC; else None."""
    dims = [t.dims for t in tensors if isinstance(t.dims, NotConstant)]
    if not dims:
        return None
    return TensorFacts(NAC) if NAC in dims else TensorFacts(UNDEF, UNDEF)


def ranked(site: Site, place: int = 0) -> tuple[Element, ...]:
    """The dimensions of an argument whose rank is known."""
    dims = site.tensor(place).dims
    assert not isinstance(dims, NotConstant)
    return dims


def ranked_or_stop(site: Site) -> tuple[Element, ...] | TensorFacts:
    """The first argument's dimensions, or the result where it has no rank."""
    return unranked(site.tensor(0)) or ranked(site)


def axis_of(axis: int, rank: int) -> int:
    return int(axis) + rank if int(axis) < 0 else int(axis)
