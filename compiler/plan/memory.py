"""The static memory plan: an offset for every buffer, as a formula of the patch's width.

Sizes are `per_column * w + fixed`, so which of two buffers is larger may depend on w. A plan needs
no answer: a buffer lies above all that are placed before it and live with it, at the larger of
each coefficient of their ends, which is above them for every w. So a plan is an order of the
buffers, and planning is a search for a good one. Height does not appear: the row schedule keeps
a fixed number of rows of everything.

The planner doesn't ask what is counted: sizes, offsets and the alignment are in one unit, which the
caller chooses.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import permutations
from math import gcd

MOST_TRIED = 5  # buffers, of which all orders are tried: 120


@dataclass(frozen=True, order=True)
class Size:
    """per_column * w + fixed, in the plan's unit.

    Compared by per_column, then by fixed: the order for every w that is large enough, and the
    arena matters where w is large. It is total and keeps a < b => a + c < b + c, which a search
    needs. Where a plan must hold for every w, `covering` and `fits` are used instead.
    """

    per_column: int
    fixed: int

    def __add__(self, other: "Size") -> "Size":
        return Size(self.per_column + other.per_column, self.fixed + other.fixed)

    def __sub__(self, other: "Size") -> "Size":
        return Size(self.per_column - other.per_column, self.fixed - other.fixed)

    def at(self, width: int) -> int:
        """The number for a patch of that width."""
        return self.per_column * width + self.fixed

    def aligned(self, grain: "Size") -> "Size":
        """Each coefficient rounded up to a multiple of the grain's; so are sums of such sizes."""
        return Size(
            _round_up(self.per_column, grain.per_column), _round_up(self.fixed, grain.fixed)
        )

    def covering(self, other: "Size") -> "Size":
        """A size that is never less than either."""
        return Size(max(self.per_column, other.per_column), max(self.fixed, other.fixed))

    def fits(self, other: "Size") -> bool:
        """Not more than the other, whatever w."""
        return self.per_column <= other.per_column and self.fixed <= other.fixed


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


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


def plan_memory(buffers: Iterable[Buffer], alignment: int, columns: int = 1) -> MemoryPlan:
    """The smallest arena found: never larger than with slots, and the least one of a few buffers.

    Every offset is a multiple of `alignment`, whatever w. Where w is always a multiple of
    `columns`, less padding does that: a column need not be aligned by itself.
    """
    grain = Size(alignment // gcd(alignment, columns), alignment)
    aligned = [replace(b, size=b.size.aligned(grain)) for b in buffers]
    bound = least_arena(aligned)
    # What dies last lies lowest: the same order whatever the sizes, and in a chain the best one,
    # so that the plans of a whole family are one formula of the widths (plan/family.py).
    plan = _stack(sorted(aligned, key=lambda b: (-b.last, b.first)))
    if plan.arena == bound:
        return plan
    order, limit = _slots(aligned)
    for search in (_reinsert, _try_all):
        if (plan := _stack(order)).arena > bound:
            order = search(order, limit)
            plan = _stack(order)
    return plan


def least_arena(buffers: Sequence[Buffer]) -> Size:
    """A lower bound: the most that is alive at once."""
    steps = {b.first for b in buffers}
    alive = (_sum(b.size for b in buffers if b.first <= step <= b.last) for step in steps)
    return max(alive, default=Size(0, 0))


def _stack(order: Iterable[Buffer]) -> MemoryPlan:
    """Each buffer as low as it can lie above those placed before it that live with it.

    Every plan without overlaps is at least as large as the stack of its buffers in the order of
    their offsets, so a search over orders misses nothing.
    """
    placed: list[tuple[Buffer, Size]] = []
    arena = Size(0, 0)
    for buffer in order:
        offset = Size(0, 0)
        for other, end in placed:
            if buffer.is_alive_with(other):
                offset = offset.covering(end)
        placed.append((buffer, offset + buffer.size))
        arena = arena.covering(offset + buffer.size)
    return MemoryPlan({b.name: end - b.size for b, end in placed}, arena)


def _slots(buffers: Iterable[Buffer]) -> tuple[list[Buffer], Size]:
    """The order by slots, and the slots' size; the largest first, each into the first free slot.

    A slot takes the larger of each coefficient, and buffers in one slot are never alive together.
    Stacked in this order, nothing lies higher than in its slot.
    """
    slots: list[list[Buffer]] = []
    for buffer in sorted(buffers, key=lambda b: (b.size, b.name), reverse=True):
        free = (s for s in slots if not any(buffer.is_alive_with(other) for other in s))
        slot = next(free, None)
        if slot is None:
            slots.append(slot := [])
        slot.append(buffer)
    heights = (reduce(Size.covering, (b.size for b in slot)) for slot in slots)
    return [b for slot in slots for b in slot], _sum(heights)


def _reinsert(order: list[Buffer], limit: Size) -> list[Buffer]:
    """Take one buffer out and put it in elsewhere, as long as that makes the arena smaller."""
    least = _stack(order).arena
    moved = True
    while moved:
        moved = False
        rests = [(buffer, [b for b in order if b is not buffer]) for buffer in order]
        for candidate in ([*r[:i], b, *r[i:]] for b, r in rests for i in range(len(order))):
            arena = _stack(candidate).arena
            if arena < least and arena.fits(limit):
                order, least, moved = candidate, arena, True
                break
    return order


def _try_all(order: list[Buffer], limit: Size) -> list[Buffer]:
    """The best of all orders, where there are few. What meets all others may lie at the bottom."""
    common = [b for b in order if all(b.is_alive_with(other) for other in order)]
    others = [b for b in order if b not in common]
    if len(others) > MOST_TRIED:
        return order
    orders = ([*common, *tail] for tail in permutations(others))
    within = (o for o in orders if _stack(o).arena.fits(limit))
    return min(within, key=lambda o: _stack(o).arena, default=order)


def _sum(sizes: Iterable[Size]) -> Size:
    return reduce(Size.__add__, sizes, Size(0, 0))
