"""The compiler, as one list: a network's path goes in at the top, its plan comes out at the end.

torch.export program
  | import_program            importing/program.py   Relax, symbolic n, h, w
  | prove_shapes              importing/shapes/      ranks and dimensions, proved; an analysis that
  |                           each step down to lower_to_graph runs on what it is given
  | recognise_stores          plan/recognise.py      clip(shuffle(y [+ anchor(x)]))
  | recognise_convolutions    plan/recognise.py      conv + bias [+ ReLU | + sum], one shape
  | lower_to_graph            plan/lower.py          margins instead of shapes, crops gone
PathGraph <-- network_graph   plan/graph.py          the same of an architecture of the format
  | merged_graph              plan/graph.py          paths that share layers
  | schedule_rows             plan/schedule.py       all layers run together, row by row
  | plan_path                 plan/path_plan.py      rings of rows, placed in an arena
PathPlan

An engine holds no plan of one network: plan/family.py runs the lower half of the list over every
structure of the family, emit/family.py writes down what is the same for all widths, and
runtime/plan.c works out the rest when a network is opened. What follows is engine.py: that table
and kernels (kernels/) become C and objects, and a library (emit/) together with the hand-written C
of runtime/.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import is_zipfile

import tvm

from compiler.compile_error import CompileError
from compiler.importing.program import import_program
from compiler.plan.formats import NumberFormat
from compiler.plan.graph import PathGraph, bicubic_graph, merged_graph, network_graph
from compiler.plan.lower import lower_to_graph
from compiler.plan.path_plan import PathPlan, plan_path
from compiler.plan.recognise import recognise_convolutions, recognise_stores
from compiler.plan.schedule import schedule_rows
from compiler.plan.verify import check_recognised, check_well_formed
from player.package.architecture import Architecture
from player.package.paths import BICUBIC, PATH_NAMES

if TYPE_CHECKING:
    from torch.export import ExportedProgram

ALL_PATHS = "all"  # the plan that runs every path in one loop
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


def load_program(path: Path) -> "ExportedProgram":
    """The program of a .pt2 file; raises CompileError where it is none."""
    import torch

    # Looked at first: torch logs a page of its own about a file that is none of its archives.
    if path.suffix != ".pt2" or not is_zipfile(path):
        raise CompileError(f"{path}: not an exported program; give a .pt2 of torch.export.save")
    try:
        return torch.export.load(path)
    except Exception as error:  # whatever a file can make torch's unpickling do
        raise CompileError(f"{path}: not an exported program ({error})") from error


def import_graph(program: "ExportedProgram") -> PathGraph:
    """One path as a graph; raises CompileError for a network that the engine cannot run."""
    module = import_program(program)
    check_well_formed(module)
    for stage in PASSES:
        module = stage.run(module)
        stage.check(module)
    return lower_to_graph(module)


def plan_graph(graph: PathGraph, number_format: NumberFormat) -> PathPlan:
    """The part of the pipeline behind Relax."""
    return plan_path(schedule_rows(merged_graph([graph])), number_format)


def plan_network(arch: Architecture, number_format: NumberFormat) -> dict[str, PathPlan]:
    """Plans of all paths of a network, the one without it included, and of all in one loop.

    Raises CompileError for a network that has no kernels in that format.
    """
    graphs = {PATH_NAMES[path]: network_graph(arch, path) for path in arch.paths}
    plans = {PATH_NAMES[BICUBIC]: plan_path(schedule_rows(bicubic_graph(arch)), number_format)}
    plans |= {name: plan_graph(graph, number_format) for name, graph in graphs.items()}
    if arch.name == "chain":  # where a network makes all of the picture, bicubic is not in it
        together = merged_graph([*graphs.values()])
        plans[ALL_PATHS] = plan_path(schedule_rows(together), number_format)
    return plans
