"""Execution order: the one with the least peak memory (SoD2, ASPLOS 2024, execution planning).

What may have been done at some moment is a *downset* of the graph: a set of tasks that has, with a
task, all that the task needs. Which results are alive then depends on the set alone, not on the
order in which it was done. So the least peak with which a set can be reached follows from the
sets one task smaller, and a table over downsets finds the best of all orders.

A chain of n tasks has n + 1 downsets, k chains side by side have (n + 1)^k. Above BEAM sets of
one count of tasks only the best of them are followed, and the sets that the given order passes
through: the search is then no longer exact, but never worse than the given order.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from compiler.plan.memory import Size

BEAM = 1024  # at most this many sets are kept for each count of tasks
NOTHING = Size(0, 0)


@dataclass(frozen=True)
class Task:
    """An operation as the search sees it; tasks are known by their place in a sequence.

    A value may be made by several tasks, each a part of it. It takes memory from the first of
    them until the last task that reads it is over, or to the end where none does.
    """

    makes: str | None
    reads: frozenset[str] = frozenset()  # values that have to be whole before this begins
    after: frozenset[int] = frozenset()  # tasks that have to be over, though it reads nothing there
    scratch: Size = NOTHING  # needed while the task runs


@dataclass(frozen=True)
class Order:
    """The tasks in the order found, its peak, and whether no order has a lesser one."""

    tasks: tuple[int, ...]
    peak: Size
    is_exact: bool


@dataclass(frozen=True)
class _State:
    """The best known way to have done a set of tasks: its peak, and what is alive behind it."""

    peak: Size
    alive: Size
    tasks: tuple[int, ...]


@dataclass(frozen=True)
class _Value:
    """What makes and what reads it, as bit sets: bit i is task i."""

    size: Size
    makers: int
    readers: int

    def is_alive(self, done: int) -> bool:
        return bool(self.makers & done) and (not self.readers or bool(self.readers & ~done))


@dataclass
class _Search:
    """The graph, and for each task the set of those that come before it."""

    tasks: Sequence[Task]
    values: list[_Value]
    needs: list[int]

    def run(self, task: int, done: int, before: _State) -> _State:
        """What is alive and the peak after `task` has run behind the tasks in `done`."""
        finished = done | 1 << task
        begun, ended = NOTHING, NOTHING
        for value in self.values:
            if not value.makers & done and value.makers >> task & 1:
                begun += value.size
            if value.readers >> task & 1 and not value.is_alive(finished):
                ended += value.size
        within = before.alive + begun
        peak = max(before.peak, within + self.tasks[task].scratch)
        return _State(peak, within - ended, (*before.tasks, task))

    def follow(self, level: dict[int, _State]) -> dict[int, _State]:
        """The sets with one task more, each with its least peak; the first found wins a tie."""
        found: dict[int, _State] = {}
        for done, state in level.items():
            for task, needs in enumerate(self.needs):
                if done >> task & 1 or needs & ~done:
                    continue
                reached, larger = self.run(task, done, state), done | 1 << task
                if larger not in found or reached.peak < found[larger].peak:
                    found[larger] = reached
        return found


def _search(tasks: Sequence[Task], sizes: Mapping[str, Size]) -> _Search:
    makers = {v: _bits(i for i, t in enumerate(tasks) if t.makes == v) for v in sizes}
    readers = {v: _bits(i for i, t in enumerate(tasks) if v in t.reads) for v in sizes}
    values = [_Value(size, makers[v], readers[v]) for v, size in sizes.items()]
    needs = [_bits(t.after) | _union(makers[v] for v in t.reads) for t in tasks]
    return _Search(tasks, values, needs)


def _bits(tasks: Iterable[int]) -> int:
    return _union(1 << task for task in tasks)


def _union(sets: Iterable[int]) -> int:
    return reduce(or_, sets, 0)


def least_peak_order(tasks: Sequence[Task], sizes: Mapping[str, Size]) -> Order | None:
    """The order of least peak memory, with the size of each value that the tasks make and read.

    None where what the tasks need makes a circle.

    Sizes are compared by the term in w first (memory.py). Among equal orders the one that keeps
    most of the given order comes first.
    """
    search = _search(tasks, sizes)
    level = {0: _State(NOTHING, NOTHING, ())}
    is_exact = True
    for count in range(1, len(tasks) + 1):
        level = search.follow(level)
        if not level:
            return None
        if len(level) > BEAM:
            # The best, and the given order's own set: so the result is never worse than that order.
            ranked = sorted(level, key=lambda done: (level[done].peak, level[done].alive))
            kept = {*ranked[:BEAM], (1 << count) - 1}
            level, is_exact = {done: level[done] for done in level if done in kept}, False
    (state,) = level.values()
    return Order(state.tasks, state.peak, is_exact)


def peak_of(tasks: Sequence[Task], sizes: Mapping[str, Size], sequence: Sequence[int]) -> Size:
    """The peak of one order: over all tasks, what is alive while it runs."""
    search, done = _search(tasks, sizes), 0
    state = _State(NOTHING, NOTHING, ())
    for task in sequence:
        state = search.run(task, done, state)
        done |= 1 << task
    return state.peak
