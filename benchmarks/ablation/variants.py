"""Plans with a pass left out, made of the compiler's own parts.

Rows: one loop, rings of rows. Layers: one after the other, each value a whole frame; such a plan
is for patches of at most one height, which makes its rings that many rows.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from compiler.plan.formats import FORMATS
from compiler.plan.graph import PathGraph
from compiler.plan.memory import Buffer, MemoryPlan, Size, plan_memory
from compiler.plan.order import Task, least_peak_order
from compiler.plan.path_plan import (
    ALIGN_BYTES,
    ARENA_COLUMNS,
    PathPlan,
    Plane,
    live_buffers,
)
from compiler.plan.row_order import order_steps
from compiler.plan.schedule import (
    RowSchedule,
    readings_of,
    reads_of,
    reordered,
    result_of,
    schedule_rows,
)

Planner = Callable[[Iterable[Buffer]], MemoryPlan]


@dataclass(frozen=True)
class Program:
    """A path to be planned: its graph, and how rows of its values lie, however many are kept."""

    graph: PathGraph
    planes: Mapping[str, Plane]

    @property
    def rows(self) -> dict[str, Size]:
        return {plane.name: plane.row for plane in self.planes.values()}


def shared(buffers: Iterable[Buffer]) -> MemoryPlan:
    """Values that are never alive together may share their place, as in the engine."""
    return plan_memory(buffers, ALIGN_BYTES, ARENA_COLUMNS)


def unshared(buffers: Iterable[Buffer]) -> MemoryPlan:
    """Every value has a place of its own."""
    return shared([replace(buffer, first=0, last=0) for buffer in buffers])


def in_rows(program: Program, planner: Planner) -> PathPlan:
    """All layers in one loop, its steps in the order found by search."""
    schedule = schedule_rows(program.graph)
    return _plan_rows(order_steps(schedule, program.rows), program, planner)


def in_given_order(program: Program, planner: Planner) -> PathPlan:
    """All layers in one loop, its steps in the network's order."""
    return _plan_rows(schedule_rows(program.graph), program, planner)


def _plan_rows(schedule: RowSchedule, program: Program, planner: Planner) -> PathPlan:
    planes = _with_rings(program.planes, schedule.rings)
    return PathPlan(FORMATS["int8"], schedule, planes, planner(live_buffers(schedule, planes)))


def in_layers(program: Program, height_px: int, planner: Planner) -> PathPlan:
    """A loop for each layer, in the order of least peak memory."""
    schedule = schedule_rows(program.graph)
    planes = _whole(program.planes, height_px)
    sizes = {name: plane.size for name, plane in planes.items()}
    order = least_peak_order(_tasks(schedule), sizes)
    assert order is not None  # a network has no circles
    return _plan_layers(reordered(schedule, order.tasks), planes, planner)


def in_given_layers(program: Program, height_px: int, planner: Planner) -> PathPlan:
    """A loop for each layer, in the network's order."""
    return _plan_layers(schedule_rows(program.graph), _whole(program.planes, height_px), planner)


def _plan_layers(schedule: RowSchedule, planes: dict[str, Plane], planner: Planner) -> PathPlan:
    return PathPlan(FORMATS["int8"], schedule, planes, planner(_layer_buffers(schedule, planes)))


def _with_rings(planes: Mapping[str, Plane], rings: Mapping[str, int]) -> dict[str, Plane]:
    return {name: replace(plane, ring=rings.get(name, 1)) for name, plane in planes.items()}


def _whole(planes: Mapping[str, Plane], height_px: int) -> dict[str, Plane]:
    rings = {name: height_px + 2 * p.margin_y for name, p in planes.items()}
    return _with_rings(planes, rings)


def _tasks(schedule: RowSchedule) -> list[Task]:
    """A task a layer: what it reads has to be whole."""
    operations = [step.operation for step in schedule.steps]
    return [Task(result_of(o), frozenset(value for value, _ in reads_of(o))) for o in operations]


def _layer_buffers(schedule: RowSchedule, planes: Mapping[str, Plane]) -> list[Buffer]:
    """A value is alive from the step that makes it to the last one that reads it."""
    buffers: dict[str, Buffer] = {}
    for r in readings_of(schedule.steps):
        first, last = r.producer, r.reader
        if (known := buffers.get(r.value)) is not None:
            first, last = min(first, known.first), max(last, known.last)
        buffers[r.value] = Buffer(r.value, planes[r.value].size, first, last)
    return list(buffers.values())
