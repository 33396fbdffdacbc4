"""A path's plan: the row schedule, where its rings of rows lie, and how each row is laid out."""

from dataclasses import dataclass

from compiler.compile_error import CompileError
from compiler.plan.formats import NumberFormat, RowShape
from compiler.plan.graph import ANCHOR_HALO, ANCHOR_ROWS, INPUT, PathGraph, Store
from compiler.plan.memory import Buffer, MemoryPlan, Size, plan_memory
from compiler.plan.row_order import order_steps
from compiler.plan.schedule import RowSchedule, readings_of

ALIGN_BYTES = 64  # a cache line, PSR_ALIGN
ARENA_COLUMNS = 16  # places are worked out for a multiple of these columns, PSR_COLUMNS
HR_ROW = "hr_row"  # one row of finished pixels, before it is copied to the frame


@dataclass(frozen=True)
class Plane:
    """A ring of rows, each [blocks][columns][pixel] bytes; columns = w + 2 margin_x + slack."""

    name: str
    ring: int
    margin_y: int
    margin_x: int
    slack_px: int
    shape: RowShape

    @property
    def columns(self) -> Size:
        return Size(1, 2 * self.margin_x + self.slack_px)

    @property
    def row(self) -> Size:
        column_bytes = self.shape.blocks * self.shape.pixel_bytes
        return Size(column_bytes, column_bytes * self.columns.fixed)

    @property
    def size(self) -> Size:
        return Size(self.ring * self.row.per_column, self.ring * self.row.fixed)


@dataclass(frozen=True)
class PathPlan:
    """Everything that the emitter needs of one path."""

    number_format: NumberFormat
    schedule: RowSchedule
    planes: dict[str, Plane]
    memory: MemoryPlan


def plan_path(schedule: RowSchedule, number_format: NumberFormat) -> PathPlan:
    """Order the steps, lay out every value's rows and place them in the arena."""
    rows = {p.name: p.row for p in _planes(schedule, number_format)}
    schedule = order_steps(schedule, rows, scratch=rows[HR_ROW])
    planes = {p.name: p for p in _planes(schedule, number_format)}
    memory = plan_memory(live_buffers(schedule, planes), ALIGN_BYTES, ARENA_COLUMNS)
    return PathPlan(number_format, schedule, planes, memory)


def shuffled_values(graph: PathGraph) -> frozenset[str]:
    """Values in HR order ([dy][dx][colour] in a pixel): the residual, and what is added to it."""
    found = {graph.store.residual} - {None}
    for convolution in reversed(graph.convolutions):
        if convolution.result in found and convolution.adds:
            found.add(convolution.adds)
    for convolution in graph.convolutions:
        if convolution.source in found:
            raise CompileError(
                f"network: {convolution.source} is both an output and a layer's input"
            )
    return frozenset(str(v) for v in found)


def _planes(schedule: RowSchedule, number_format: NumberFormat) -> list[Plane]:
    graph, rings, slack = schedule.graph, schedule.rings, number_format.slack_px
    shuffled = shuffled_values(graph)
    pixels = number_format.input()
    planes = [Plane(INPUT, rings[INPUT], graph.halo, graph.halo, slack, pixels)]
    planes.append(Plane(HR_ROW, 1, 0, 0, slack, number_format.hr_row()))
    if graph.store.anchored:
        shape = number_format.anchor(graph.scale)
        planes.append(Plane(ANCHOR_ROWS, rings[ANCHOR_ROWS], ANCHOR_HALO, 0, slack, shape))
    for convolution in graph.convolutions:
        value = graph.values[convolution.result]
        if value.name in shuffled:
            shape = number_format.detail(value.channels, graph.scale)
        else:
            shape = number_format.hidden(value.channels)
        margins = (value.margin, value.margin)
        planes.append(Plane(value.name, rings[value.name], *margins, slack, shape))
    return planes


def live_buffers(schedule: RowSchedule, planes: dict[str, Plane]) -> list[Buffer]:
    """Of each value the first and the last step of the body that use it, both included."""
    store = next(i for i, s in enumerate(schedule.steps) if isinstance(s.operation, Store))
    lives = {HR_ROW: (store, store)}
    for reading in readings_of(schedule.steps):
        first, last = lives.get(reading.value, (reading.producer, reading.reader))
        first, last = min(first, reading.producer), max(last, reading.reader)
        # A ring lives through the whole body: it carries rows from one step of the loop to the
        # next. A single row lives only until it is read.
        whole = (0, len(schedule.steps) - 1)
        lives[reading.value] = (first, last) if reading.is_same_row else whole
    return [Buffer(name, planes[name].size, *lives[name]) for name in planes]
