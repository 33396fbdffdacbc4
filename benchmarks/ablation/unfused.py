"""Vertical fusion undone: a path whose elementwise steps are passes over memory of their own.

    convolution ─ s32 ─► bias, scale, round, clamp ─ u8 ─► next convolution
    last layer  ─ s32 ─► bias, scale, round, clamp ─ s16 ─► pixel shuffle ─ s16 ─┐
    input ─► bicubic across ─ s16 ─► bicubic down ─ s16 ───────────────────────► sum ─ s16 ─► clamp

A pass is a convolution to the schedule: it reads rows of one value, and perhaps the same row of a
second one. So orders, rings and places come from the compiler's own planner.
"""

from dataclasses import dataclass, replace

from compiler.plan.formats import Int8, RowShape
from compiler.plan.graph import (
    ANCHOR_HALO,
    ANCHOR_ROWS,
    INPUT,
    Convolution,
    PathGraph,
    Store,
    Value,
)
from compiler.plan.path_plan import HR_ROW, Plane
from player.package.architecture import BLOCK

_SUM_BYTES, _DETAIL_BYTES = 4, 2
_DOWN, _TOTAL = "anchor_down", "total"


@dataclass(frozen=True)
class Pass(Convolution):
    """A step of its own: `function` of unfused.h computes a row of it."""

    function: str = ""

    def call(self, number: int | None, row: str) -> str:
        """C: `number` is that of the layer whose constants it takes."""
        layer = [] if number is None else [str(number)]
        values = [f"&{v}" for v in (self.source, self.adds, self.result) if v]
        return f"{self.function}({', '.join(['io', *layer, *values, row])});"


def unfused_graph(graph: PathGraph) -> PathGraph:
    """The path as passes; `graph` is one of a chain of convolutions with an anchor."""
    passes: list[Convolution] = []
    for layer in graph.convolutions:
        passes += _detail(layer) if layer.result == graph.store.residual else _hidden(layer)
    passes += [
        Pass("", INPUT, ANCHOR_ROWS, 1, function="psr_anchor"),
        Pass("", ANCHOR_ROWS, _DOWN, 2 * ANCHOR_HALO + 1, function="unfused_anchor_down"),
        Pass("", str(graph.store.residual), _TOTAL, 1, adds=_DOWN, function="unfused_add"),
    ]
    return replace(
        graph,
        values=graph.values | _new_values(graph),
        convolutions=tuple(passes),
        store=Store(residual=_TOTAL, anchored=False),
    )


def _hidden(layer: Convolution) -> list[Convolution]:
    name, sums = layer.weights, f"{layer.result}_sums"
    return [
        Pass(name, layer.source, sums, layer.window, function="unfused_sums"),
        Pass(name, sums, layer.result, 1, function="unfused_requantise"),
    ]


def _detail(layer: Convolution) -> list[Convolution]:
    name, sums, numbers = layer.weights, f"{layer.result}_sums", f"{layer.result}_numbers"
    return [
        Pass(name, layer.source, sums, layer.window, function="unfused_sums"),
        Pass(name, sums, numbers, 1, function="unfused_requantise_detail"),
        Pass("", numbers, layer.result, 1, function="unfused_shuffle"),
    ]


def _new_values(graph: PathGraph) -> dict[str, Value]:
    detail = graph.values[str(graph.store.residual)]
    values = [
        replace(graph.values[layer.result], name=f"{layer.result}_sums")
        for layer in graph.convolutions
    ]
    values.append(replace(detail, name=f"{detail.name}_numbers"))
    values.append(Value(ANCHOR_ROWS, detail.channels, ANCHOR_HALO))
    values += [replace(detail, name=name) for name in (_DOWN, _TOTAL)]
    return {value.name: value for value in values}


def unfused_planes(graph: PathGraph) -> dict[str, Plane]:
    """How rows of an unfused path's values lie; each of one row, until a schedule says more."""
    number_format = Int8()
    slack, scale = number_format.slack_px, graph.scale
    planes = [
        Plane(INPUT, 1, graph.halo, graph.halo, slack, number_format.input()),
        Plane(HR_ROW, 1, 0, 0, slack, number_format.hr_row()),
    ]
    for step in graph.convolutions:
        value = graph.values[step.result]
        margin_x = 0 if value.name == ANCHOR_ROWS else value.margin
        shape = _shape(step, value, scale, number_format)
        planes.append(Plane(value.name, 1, value.margin, margin_x, slack, shape))
    return {plane.name: plane for plane in planes}


def _shape(step: Convolution, value: Value, scale: int, number_format: Int8) -> RowShape:
    assert isinstance(step, Pass)
    blocks = -(-value.channels // BLOCK)
    match step.function:
        case "unfused_sums":
            return RowShape(blocks, BLOCK * _SUM_BYTES)
        case "unfused_requantise":
            return number_format.hidden(value.channels)
        case "unfused_requantise_detail":
            return RowShape(blocks, BLOCK * _DETAIL_BYTES)
        case "psr_anchor":
            return number_format.anchor(scale)
        case _:
            return number_format.detail(value.channels, scale)
