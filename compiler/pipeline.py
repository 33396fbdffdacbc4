"""The compiler, as one list: a network's path goes in at the top, its plan comes out at the end.

torch.export program
  | import_program            importing/program.py   Relax, symbolic n, h, w
  | prove_shapes              importing/shapes/      ranks and dimensions, proved; an analysis that
  |                           each step down to lower_to_graph runs on what it is given
  | recognise_stores          plan/recognise.py      clip(shuffle(y [+ anchor(x)]))
  | recognise_convolutions    plan/recognise.py      conv + bias [+ ReLU | + sum], one shape
  | lower_to_graph            plan/lower.py          margins instead of shapes, crops gone
  | schedule_rows             plan/schedule.py       all layers run together, row by row
  | plan_path                 plan/path_plan.py      rings of rows, placed in an arena
PathPlan

What follows is engine.py: plans and kernels (kernels/) become C and objects, and a library (emit/)
together with the hand-written C of runtime/.
"""

from collections.abc import Callable
from dataclasses import dataclass

import tvm
from torch.export import ExportedProgram

from compiler.importing.program import import_program
from compiler.plan.formats import NumberFormat
from compiler.plan.graph import PathGraph
from compiler.plan.lower import lower_to_graph
from compiler.plan.path_plan import PathPlan, plan_path
from compiler.plan.recognise import recognise_convolutions, recognise_stores
from compiler.plan.schedule import schedule_rows
from compiler.plan.verify import check_recognised, check_well_formed

ModulePass = Callable[[tvm.IRModule], tvm.IRModule]


@dataclass(frozen=True)
class PassStage:
    """A pass, and the check that its result must stand before the next one sees it."""

    run: ModulePass
    check: Callable[[tvm.IRModule], None]


PASSES = (
    # Stores first: the sum with the anchor must not be taken for a convolution's own sum.
    PassStage(recognise_stores(), check_well_formed),
    PassStage(recognise_convolutions(), check_recognised),
)


def plan_program(program: ExportedProgram, number_format: NumberFormat) -> PathPlan:
    """The plan of one path; raises CompileError for a network that the engine cannot run."""
    module = import_program(program)
    check_well_formed(module)
    for stage in PASSES:
        module = stage.run(module)
        stage.check(module)
    return plan_graph(lower_to_graph(module), number_format)


def plan_graph(graph: PathGraph, number_format: NumberFormat) -> PathPlan:
    """The part of the pipeline behind Relax."""
    return plan_path(schedule_rows(graph), number_format)
