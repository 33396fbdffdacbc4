"""Tile fusion by rows: all layers run together, one row each, and keep only the rows still needed.

Step s of the loop loads row s of the input and computes row s - delay of every value:

    s      load row s          -> ring of input rows
    s - 1  first convolution   -> ring of 3 rows
    s - 2  second convolution  -> ring of 3 rows
    ...
    s - D  store               -> r rows of HR pixels

A layer's delay is the least that lets its readers see whole windows. So a network of any depth
needs a few rows a layer: its working set stays in the cache, and no row is computed twice.
"""

from dataclasses import dataclass

from compiler.graph import ANCHOR_HALO, ANCHOR_ROWS, INPUT, Convolution, PathGraph, Store


@dataclass(frozen=True)
class Load:
    """Pixels -> float rows of the input."""


@dataclass(frozen=True)
class AnchorPass:
    """The horizontal half of the bicubic kernel, over one row of the input."""


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
        """Rows between the input's row and the output's: the store's delay."""
        return self.steps[-1].delay


def result_of(operation: Operation) -> str | None:
    """The value that an operation computes; None for the store."""
    match operation:
        case Load():
            return INPUT
        case AnchorPass():
            return ANCHOR_ROWS
        case Convolution(result=result):
            return result
        case _:
            return None


def reads_of(operation: Operation) -> tuple[tuple[str, int], ...]:
    """Pairs of a value and the rows that are read of it on either side of the row computed."""
    match operation:
        case AnchorPass():
            return ((INPUT, 0),)
        case Convolution(source=source, adds=adds, radius=radius):
            return ((source, radius), *(((adds, 0),) if adds else ()))
        case Store(residual=residual, anchored=anchored):
            anchor = ((ANCHOR_ROWS, ANCHOR_HALO),) if anchored else ()
            return (*(((residual, 0),) if residual else ()), *anchor)
        case _:
            return ()


def schedule_rows(graph: PathGraph) -> RowSchedule:
    """As late as possible: only what reads the input late keeps more than its window of rows."""
    anchor = (AnchorPass(),) if graph.store.anchored else ()
    operations: tuple[Operation, ...] = (Load(), *graph.convolutions, *anchor, graph.store)
    lags = _lags(operations)
    depth = -lags[0]
    steps = tuple(Step(o, depth + lag) for o, lag in zip(operations, lags, strict=True))
    return RowSchedule(graph, steps, _rings(steps))


def _lags(operations: tuple[Operation, ...]) -> list[int]:
    """Delays counted back from the store's, which is 0."""
    latest: dict[str, int] = {}
    lags = []
    for operation in reversed(operations):
        lag = latest.get(result_of(operation) or "", 0)
        lags.append(lag)
        for value, radius in reads_of(operation):
            latest[value] = min(latest.get(value, lag - radius), lag - radius)
    return lags[::-1]


def _rings(steps: tuple[Step, ...]) -> dict[str, int]:
    produced = {result_of(s.operation): s.delay for s in steps}
    rings: dict[str, int] = {}
    for step in steps:
        for value, radius in reads_of(step.operation):
            rows = step.delay + radius - produced[value] + 1
            rings[value] = max(rings.get(value, 1), rows)
    return rings
