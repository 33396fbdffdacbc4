"""A path's plan: the row schedule, where its rings of rows lie, and how each row is laid out."""

from dataclasses import dataclass

from compiler.errors import CompileError
from compiler.graph import ANCHOR_HALO, ANCHOR_ROWS, INPUT, PathGraph
from compiler.memory import Buffer, MemoryPlan, Size, plan_memory
from compiler.schedule import RowSchedule, reads_of, result_of

BLOCK = 16  # channels that lie together, PSR_BLOCK in the runtime
ALIGN_FLOATS = 16  # a cache line, PSR_ALIGN
PIXEL = 4  # floats of an input pixel, PSR_PIXEL
SLACK_PX = 4  # columns behind a row, for the last tile of a convolution to run over into
HR_ROW = "hr_row"  # one row of finished pixels, before it is copied to the frame


@dataclass(frozen=True)
class Plane:
    """A ring of rows, each [blocks][columns][pixel] floats; columns = w + 2 margin_x + slack."""

    name: str
    ring: int
    margin_y: int
    margin_x: int
    blocks: int
    pixel: int

    @property
    def columns(self) -> Size:
        return Size(1, 2 * self.margin_x + SLACK_PX)

    @property
    def row(self) -> Size:
        floats = self.blocks * self.pixel
        return Size(floats, floats * self.columns.fixed)

    @property
    def size(self) -> Size:
        return Size(self.ring * self.row.per_column, self.ring * self.row.fixed)


@dataclass(frozen=True)
class PathPlan:
    """Everything that the emitter needs of one path."""

    schedule: RowSchedule
    planes: dict[str, Plane]
    memory: MemoryPlan


def plan_path(schedule: RowSchedule) -> PathPlan:
    """Lay out every value's rows and place them in the arena."""
    planes = {p.name: p for p in _planes(schedule)}
    memory = plan_memory(live_buffers(schedule, planes), ALIGN_FLOATS)
    return PathPlan(schedule, planes, memory)


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


def _planes(schedule: RowSchedule) -> list[Plane]:
    graph, rings = schedule.graph, schedule.rings
    shuffled = shuffled_values(graph)
    planes = [Plane(INPUT, rings[INPUT], graph.halo, graph.halo, 1, PIXEL)]
    planes.append(Plane(HR_ROW, 1, 0, 0, 1, PIXEL))
    if graph.store.anchored:
        planes.append(Plane(ANCHOR_ROWS, rings[ANCHOR_ROWS], ANCHOR_HALO, 0, 1, BLOCK))
    for convolution in graph.convolutions:
        value = graph.values[convolution.result]
        blocks = -(-value.channels // BLOCK)
        shape = (1, blocks * BLOCK) if value.name in shuffled else (blocks, BLOCK)
        planes.append(Plane(value.name, rings[value.name], value.margin, value.margin, *shape))
    return planes


def live_buffers(schedule: RowSchedule, planes: dict[str, Plane]) -> list[Buffer]:
    """A ring of several rows lives through the whole body; a single row only until it is read."""
    end = len(schedule.steps) - 1
    lives = {HR_ROW: (end, end)}
    for i, step in enumerate(schedule.steps):
        name = result_of(step.operation)
        if name is not None:
            lives[name] = (i, i) if schedule.rings[name] == 1 else (0, end)
        for value, _ in reads_of(step.operation):
            first, last = lives[value]
            lives[value] = (first, max(last, i))
    return [Buffer(name, planes[name].size, *lives[name]) for name in planes]
