"""A network's C file with other loops for the hard path; the rest of it is the compiler's."""

from collections.abc import Callable, Iterator

from benchmarks.ablation.unfused import Pass
from compiler.emit.network import PlannedNetwork, emit_path, network_tables, plane_text, step_call
from compiler.plan.path_plan import PathPlan
from compiler.plan.schedule import Operation, Step, result_of
from player.package.paths import HARD, PATH_NAMES

NAME = PATH_NAMES[HARD]
_HEADERS = '#include <math.h>\n\n#include "kernels.h"\n#include "unfused.h"\n'

Body = Callable[[PlannedNetwork], Iterator[str]]


def emit_variant(network: PlannedNetwork, body: Body) -> str:
    """The C file of a network whose hard path has the loops of `body`."""
    others = [emit_path(network, path) for path in network.plans if path != NAME]
    return "\n".join([_HEADERS, *others, _function(network, body), network_tables(network)])


def _function(network: PlannedNetwork, body: Body) -> str:
    plan = network.plans[NAME]
    planes = (plane_text(p, plan.memory.offsets[p.name]) for p in plan.planes.values())
    lines = [
        f"static void {network.symbol}_{NAME}(const psr_io *io, uint8_t *arena) {{",
        "    const int32_t w = io->w, columns = psr_columns(w);",
        *(f"    {plane}" for plane in planes),
        *(f"    {line}" for line in body(network)),
        "}",
        "",
    ]
    return "\n".join(lines)


def rows_body(network: PlannedNetwork) -> Iterator[str]:
    """One loop: a row of every step, each with its delay."""
    plan = network.plans[NAME]
    schedule = plan.schedule
    yield f"for (int32_t s = -{schedule.graph.halo}; s < io->h + {schedule.depth}; ++s) {{"
    for step in schedule.steps:
        yield f"    {_call(network, plan, step.operation, f's - {step.delay}')}"
    yield "}"


def layers_body(network: PlannedNetwork) -> Iterator[str]:
    """A loop for each step, over all rows of its result."""
    plan = network.plans[NAME]
    for step in plan.schedule.steps:
        margin = _margin(plan, step)
        yield f"for (int32_t y = -{margin}; y < io->h + {margin}; ++y)"
        yield f"    {_call(network, plan, step.operation, 'y')}"


def _margin(plan: PathPlan, step: Step) -> int:
    result = result_of(step.operation)
    return plan.planes[result].margin_y if result else 0


def _call(network: PlannedNetwork, plan: PathPlan, operation: Operation, row: str) -> str:
    if not isinstance(operation, Pass):
        return step_call(network, plan, operation, row)
    layers = list(network.layers)
    return operation.call(layers.index(operation.weights) if operation.weights else None, row)
