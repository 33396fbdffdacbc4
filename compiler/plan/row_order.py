"""The order of the steps in the row loop's body that needs the least memory.

Two things depend on it. Single rows, made and read within one step of the loop, live for part of
the body only: their peak is what order.py minimises. And of a ring one row less is kept
where everything that reads its oldest row runs before the new row is made; that is a choice of
its own for each such ring, because it forbids orders that the single rows may want. With few
rings to choose for, all choices are tried, so the result is the best of all orders.
"""

from collections.abc import Collection, Mapping
from itertools import chain, combinations

from compiler.plan.graph import ANCHOR_ROWS, PIXELS
from compiler.plan.memory import Size
from compiler.plan.order import NOTHING, Task, least_peak_order, peak_of
from compiler.plan.schedule import RowSchedule, readings_of, reads_of, reordered, result_of

_ANCHORS = (PIXELS, ANCHOR_ROWS)
MOST_CHOICES = 4  # rings whose readers may be put first: 16 searches


def order_steps(schedule: RowSchedule, rows: Mapping[str, Size]) -> RowSchedule:
    """The schedule with its steps in the best order; unchanged where that is as good as any.

    `rows` is the size of one row of each value.
    """
    best, least = schedule, memory_of(schedule, rows)
    late = {value for value in _ring_values(schedule) if _last_readers(schedule, value)}
    early_readers = _early_readers_first(schedule, late)
    if early_readers and memory_of(early_readers, rows) == _floor(early_readers, rows, late):
        return early_readers  # no order needs less, so that none is searched
    sizes = _row_sizes(schedule, rows)
    largest = sorted(late, key=lambda value: (rows[value], value))[-MOST_CHOICES:]
    # Sets of rings that are to lose a row, from none to all that may.
    for early in chain(*(combinations(largest, count) for count in range(len(largest) + 1))):
        order = least_peak_order(_tasks(schedule, early), sizes)
        if order is None:
            continue
        found = reordered(schedule, order.tasks)
        if (needed := memory_of(found, rows)) < least:
            best, least = found, needed
    return best


def _early_readers_first(schedule: RowSchedule, late: Collection[str]) -> RowSchedule | None:
    """All late rings lose a row at once; else the steps stay in their order, the anchor's first.

    None where that makes a circle.
    """
    makers = [result_of(step.operation) for step in schedule.steps]
    tasks = _tasks(schedule, late)
    needs = [t.after | {j for j, made in enumerate(makers) if made in t.reads} for t in tasks]
    order: list[int] = []
    while len(order) < len(tasks):
        ready = [i for i in range(len(tasks)) if i not in order and needs[i] <= {*order}]
        if not ready:
            return None
        # The anchor's steps read nothing that is made in this step of the loop but their own.
        order.append(min(ready, key=lambda i: (makers[i] not in _ANCHORS, i)))
    return reordered(schedule, order)


def _floor(schedule: RowSchedule, rows: Mapping[str, Size], late: Collection[str]) -> Size:
    """What no order can go below: each ring as short as it can be, and the most single rows that
    one step makes and reads."""
    rings, oldest, total = {*_ring_values(schedule)}, dict.fromkeys(rows, 0), NOTHING
    for reading in readings_of(schedule.steps):
        oldest[reading.value] = max(oldest[reading.value], reading.oldest)
    for value in rings:
        kept = oldest[value] + (0 if value in late else 1)
        total = sum((rows[value] for _ in range(kept)), total)
    touched = (
        {result_of(s.operation), *(value for value, _ in reads_of(s.operation))} - {None}
        for s in schedule.steps
    )
    singles = ([rows[str(v)] for v in values if v not in rings] for values in touched)
    return total + max((sum(sizes, NOTHING) for sizes in singles), default=NOTHING)


def memory_of(schedule: RowSchedule, rows: Mapping[str, Size]) -> Size:
    """All rings, and the peak of the single rows: the least that an arena can have."""
    tasks = _tasks(schedule, early=())
    total = peak_of(tasks, _row_sizes(schedule, rows), range(len(tasks)))
    return sum((rows[v] for v in _ring_values(schedule) for _ in range(schedule.rings[v])), total)


def _ring_values(schedule: RowSchedule) -> list[str]:
    readings = readings_of(schedule.steps)
    return sorted({r.value for r in readings if not r.is_same_row})


def _last_readers(schedule: RowSchedule, value: str) -> frozenset[int]:
    """Steps that read the oldest row; none where one of them also reads the newest."""
    readings = [r for r in readings_of(schedule.steps) if r.value == value]
    oldest = max(r.oldest for r in readings)
    last = [r for r in readings if r.oldest == oldest]
    return frozenset(r.reader for r in last if all(r.newest > 0 for r in last))


def _tasks(schedule: RowSchedule, early: Collection[str]) -> list[Task]:
    """A task a step; `early` are the values whose oldest row is read before the new one is made."""
    same_step = [r for r in readings_of(schedule.steps) if r.newest == 0]
    tasks = []
    for i, step in enumerate(schedule.steps):
        value = result_of(step.operation)
        tasks.append(
            Task(
                makes=value,
                reads=frozenset(r.value for r in same_step if r.reader == i),
                after=_last_readers(schedule, value) if value and value in early else frozenset(),
            )
        )
    return tasks


def _row_sizes(schedule: RowSchedule, rows: Mapping[str, Size]) -> dict[str, Size]:
    """Of the values that live for a part of the body; rings take their place for all of it."""
    made = {result_of(step.operation) for step in schedule.steps} - {None}
    rings = set(_ring_values(schedule))
    return {str(v): NOTHING if v in rings else rows[str(v)] for v in made}
