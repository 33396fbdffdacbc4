"""Execution order: the one with the least peak memory (SoD2, ASPLOS 2024, execution planning).

What may have been done at some moment is a *downset* of the graph: a set of tasks that has, with a
task, all that the task needs. Which results are alive then depends on the set alone, not on the
order in which it was done. So the least peak with which a set can be reached follows from the
sets one task smaller, and a table over downsets finds the best of all orders.

A chain of n tasks has n + 1 downsets, k chains side by side have (n + 1)^k. Above BEAM sets of
one count of tasks only the best of them are followed, and the sets that the given order passes
through: the search is then no longer exact, but never worse than the given order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from compiler.memory import Size

BEAM = 1024  # at most this many sets are kept for each count of tasks
NOTHING = Size(0, 0)


@dataclass(frozen=True)
class Task:
    """An operation as the search sees it; tasks are known by their place in a sequence.

    The result is alive until the last task that reads it is over, or to the end where none does.
    """

    result: Size
    reads: frozenset[int] = frozenset()
    after: frozenset[int] = frozenset()  # to be over before this begins, though it reads them not
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


@dataclass
class _Search:
    """The graph as bit sets: bit i is task i."""

    tasks: Sequence[Task]
    needs: list[int] = field(init=False)
    reads: list[int] = field(init=False)
    readers: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.reads = [_bits(t.reads) for t in self.tasks]
        self.needs = [_bits(t.reads | t.after) for t in self.tasks]
        self.readers = [
            _bits(j for j, t in enumerate(self.tasks) if i in t.reads)
            for i in range(len(self.tasks))
        ]

    def run(self, task: int, done: int, before: _State) -> _State:
        """What is alive and the peak after `task` has run behind the tasks in `done`."""
        alive = before.alive + self.tasks[task].result
        peak = max(before.peak, alive + self.tasks[task].scratch)
        finished = done | 1 << task
        for other in range(len(self.tasks)):
            if self.reads[task] >> other & 1 and not self.readers[other] & ~finished:
                alive = alive - self.tasks[other].result
        return _State(peak, alive, (*before.tasks, task))

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


def _bits(tasks: "frozenset[int] | Sequence[int]") -> int:
    return sum(1 << t for t in tasks)


def least_peak_order(tasks: Sequence[Task]) -> Order | None:
    """The order of least peak memory; None where what the tasks need makes a circle.

    Sizes are compared by the term in w first (`compiler.memory.Size`). Among equal orders the one
    that keeps most of the given order comes first.
    """
    search = _Search(tasks)
    level = {0: _State(NOTHING, NOTHING, ())}
    is_exact = True
    for count in range(1, len(tasks) + 1):
        level = search.follow(level)
        if not level:
            return None
        if len(level) > BEAM:
            level, is_exact = _best(level, (1 << count) - 1), False
    (state,) = level.values()
    return Order(state.tasks, state.peak, is_exact)


def _best(level: dict[int, _State], given: int) -> dict[int, _State]:
    """The BEAM sets with the least peak and the least alive, and the given order's."""
    ranked = sorted(level, key=lambda done: (level[done].peak, level[done].alive))[:BEAM]
    kept = {*ranked, given} & set(level)
    return {done: level[done] for done in level if done in kept}


def peak_of(tasks: Sequence[Task], sequence: Sequence[int]) -> Size:
    """The peak of one order: over all tasks, what is alive while it runs."""
    search, done = _Search(tasks), 0
    state = _State(NOTHING, NOTHING, ())
    for task in sequence:
        state = search.run(task, done, state)
        done |= 1 << task
    return state.peak
