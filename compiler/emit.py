"""A plan as readable C: one function a path, the table of architectures, the table of kernels."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from compiler.bicubic import TAPS, bicubic_taps
from compiler.graph import ANCHOR_ROWS, INPUT, Convolution, Store
from compiler.kernels import ConvolutionTile, convolution_tiles
from compiler.memory import Size
from compiler.plan import HR_ROW, PathPlan, Plane, shuffled_values
from compiler.schedule import AnchorPass, Load, Operation
from compiler.targets import Target
from player.package.weights import ARCHITECTURE_IDS, PATH_NAMES, Architecture, tensor_layout

_SCALES = (2, 3, 4)


@dataclass(frozen=True)
class PlannedNetwork:
    """An architecture with a plan for each path; `plans` has the keys bicubic, easy, hard."""

    arch: Architecture
    plans: dict[str, PathPlan]

    @property
    def symbol(self) -> str:
        """The network's name in C: chain_x4_32_32_e2_6."""
        widths = "_".join(str(w) for w in self.arch.widths)
        exits = "_".join(str(e) for e in self.arch.exits)
        return f"{self.arch.name}_x{self.arch.scale}_{widths}_e{exits}"

    @property
    def layers(self) -> list[str]:
        """Names of the convolutions in the order of the blob."""
        names = [s.name for s in tensor_layout(self.arch)]
        return [n.removesuffix(".weight") for n in names if n.endswith(".weight")]


def emit_network(network: PlannedNetwork) -> str:
    """The C file of one architecture: a function for each path, and its tables."""
    functions = [_function(network, path) for path in PATH_NAMES if path in network.plans]
    head = '#include "internal.h"\n\n#include <math.h>\n'
    return "\n".join([head, *functions, _tables(network)])


def _c_size(size: Size) -> str:
    return f"{size.per_column} * w + {size.fixed}"


def _c_plane(plane: Plane, offset: Size) -> str:
    block = f"{plane.pixel} * (w + {plane.columns.fixed})" if plane.blocks > 1 else "PSR_BLOCK"
    shape = f"{plane.ring}, {plane.margin_y}, {plane.margin_x}, {_c_size(plane.row)}, {plane.pixel}, {block}"
    return f"    const psr_plane {plane.name} = {{arena + ({_c_size(offset)}), {shape}}};"


def _function(network: PlannedNetwork, path: str) -> str:
    plan = network.plans[path]
    graph = plan.schedule.graph
    planes = [_c_plane(p, plan.memory.offsets[p.name]) for p in plan.planes.values()]
    calls = [
        f"        {_call(network, plan, s.operation, f's - {s.delay}' if s.delay else 's')}"
        for s in plan.schedule.steps
    ]
    return "\n".join(
        [
            f"/* {network.arch.name} x{network.arch.scale}, path {path}: halo {graph.halo}, "
            f"arena {_c_size(plan.memory.arena)} floats.",
            " * Planes: data, rows kept, margins y and x, then floats in a row, a pixel, a block. */",
            f"static void {network.symbol}_{path}(const psr_conv *convs, const psr_io *io, "
            "float *arena) {",
            "    const int32_t w = io->w;",
            *planes,
            f"    for (int32_t s = -{graph.halo}; s < io->h + {plan.schedule.depth}; ++s) {{",
            *calls,
            "    }",
            "}",
            "",
        ]
    )


def _call(network: PlannedNetwork, plan: PathPlan, operation: Operation, row: str) -> str:
    match operation:
        case Load():
            return f"psr_load(io, &{INPUT}, {row});"
        case AnchorPass():
            convolution = f"&convs[{len(network.layers)}], io, &{INPUT}, &{ANCHOR_ROWS}"
            return f"psr_convolve({convolution}, NULL, {row}, -INFINITY);"
        case Convolution() as c:
            adds = f"&{c.adds}" if c.adds else "NULL"
            floor = "0" if c.relu else "-INFINITY"
            at = network.layers.index(c.weights)
            return (
                f"psr_convolve(&convs[{at}], io, &{c.source}, &{c.result}, {adds}, {row}, {floor});"
            )
        case Store(residual, anchored):
            planes = f"{f'&{residual}' if residual else 'NULL'}, {f'&{ANCHOR_ROWS}' if anchored else 'NULL'}"
            return f"psr_store(io, {planes}, &{HR_ROW}, {row});"


def _tables(network: PlannedNetwork) -> str:
    arch, name = network.arch, network.symbol
    shapes = {s.name.removesuffix(".weight"): s.shape for s in tensor_layout(arch)}
    shuffled = {
        c.weights
        for plan in network.plans.values()
        for c in plan.schedule.graph.convolutions
        if c.result in shuffled_values(plan.schedule.graph)
    }
    convs = [
        f"    {{{shapes[n][0]}, {shapes[n][1]}, {shapes[n][2]}, {int(n in shuffled)}}}, /* {n} */"
        for n in network.layers
    ]
    return "\n".join(
        [
            f"static const uint16_t {name}_widths[] = {{{_numbers(arch.widths)}}};",
            f"static const uint16_t {name}_exits[] = {{{_numbers(arch.exits)}}};",
            f"static const psr_conv_spec {name}_convs[] = {{",
            *convs,
            "};",
            f"const psr_arch {name} = {{",
            f"    {ARCHITECTURE_IDS[arch.name]}, {arch.scale}, {len(arch.widths)}, "
            f"{len(arch.exits)}, {name}_widths, {name}_exits, {len(network.layers)}, {name}_convs,",
            "    {",
            *(f"        {_path(network, path)}," for path in PATH_NAMES),
            "    },",
            "};",
            "",
        ]
    )


def _path(network: PlannedNetwork, path: str) -> str:
    if path not in network.plans:
        return "{NULL, 0, 0, 0}"
    plan = network.plans[path]
    arena = plan.memory.arena
    halo = plan.schedule.graph.halo
    return f"{{{network.symbol}_{path}, {halo}, {arena.per_column}, {arena.fixed}}}"


def _numbers(values: Sequence[int]) -> str:
    return ", ".join(str(v) for v in values)


def emit_engine(networks: Sequence[PlannedNetwork], target: Target, info: dict[str, object]) -> str:
    """The C file that ties an engine together: its networks, its kernels, its constants."""
    externs = [f"extern const psr_arch {n.symbol};" for n in networks]
    tiles = convolution_tiles(target)
    prototypes = [f"extern psr_conv_kernel {t.name};" for t in tiles]
    text = json.dumps(json.dumps(info, sort_keys=True))
    return "\n".join(
        [
            '#include "internal.h"\n',
            *externs,
            *prototypes,
            f"\nconst psr_arch *const psr_archs[] = {{{', '.join(f'&{n.symbol}' for n in networks)}}};",
            f"const int32_t psr_n_archs = {len(networks)};",
            f"const int32_t psr_tile_pixels[PSR_TILE_SHAPES] = {{{_numbers(target.tile.pixels)}}};",
            f"const int32_t psr_group_blocks = {target.tile.blocks};",
            f"const int32_t psr_cache_bytes = {target.cache_bytes};",
            f"const char psr_info[] = {text};",
            _kernel_table(tiles, target),
            _taps_table(),
        ]
    )


def _kernel_table(tiles: list[ConvolutionTile], target: Target) -> str:
    """psr_conv_kernels[RGB or blocks][blocks of output - 1][shape]."""
    lines = []
    for source, in_channels in enumerate(sorted({t.in_channels for t in tiles})):
        for blocks in range(1, target.tile.blocks + 1):
            group = [t for t in tiles if t.in_channels == in_channels and t.out_blocks == blocks]
            names = ", ".join(t.name for t in group)
            lines.append(f"    [{source}][{blocks - 1}] = {{{names}}},")
    table = "psr_conv_kernel *const psr_conv_kernels[2][2][PSR_TILE_SHAPES] = {"
    return "\n".join([table, *lines, "};"])


def _taps_table() -> str:
    """psr_bicubic_taps[scale][phase][tap]."""
    lines = []
    for scale in _SCALES:
        for phase, taps in enumerate(bicubic_taps(scale)):
            numbers = ", ".join(f"{t:.9e}f" for t in taps)
            lines.append(f"    [{scale}][{phase}] = {{{numbers}}},")
    return "\n".join([f"const float psr_bicubic_taps[5][4][{TAPS}] = {{", *lines, "};", ""])
