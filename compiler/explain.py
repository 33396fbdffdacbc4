"""A plan as text, and whether a program is a network of the family that engines play."""

from compiler.compile_error import CompileError
from compiler.plan.graph import INPUT, Anchor, Convolution, PathGraph, network_graph
from compiler.plan.path_plan import PathPlan
from compiler.plan.schedule import AnchorPass, Load, Operation, Store
from player.package.architecture import Architecture
from player.package.package_error import PackageError
from player.package.paths import HARD
from player.package.scale import Scale, parse_scale


def architecture_of(graph: PathGraph) -> Architecture:
    """The network of the family that one path's graph is, as a network of this path alone.

    Raises CompileError, with the limit's name, where it is none.
    """
    layers = graph.convolutions
    channels = [graph.values[layer.result].channels for layer in layers]
    name, widths = "chain", tuple(channels[:-1])
    if any(layer.adds for layer in layers):
        name, widths = "wdsr", (channels[0], channels[1], (len(layers) - 3) // 2)
    elif graph.store.anchor is Anchor.NONE:
        name = "espcn"
    exits = (widths[2] if name == "wdsr" else len(widths),)
    try:
        arch = Architecture(name, _scale(graph), widths, exits, graph.units)
    except PackageError as error:
        raise CompileError(f"network: outside the family: {error}") from error
    if shape_of(network_graph(arch, HARD)) != shape_of(graph):
        raise CompileError(
            "network: outside the family: its layers are not those of a chain, espcn or wdsr "
            "(player/package/architecture.py)"
        )
    return arch


def _scale(graph: PathGraph) -> Scale:
    return parse_scale(graph.side / graph.units)


def shape_of(graph: PathGraph) -> tuple[object, ...]:
    """What two graphs must have in common to be the same network under other names."""
    numbers = {INPUT: 0} | {c.result: i + 1 for i, c in enumerate(graph.convolutions)}
    layers = [
        (
            numbers[c.source],
            numbers[c.adds] if c.adds else None,
            c.window,
            c.relu,
            graph.values[c.result].channels,
        )
        for c in graph.convolutions
    ]
    return (*layers, graph.units, graph.side, graph.halo, graph.store.anchor)


def plan_text(name: str, plan: PathPlan) -> str:
    """A path's plan: the loop over rows, and where its values lie."""
    schedule, arena = plan.schedule, plan.memory.arena
    lines = [
        f"path {name}: halo {schedule.graph.halo}, "
        f"arena {arena.per_column} w + {arena.fixed} bytes",
        f"  for s = -{schedule.graph.halo} .. h + {schedule.depth - 1}:",
        *(f"    row s - {step.delay:<2}  {_step(step.operation)}" for step in schedule.steps),
        "  value            rows  margin  bytes a column  at",
    ]
    for plane in plan.planes.values():
        offset = plan.memory.offsets[plane.name]
        lines.append(
            f"  {plane.name:<16} {plane.ring:>4}  {plane.margin_y:>6}  {plane.row.per_column:>14}  "
            f"{offset.per_column} w + {offset.fixed}"
        )
    return "\n".join(lines)


def _step(operation: Operation) -> str:
    match operation:
        case Load(result=result):
            return f"{result} = load"
        case AnchorPass(source=source):
            return f"anchor = across({source})"
        case Convolution(weights=weights, source=source, result=result, adds=adds, relu=relu):
            total = f"{weights} * {source}" + (f" + {adds}" if adds else "")
            return f"{result} = {f'relu({total})' if relu else total}"
        case Store(residual=residual, anchor=anchor):
            parts = [residual, None if anchor is Anchor.NONE else f"{anchor.name.lower()} anchor"]
            return f"store({' + '.join(part for part in parts if part)})"
