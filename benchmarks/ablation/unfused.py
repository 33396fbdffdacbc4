"""Vertical fusion undone: a path whose elementwise steps are passes over memory of their own.

    convolution ─ s32 ─► bias, scale, round, clamp ─ u8 ─► next convolution
    last layer  ─ s32 ─► bias, scale, round, clamp ─ s16 ─► pixel shuffle ─ s16 ─┐
    input ─► bicubic across ─ s16 ─► bicubic down ─ s16 ───────────────────────► sum ─ s16 ─► clamp

A pass is a convolution to the schedule: it reads rows of one value, and perhaps the same row of a
second one. So orders, rings and places come from the compiler's own planner.
"""

from dataclasses import dataclass, replace

from compiler.plan.formats import FORMATS, RowShape
from compiler.plan.graph import (
    ANCHOR_ROWS,
    INPUT,
    Anchor,
    Convolution,
    PathGraph,
    Store,
    Value,
)
from compiler.plan.path_plan import Plane
from player.package.architecture import BLOCK

_SUM_BYTES, _DETAIL_BYTES = 4, 2
_DOWN, _TOTAL = "anchor_down", "total"


@dataclass(frozen=True)
class Pass(Convolution):
    """A step of its own: `op` of plan.h or unfused.h computes a row of it, with the constants of
    the layer `weights`, where it has one."""

    op: str = ""


def unfused_graph(graph: PathGraph) -> PathGraph:
    """The path as passes; `graph` is one of a chain of convolutions with an anchor."""
    passes: list[Convolution] = []
    for layer in graph.convolutions:
        passes += _detail(layer) if layer.result == graph.store.residual else _hidden(layer)
    passes += [
        Pass("", INPUT, ANCHOR_ROWS, 1, op="PSR_ANCHOR"),
        Pass("", ANCHOR_ROWS, _DOWN, 2 * Anchor.NEAR.reach + 1, op="UNFUSED_ANCHOR_DOWN"),
        Pass("", str(graph.store.residual), _TOTAL, 1, adds=_DOWN, op="UNFUSED_ADD"),
    ]
    return replace(
        graph,
        values=graph.values | _new_values(graph),
        convolutions=tuple(passes),
        store=Store(residual=_TOTAL, anchor=Anchor.NONE),
    )


def _hidden(layer: Convolution) -> list[Convolution]:
    name, sums = layer.weights, f"{layer.result}_sums"
    return [
        Pass(name, layer.source, sums, layer.window, op="UNFUSED_SUMS"),
        Pass(name, sums, layer.result, 1, op="UNFUSED_HIDDEN"),
    ]


def _detail(layer: Convolution) -> list[Convolution]:
    name, sums, numbers = layer.weights, f"{layer.result}_sums", f"{layer.result}_numbers"
    return [
        Pass(name, layer.source, sums, layer.window, op="UNFUSED_SUMS"),
        Pass(name, sums, numbers, 1, op="UNFUSED_DETAIL"),
        Pass("", numbers, layer.result, 1, op="UNFUSED_SHUFFLE"),
    ]


def _new_values(graph: PathGraph) -> dict[str, Value]:
    detail = graph.values[str(graph.store.residual)]
    # The engine packs the last layer with a block for each HR row of a pixel.
    padded = replace(detail, channels=graph.side * BLOCK)
    values = [
        replace(graph.values[layer.result], name=f"{layer.result}_sums")
        for layer in graph.convolutions
        if layer.result != detail.name
    ]
    values += [replace(padded, name=f"{detail.name}_{form}") for form in ("sums", "numbers")]
    values.append(Value(ANCHOR_ROWS, detail.channels, Anchor.NEAR.reach))
    values += [replace(detail, name=name) for name in (_DOWN, _TOTAL)]
    return {value.name: value for value in values}


def unfused_planes(graph: PathGraph) -> dict[str, Plane]:
    """How rows of an unfused path's values lie; each of one row, until a schedule says more."""
    planes = [Plane(INPUT, 1, graph.halo, graph.halo, FORMATS["int8"].input(graph.units))]
    for step in graph.convolutions:
        value = graph.values[step.result]
        margin_x = 0 if value.name == ANCHOR_ROWS else value.margin
        planes.append(Plane(value.name, 1, value.margin, margin_x, _shape(step, value, graph)))
    return {plane.name: plane for plane in planes}


def _shape(step: Convolution, value: Value, graph: PathGraph) -> RowShape:
    assert isinstance(step, Pass)
    number_format, blocks = FORMATS["int8"], -(-value.channels // BLOCK)
    match step.op:
        case "UNFUSED_SUMS":
            return RowShape(blocks, BLOCK * _SUM_BYTES)
        case "UNFUSED_HIDDEN":
            return number_format.hidden(value.channels)
        case "UNFUSED_DETAIL":
            return RowShape(blocks, BLOCK * _DETAIL_BYTES)
        case "PSR_ANCHOR":
            return number_format.anchor(graph.units, graph.side)
        case _:
            return number_format.detail(graph.side)
