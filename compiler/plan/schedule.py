"""Tile fusion by rows: all layers run together, one row each, and keep only the rows still needed.

Step s of the loop loads row s of the input and computes row s - delay of every value:

    s      load row s          -> ring of input rows
    s - 1  first convolution   -> ring of 3 rows
    s - 2  second convolution  -> ring of 3 rows
    ...
    s - D  store               -> r rows of HR pixels

A layer's delay is the least that lets its readers see whole windows. So a network of any depth
needs a few rows a layer: its working set stays in the cache, and no row is computed twice.

The order of the steps in the body is free where a reader wants only rows of earlier steps of the
loop; row_order.py chooses it. Of a value read before its new row is made, one row less is
kept: the row that the reader sees for the last time gives its place to the new one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from compiler.plan.graph import (
    ANCHOR_ROWS,
    INPUT,
    PIXELS,
    Anchor,
    Convolution,
    PathGraph,
    Store,
)


@dataclass(frozen=True)
class Load:
    """LR pixels -> a row of places of the input, or of PIXELS."""

    result: str = INPUT


@dataclass(frozen=True)
class AnchorPass:
    """The horizontal half of the bicubic kernel, over one row of its source."""

    source: str = INPUT


Operation = Load | AnchorPass | Convolution | Store


@dataclass(frozen=True)
class Step:
    """At step s of the loop, `operation` computes row s - delay."""

    operation: Operation
    delay: int


@dataclass(frozen=True)
class RowSchedule:
    """Steps in the order of the loop's body; `rings` says how many rows of a value are kept."""

    graph: PathGraph
    steps: tuple[Step, ...]
    rings: dict[str, int]

    @property
    def depth(self) -> int:
        """Rows between the input's row and the output's: the store's delay, the longest."""
        return max(step.delay for step in self.steps)


def result_of(operation: Operation) -> str | None:
    """The value that an operation computes; None for the store."""
    match operation:
        case Load(result=result):
            return result
        case AnchorPass():
            return ANCHOR_ROWS
        case Convolution(result=result):
            return result
        case _:
            return None


def reads_of(operation: Operation) -> tuple[tuple[str, int], ...]:
    """Pairs of a value and the rows that are read of it on either side of the row computed."""
    match operation:
        case AnchorPass(source=source):
            return ((source, 0),)
        case Convolution(source=source, adds=adds, radius=radius):
            return ((source, radius), *(((adds, 0),) if adds else ()))
        case Store(residual=residual, anchor=anchor):
            rows = ((ANCHOR_ROWS, anchor.reach),) if anchor.source else ()
            return (*(((residual, 0),) if residual else ()), *rows)
        case _:
            return ()


def schedule_rows(graph: PathGraph) -> RowSchedule:
    """As late as possible: only what reads the input late keeps more than its window of rows."""
    anchor = _anchor_operations(graph.store.anchor)
    operations: tuple[Operation, ...] = (Load(), *graph.convolutions, *anchor, graph.store)
    if not graph.convolutions and graph.store.anchor is not Anchor.NEAR:
        operations = (*anchor, graph.store)  # nothing reads the input
    latest: dict[str, int] = {}
    lags: list[int] = []  # delays counted back from the store's, which is 0
    for operation in reversed(operations):
        lag = latest.get(result_of(operation) or "", 0)
        lags.append(lag)
        for value, radius in reads_of(operation):
            latest[value] = min(latest.get(value, lag - radius), lag - radius)
    lags.reverse()
    earliest = min(lags)
    steps = tuple(Step(o, lag - earliest) for o, lag in zip(operations, lags, strict=True))
    return RowSchedule(graph, steps, _rings(steps))


def _anchor_operations(anchor: Anchor) -> tuple[Operation, ...]:
    if anchor is Anchor.WIDE:
        return (Load(PIXELS), AnchorPass(PIXELS))
    return (AnchorPass(),) if anchor is Anchor.NEAR else ()


def reordered(schedule: RowSchedule, order: Sequence[int]) -> RowSchedule:
    """The steps in another order of the body, and the rows to keep that follow from it."""
    steps = tuple(schedule.steps[i] for i in order)
    return RowSchedule(schedule.graph, steps, _rings(steps))


@dataclass(frozen=True)
class Reading:
    """A step of the body that reads a value, and the step that makes the value."""

    value: str
    producer: int
    reader: int
    newest: int  # the newest row that is read was made that many steps of the loop ago
    oldest: int  # and the oldest one that many

    @property
    def is_same_row(self) -> bool:
        """Nothing but the row made in this step of the loop is read."""
        return self.newest == self.oldest == 0


def readings_of(steps: Sequence[Step]) -> list[Reading]:
    """All pairs of a step and a step that makes a value for it; exits make parts of one value."""
    makers: dict[str | None, list[int]] = {}
    for i, step in enumerate(steps):
        makers.setdefault(result_of(step.operation), []).append(i)
    found = []
    for reader, step in enumerate(steps):
        for value, radius in reads_of(step.operation):
            for producer in makers.get(value, ()):
                lag = step.delay - steps[producer].delay
                found.append(Reading(value, producer, reader, lag - radius, lag + radius))
    return found


def _rings(steps: Sequence[Step]) -> dict[str, int]:
    readings: dict[str, list[Reading]] = {}
    for reading in readings_of(steps):
        readings.setdefault(reading.value, []).append(reading)
    return {value: rows_kept(of_it) for value, of_it in readings.items()}


def rows_kept(readings: Sequence[Reading]) -> int:
    """Rows of a value that these readings of it need."""
    # Of a reader before the producer the oldest row gives its place to the new one.
    return max(1, *(r.oldest + (1 if r.producer < r.reader else 0) for r in readings))
