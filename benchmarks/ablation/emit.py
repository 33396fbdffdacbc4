"""A variant's plan of the hard path as C: the tables of variant.h."""

from benchmarks.ablation.unfused import Pass
from compiler.emit.family import VALUE_KINDS, operation_code, value_numbers
from compiler.plan.family import kind_of, operands_of
from compiler.plan.graph import Convolution
from compiler.plan.path_plan import PathPlan, Plane
from compiler.plan.schedule import Step, result_of
from player.package.architecture import Architecture, convolutions

AS_SHIPPED = (
    '#include "variant.h"\n\nconst psr_plan variant_plan;\nconst int32_t variant_is_layered;\n'
)


def emit_variant(arch: Architecture, plan: PathPlan, is_layered: bool) -> str:
    """The C file of a plan; `is_layered`: its steps are loops of their own."""
    schedule, arena = plan.schedule, plan.memory.arena
    layers = [name for name, _ in convolutions(arch)]
    numbers = (schedule.graph.halo, schedule.depth, len(schedule.steps), len(plan.planes))
    lines = [
        '#include "unfused.h"\n#include "variant.h"\n',
        "static psr_step steps[] = {",
        *(_step(plan, step, layers) for step in schedule.steps),
        "};",
        "static psr_place places[] = {",
        *(_place(plan, plane) for plane in plan.planes.values()),
        "};",
        f"const psr_plan variant_plan = {{{', '.join(map(str, numbers))}, steps, places,",
        f"                               {arena.per_column}, {arena.fixed}}};",
        f"const int32_t variant_is_layered = {int(is_layered)};",
        "",
    ]
    return "\n".join(lines)


def _step(plan: PathPlan, step: Step, layers: list[str]) -> str:
    operation, result, names = step.operation, result_of(step.operation), list(plan.planes)
    op, flag = operation_code(operation, kind_of(plan.schedule.graph, result) if result else None)
    conv = 0
    if isinstance(operation, Convolution) and operation.weights:
        conv = layers.index(operation.weights)
    if isinstance(operation, Pass):
        op = operation.op
    values = (*operands_of(operation), result)
    numbers = value_numbers(*(None if v is None else names.index(v) for v in values))
    row = f"{op}, {conv}, 0, {numbers}, {flag}, {step.delay}"
    return f"    {{&(const psr_step_row){{{row}}}, {conv}, {{{{0}}}}}},"


def _place(plan: PathPlan, plane: Plane) -> str:
    kind, at = (
        VALUE_KINDS[kind_of(plan.schedule.graph, plane.name)],
        plan.memory.offsets[plane.name],
    )
    row = f"{{{kind}, 0, {plane.margin_y}, {plane.margin_x}, 0, 0, 0, 0}}"
    numbers = (plane.ring, plane.shape.blocks, plane.shape.pixel_bytes, at.per_column, at.fixed)
    text = ", ".join(map(str, numbers))
    return f"    {{&(const psr_value_row){row}, {text}}}, /* {plane.name} */"
