"""A path's plan: the row schedule, where its rings of rows lie, and how each row is laid out."""

from dataclasses import dataclass

from compiler.compile_error import CompileError
from compiler.plan.formats import SLACK, NumberFormat, RowShape
from compiler.plan.graph import ANCHOR_ROWS, INPUT, PIXELS, PathGraph
from compiler.plan.memory import Buffer, MemoryPlan, Size, plan_memory
from compiler.plan.row_order import order_steps
from compiler.plan.schedule import RowSchedule, readings_of, result_of

ALIGN_BYTES = 64  # a cache line, PSR_ALIGN
ARENA_COLUMNS = 16  # places are worked out for a multiple of these columns, PSR_COLUMNS


@dataclass(frozen=True)
class Plane:
    """A ring of rows, each [blocks][columns][place] bytes; columns = w + 2 margin_x + slack."""

    name: str
    ring: int
    margin_y: int
    margin_x: int
    shape: RowShape

    @property
    def columns(self) -> Size:
        return Size(1, 2 * self.margin_x + SLACK)

    @property
    def row(self) -> Size:
        column_bytes = self.shape.blocks * self.shape.pixel_bytes
        return Size(column_bytes, column_bytes * self.columns.fixed)

    @property
    def size(self) -> Size:
        return Size(self.ring * self.row.per_column, self.ring * self.row.fixed)


@dataclass(frozen=True)
class PathPlan:
    """Everything that an engine needs to run one path."""

    number_format: NumberFormat
    schedule: RowSchedule
    planes: dict[str, Plane]
    memory: MemoryPlan


def plan_path(schedule: RowSchedule, number_format: NumberFormat) -> PathPlan:
    """Order the steps, lay out every value's rows and place them in the arena."""
    number_format.check(schedule.graph)
    rows = {p.name: p.row for p in planes_of(schedule, number_format)}
    schedule = order_steps(schedule, rows)
    planes = {p.name: p for p in planes_of(schedule, number_format)}
    memory = plan_memory(live_buffers(schedule, planes), ALIGN_BYTES, ARENA_COLUMNS)
    return PathPlan(number_format, schedule, planes, memory)


def shuffled_values(graph: PathGraph) -> frozenset[str]:
    """Values in HR order ([dy][dx][colour] in a place): the residual, and what is added to it."""
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


def planes_of(schedule: RowSchedule, number_format: NumberFormat) -> list[Plane]:
    """A plane for each value that a step makes, with as many rows as the order of steps needs."""
    graph, rings, shuffled = schedule.graph, schedule.rings, shuffled_values(schedule.graph)
    reach = graph.store.anchor.reach
    # By value: margins in y and x, and the layout of a row.
    layouts = {
        INPUT: (graph.halo, graph.halo, number_format.input(graph.units)),
        PIXELS: (reach, reach, number_format.pixels(graph.units)),
        ANCHOR_ROWS: (reach, 0, number_format.anchor(graph.units, graph.side)),
    }
    for layer in graph.convolutions:
        value = graph.values[layer.result]
        if value.name in shuffled:
            shape = number_format.detail(graph.side)
        else:
            shape = number_format.hidden(value.channels)
        layouts[value.name] = (value.margin, value.margin, shape)
    made = dict.fromkeys(result_of(step.operation) for step in schedule.steps)
    return [Plane(v, rings.get(v, 1), *layouts[v]) for v in made if v is not None]


def live_buffers(schedule: RowSchedule, planes: dict[str, Plane]) -> list[Buffer]:
    """Of each value the first and the last step of the body that use it, both included."""
    lives: dict[str, tuple[int, int]] = {}
    for reading in readings_of(schedule.steps):
        first, last = lives.get(reading.value, (reading.producer, reading.reader))
        first, last = min(first, reading.producer), max(last, reading.reader)
        # A ring lives through the whole body: it carries rows from one step of the loop to the
        # next. A single row lives only until it is read.
        whole = (0, len(schedule.steps) - 1)
        lives[reading.value] = (first, last) if reading.is_same_row else whole
    return [Buffer(name, planes[name].size, *lives[name]) for name in planes]
