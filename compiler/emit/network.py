"""A plan as readable C: for each architecture a function a path, and the tables it is found by."""

from dataclasses import dataclass

from compiler.kernels.tiles import c_numbers
from compiler.plan.graph import ANCHOR_ROWS, INPUT, Convolution, Store
from compiler.plan.memory import Size
from compiler.plan.path_plan import HR_ROW, PathPlan, Plane, shuffled_values
from compiler.plan.schedule import AnchorPass, Load, Operation
from player.package.architecture import ARCHITECTURE_IDS, Architecture, tensor_layout
from player.package.paths import PATH_NAMES

ALL_PATHS = "all"  # the plan that runs every path in one loop
_WEIGHT = ".weight"


@dataclass(frozen=True)
class PlannedNetwork:
    """An architecture with its plans: bicubic, those of its own paths, and ALL_PATHS."""

    arch: Architecture
    plans: dict[str, PathPlan]

    @property
    def symbol(self) -> str:
        """The network's name in C: chain_x4_32_32_e2."""
        widths = "_".join(str(w) for w in self.arch.widths)
        exits = "_".join(str(e) for e in self.arch.exits)
        return f"{self.arch.name}_x{self.arch.scale}_{widths}_e{exits}"

    @property
    def layers(self) -> dict[str, tuple[int, ...]]:
        """Convolutions in the order of the blob: name -> shape of the weights [O, I, k, k]."""
        specs = tensor_layout(self.arch)
        return {s.name.removesuffix(_WEIGHT): s.shape for s in specs if s.name.endswith(_WEIGHT)}

    def reach(self, layer: str) -> tuple[int, ...]:
        """For each path of PATH_NAMES, how far beyond a patch it reads a layer; -1: not at all."""
        found = []
        for path in PATH_NAMES:
            graph = self.plans[path].schedule.graph if path in self.plans else None
            layers = {c.weights: c.result for c in graph.convolutions} if graph else {}
            found.append(graph.values[layers[layer]].margin if graph and layer in layers else -1)
        return tuple(found)


def emit_network(network: PlannedNetwork) -> str:
    """The C file of one architecture."""
    plans = (*PATH_NAMES, ALL_PATHS)
    functions = [emit_path(network, path) for path in plans if path in network.plans]
    return "\n".join(
        ['#include <math.h>\n\n#include "kernels.h"\n', *functions, network_tables(network)]
    )


def emit_path(network: PlannedNetwork, path: str) -> str:
    """One path: its planes as formulas of w, then a loop over rows."""
    plan, arch = network.plans[path], network.arch
    graph, depth = plan.schedule.graph, plan.schedule.depth
    planes = [plane_text(p, plan.memory.offsets[p.name]) for p in plan.planes.values()]
    calls = [
        step_call(network, plan, s.operation, f"s - {s.delay}" if s.delay else "s")
        for s in plan.schedule.steps
    ]
    lines = [
        f"/* {arch.name} x{arch.scale}, path {path}: halo {graph.halo} pixels.",
        f" * Arena: {_c_size(plan.memory.arena, 'columns')} bytes. */",
        f"static void {network.symbol}_{path}(const psr_io *io, uint8_t *arena) {{",
        "    const int32_t w = io->w, columns = psr_columns(w);",
        "    /* data, rows kept, margins y and x; bytes of a row, a pixel, a block */",
        *(f"    {plane}" for plane in planes),
        f"    for (int32_t s = -{graph.halo}; s < io->h + {depth}; ++s) {{",
        *(f"        {call}" for call in calls),
        "    }",
        "}",
        "",
    ]
    return "\n".join(lines)


def _c_size(size: Size, width: str) -> str:
    return f"{size.per_column} * {width} + {size.fixed}"


def plane_text(plane: Plane, offset: Size) -> str:
    """The C definition of a value's plane."""
    pixel = plane.shape.pixel_bytes
    block = f"{pixel} * (w + {plane.columns.fixed})" if plane.shape.blocks > 1 else "64"
    numbers = (
        f"arena + ({_c_size(offset, 'columns')})",
        str(plane.ring),
        str(plane.margin_y),
        str(plane.margin_x),
        _c_size(plane.row, "w"),
        str(pixel),
        block,
    )
    return f"const psr_plane {plane.name} = {{{', '.join(numbers)}}};"


def step_call(network: PlannedNetwork, plan: PathPlan, operation: Operation, row: str) -> str:
    """The C call that computes one row, `row`, of an operation's result."""
    layers = list(network.layers)
    match operation:
        case Load():
            return f"psr_load(io, &{INPUT}, {row});"
        case AnchorPass():
            return plan.number_format.anchor_call(len(layers), row)
        case Convolution(weights=weights, result=result):
            is_detail = result in shuffled_values(plan.schedule.graph)
            number = layers.index(weights)
            reach = f"(psr_reach){{{{{c_numbers(network.reach(weights))}}}}}"
            return plan.number_format.convolution_call(number, operation, is_detail, row, reach)
        case Store(residual, anchored):
            anchor = _c_pointer(ANCHOR_ROWS if anchored else None)
            return f"psr_store(io, {_c_pointer(residual)}, {anchor}, &{HR_ROW}, {row});"


def _c_pointer(value: str | None) -> str:
    return f"&{value}" if value else "NULL"


def network_tables(network: PlannedNetwork) -> str:
    """The C tables by which the runtime finds a network's layers and paths."""
    arch, name = network.arch, network.symbol
    graphs = [plan.schedule.graph for plan in network.plans.values()]
    shuffled = {
        c.weights
        for graph in graphs
        for c in graph.convolutions
        if c.result in shuffled_values(graph)
    }
    convs = [
        f"    {{{out}, {inp}, {k}, {int(layer in shuffled)}}}, /* {layer} */"
        for layer, (out, inp, k, _) in network.layers.items()
    ]
    paths = []
    for path in (*PATH_NAMES, ALL_PATHS):
        entry = "{NULL, 0, 0, 0}"
        if path in network.plans:
            halo, arena = network.plans[path].schedule.graph.halo, network.plans[path].memory.arena
            entry = f"{{{name}_{path}, {halo}, {arena.per_column}, {arena.fixed}}}"
        paths.append(f"        {entry}, /* {path} */")
    lines = [
        f"static const uint16_t {name}_widths[] = {{{c_numbers(arch.widths)}}};",
        f"static const uint16_t {name}_exits[] = {{{c_numbers(arch.exits)}}};",
        "/* outputs, inputs, window, in HR order */",
        f"static const psr_conv_spec {name}_convs[] = {{",
        *convs,
        "};",
        f"const psr_arch {name} = {{",
        f"    .id = {ARCHITECTURE_IDS[arch.name]},",
        f"    .scale = {arch.scale},",
        f"    .n_widths = {len(arch.widths)},",
        f"    .n_exits = {len(arch.exits)},",
        f"    .widths = {name}_widths,",
        f"    .exits = {name}_exits,",
        f"    .n_convs = {len(network.layers)},",
        f"    .convs = {name}_convs,",
        "    .paths = {",
        *paths,
        "    },",
        "};",
        "",
    ]
    return "\n".join(lines)
