"""The static memory plan: an offset for every buffer, as a formula of the patch's width.

Sizes are `per_column * w + fixed`, so which of two buffers is larger may depend on w. The planner
needs no answer: buffers that are never alive together share a slot, and a slot is as large as
the larger of each coefficient, which bounds them all for every w. Height does not appear: the
row schedule keeps a fixed number of rows of everything.

The planner doesn't ask what is counted: sizes, offsets and the alignment are in one unit, which the
caller chooses.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """per_column * w + fixed, in the plan's unit."""

    per_column: int
    fixed: int

    def __add__(self, other: "Size") -> "Size":
        return Size(self.per_column + other.per_column, self.fixed + other.fixed)

    def at(self, width: int) -> int:
        """The number for a patch of that width."""
        return self.per_column * width + self.fixed

    def aligned(self, alignment: int) -> "Size":
        """Both coefficients rounded up, so that a sum of such sizes is aligned for every w."""
        return Size(_round_up(self.per_column, alignment), _round_up(self.fixed, alignment))

    def covering(self, other: "Size") -> "Size":
        """A size that is never less than either."""
        return Size(max(self.per_column, other.per_column), max(self.fixed, other.fixed))


def _round_up(number: int, alignment: int) -> int:
    return -(-number // alignment) * alignment


@dataclass(frozen=True)
class Buffer:
    """Memory that is in use from step `first` to step `last` of the loop's body, both included."""

    name: str
    size: Size
    first: int
    last: int

    def is_alive_with(self, other: "Buffer") -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class MemoryPlan:
    """Offsets of the buffers in the arena, and its size."""

    offsets: dict[str, Size]
    arena: Size


def plan_memory(buffers: Iterable[Buffer], alignment: int) -> MemoryPlan:
    """Greedy by size: the largest first, each into the first slot that is free while it lives.

    Every offset is a multiple of `alignment`, whatever w.
    """
    slots: list[list[Buffer]] = []
    for buffer in sorted(buffers, key=lambda b: (-b.size.per_column, -b.size.fixed, b.name)):
        free = (s for s in slots if not any(buffer.is_alive_with(other) for other in s))
        slot = next(free, None)
        if slot is None:
            slots.append(slot := [])
        slot.append(buffer)
    return _lay_out(slots, alignment)


def _lay_out(slots: list[list[Buffer]], alignment: int) -> MemoryPlan:
    offsets: dict[str, Size] = {}
    end = Size(0, 0)
    for slot in slots:
        offsets |= {buffer.name: end for buffer in slot}
        size = Size(0, 0)
        for buffer in slot:
            size = size.covering(buffer.size.aligned(alignment))
        end += size
    return MemoryPlan(offsets, end)
