"""The family: what plans of networks share that differ in widths, units and exits alone.

A *structure* is an architecture's kind, its depth and its anchor. The pipeline plans each of them
with an exit behind every layer; a network takes the steps of the exits that it has. Which rows a
value keeps, in which order steps run and values are placed does not depend on widths: a chain's
rings lie one above the other, and above them the few single rows, what dies last the lowest. So a
structure is a few small numbers a value and a step, and only sizes are left to be worked out when
a network is opened (runtime/plan.c). tests/compiler/test_family.py holds both sides equal.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from compiler.compile_error import CompileError
from compiler.plan.formats import NumberFormat
from compiler.plan.graph import (
    ANCHOR_ROWS,
    INPUT,
    PIXELS,
    Anchor,
    Convolution,
    PathGraph,
    Store,
    bicubic_graph,
    merged_graph,
    network_graph,
)
from compiler.plan.path_plan import PathPlan, live_buffers, plan_path, shuffled_values
from compiler.plan.schedule import (
    Operation,
    Step,
    readings_of,
    reads_of,
    result_of,
    rows_kept,
    schedule_rows,
)
from player.package.architecture import Architecture, convolutions
from player.package.limits import MAX_BLOCKS, MAX_DEPTH
from player.package.paths import HARD

NO_NETWORK = ""
_WIDTH = 16  # of the networks that stand for their structures
_EXIT = "exit at "


@dataclass(frozen=True)
class ValueRow:
    """A value: margins in y and x, rows kept without and with the exit at depth `exit`."""

    name: str
    kind: str  # input, pixels, anchor, hidden or shuffled
    conv: int
    margins: tuple[int, int]
    ring: int
    exit: int
    exit_ring: int
    is_single: bool


@dataclass(frozen=True)
class StepRow:
    """A step: `conv` counts in the blob's order; values by their place in the structure."""

    operation: Operation
    conv: int
    exit: int  # depth at which this exit leaves the trunk; 0: every network has the step
    source: int | None
    adds: int | None
    result: int | None
    delay: int


@dataclass(frozen=True)
class Structure:
    """What the networks of a kind, depth and anchor have in common."""

    kind: str
    depth: int
    anchor: Anchor
    halo: int
    rows: int
    values: tuple[ValueRow, ...]
    steps: tuple[StepRow, ...]


def family(number_format: NumberFormat) -> Iterator[Structure]:
    """Every structure that an engine of this format plays."""
    for scale, units in ((1, 1), (2, 1), (2, 2)):
        none = Architecture("chain", scale, (_WIDTH,), (1,), units)
        yield _structure(NO_NETWORK, 0, number_format, bicubic_graph(none))
        for depth in range(1, MAX_DEPTH + 1):
            graph = _chain_with_all_exits(depth, scale, units)
            yield _structure("chain", depth, number_format, graph)
    for depth in range(1, MAX_DEPTH + 1):
        arch = Architecture("espcn", 2, (_WIDTH,) * depth, (depth,))
        yield _structure("espcn", depth, number_format, _single(arch))
    for blocks in range(1, MAX_BLOCKS + 1) if number_format.name == "fp32" else ():
        arch = Architecture("wdsr", 2, (_WIDTH, _WIDTH, blocks), (blocks,))
        yield _structure("wdsr", blocks, number_format, _single(arch))


def _single(arch: Architecture) -> PathGraph:
    """A static network, its layers named by their number in the blob."""
    graph = merged_graph([network_graph(arch, HARD)])
    numbers = {name: i for i, (name, _) in enumerate(convolutions(arch))}
    layers = tuple(replace(c, weights=str(numbers[c.weights])) for c in graph.convolutions)
    return replace(graph, convolutions=layers)


def _chain_with_all_exits(depth: int, scale: int, units: int) -> PathGraph:
    paths = []
    for leaves in range(1, depth + 1):
        arch = Architecture("chain", scale, (_WIDTH,) * leaves, (leaves,), units)
        graph = network_graph(arch, HARD)
        *trunk, last = graph.convolutions
        numbered = [replace(c, weights=str(i)) for i, c in enumerate(trunk)]
        exit_ = replace(last, weights=f"{_EXIT}{leaves}", result=f"exit_{leaves}")
        values = dict(graph.values)
        values[exit_.result] = replace(values.pop(last.result), name=exit_.result)
        store = Store(exit_.result, graph.store.anchor)
        paths.append(replace(graph, values=values, convolutions=(*numbered, exit_), store=store))
    return merged_graph(paths)


def _structure(kind: str, depth: int, number_format: NumberFormat, graph: PathGraph) -> Structure:
    plan = plan_path(schedule_rows(graph), number_format)
    lives = {b.name: (-b.last, b.first) for b in live_buffers(plan.schedule, plan.planes)}
    names = sorted(lives, key=lambda name: lives[name])  # as memory.py places them
    values = tuple(_value_row(plan, name) for name in names)
    steps = tuple(_step_row(step, names) for step in plan.schedule.steps)
    rows = plan.schedule.depth
    return Structure(kind, depth, graph.store.anchor, graph.halo, rows, values, steps)


def _value_row(plan: PathPlan, name: str) -> ValueRow:
    steps, plane = plan.schedule.steps, plan.planes[name]
    readings = [r for r in readings_of(steps) if r.value == name]
    exits = {_numbers(steps[r.reader].operation)[1] for r in readings} - {0}
    makers = [s.operation for s in steps if result_of(s.operation) == name]
    others = [r for r in readings if not _numbers(steps[r.reader].operation)[1]]
    if len(exits) > 1:
        raise CompileError(f"family: {name} is read by exits at {sorted(exits)}")
    return ValueRow(
        name=name,
        kind=kind_of(plan.schedule.graph, name),
        conv=_numbers(makers[0])[0],
        margins=(plane.margin_y, plane.margin_x),
        ring=rows_kept(others or readings),
        exit=exits.pop() if exits else 0,
        exit_ring=plane.ring,
        is_single=all(r.is_same_row for r in readings),
    )


def operands_of(operation: Operation) -> tuple[str | None, str | None]:
    """The value that a step reads, and the one that it adds."""
    if isinstance(operation, Store):
        # A path without a network has an anchor alone.
        return operation.residual, ANCHOR_ROWS if operation.anchor.source else None
    source, adds = [*(value for value, _ in reads_of(operation)), None, None][:2]
    return source, adds


def kind_of(graph: PathGraph, name: str) -> str:
    """What a value is: input, pixels, anchor, hidden or shuffled."""
    if name in (INPUT, PIXELS, ANCHOR_ROWS):
        return name
    return "shuffled" if name in shuffled_values(graph) else "hidden"


def _numbers(operation: Operation) -> tuple[int, int]:
    """The number of a convolution in the blob, and the depth of an exit; else 0."""
    if not isinstance(operation, Convolution):
        return 0, 0
    if operation.weights.startswith(_EXIT):
        return 0, int(operation.weights.removeprefix(_EXIT))
    return int(operation.weights), 0


def _step_row(step: Step, names: list[str]) -> StepRow:
    operation = step.operation
    conv, exit_ = _numbers(operation)
    source, adds = operands_of(operation)
    result = result_of(operation)
    return StepRow(
        operation=operation,
        conv=conv,
        exit=exit_,
        source=names.index(source) if source else None,
        adds=names.index(adds) if adds else None,
        result=names.index(result) if result else None,
        delay=step.delay,
    )
