"""The plan that an engine derives for a network is the one that the pipeline makes for it."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from compiler.compile_error import CompileError
from compiler.explain import architecture_of, plan_text, shape_of
from compiler.pipeline import ALL_PATHS, import_graph, plan_graph, plan_network
from compiler.plan.family import kind_of, operands_of
from compiler.plan.formats import FORMATS
from compiler.plan.graph import Convolution, network_graph
from compiler.plan.path_plan import PathPlan
from compiler.plan.schedule import AnchorPass, Load, Operation, result_of
from player.engine import Engine
from player.package.architecture import Architecture, convolutions
from player.package.paths import HARD, PATH_NAMES
from tests.compiler.conftest import arch_name
from tests.compiler.members import empty_blob, random_member
from tests.compiler.programs import exported_paths

SEEDS = range(300)
_NO_VALUE = 255


def told_plan(told: Mapping[str, Any]) -> dict[str, Any]:
    """What psr_explain says, with values in the place of their numbers."""
    values = dict(enumerate(map(tuple, told["values"]))) | {_NO_VALUE: None}
    steps = [
        (op, conv, *(values[number] for number in numbers), delay)
        for op, conv, *numbers, delay in told["steps"]
    ]
    whole = {name: told[name] for name in ("halo", "depth")}
    return whole | {"arena": tuple(told["arena"]), "values": [*values.values()], "steps": steps}


def made_plan(arch: Architecture, plan: PathPlan) -> dict[str, Any]:
    """The same of the pipeline's own plan."""
    schedule, graph = plan.schedule, plan.schedule.graph
    values = {name: described(plan, name) for name in plan.planes} | {None: None}
    numbers = {name: i for i, (name, _) in enumerate(convolutions(arch))}
    steps = [
        (
            *operation_of(step.operation, numbers),
            *(values[v] for v in (*operands_of(step.operation), result_of(step.operation))),
            step.delay,
        )
        for step in schedule.steps
    ]
    arena = (plan.memory.arena.per_column, plan.memory.arena.fixed)
    whole = {"halo": graph.halo, "depth": schedule.depth, "arena": arena}
    return whole | {"values": [*values.values()], "steps": steps}


def described(plan: PathPlan, name: str) -> tuple[Any, ...]:
    plane, offset = plan.planes[name], plan.memory.offsets[name]
    kind, shape = kind_of(plan.schedule.graph, name), plane.shape
    return (
        kind, plane.margin_y, plane.margin_x, plane.ring, shape.blocks, shape.pixel_bytes,
        offset.per_column, offset.fixed,
    )  # fmt: skip


def operation_of(operation: Operation, numbers: Mapping[str, int]) -> tuple[str, int]:
    match operation:
        case Load(result=result):
            return ("load" if result == "input" else "pixels"), -1
        case AnchorPass():
            return "anchor", -1
        case Convolution(weights=weights):
            return "convolve", numbers[weights]
        case _:
            return "store", -1


def assert_same_plans(engine: Engine, arch: Architecture, dtype: str) -> None:
    network, plans = engine.load(empty_blob(arch, dtype)), plan_network(arch, FORMATS[dtype])
    assert set(plans) - {ALL_PATHS} == {PATH_NAMES[path] for path in network.paths}
    for path, name in enumerate((*PATH_NAMES, ALL_PATHS)):
        if name not in plans:
            continue
        told, made = told_plan(network.explain(path)), made_plan(arch, plans[name])
        # Values have no order but that in which they are placed.
        for plan in (told, made):
            plan["values"] = sorted(plan["values"], key=str)
        assert told == made, (arch, name)
    network.close()


@pytest.mark.parametrize("dtype", FORMATS)
def test_plans_of_random_networks(dtype, engine, int8_engine):
    for seed in SEEDS:
        arch = random_member(seed, dtype)
        assert_same_plans({"int8": int8_engine, "fp32": engine}[dtype], arch, dtype)


@pytest.mark.parametrize("dtype", FORMATS)
def test_plans_of_the_networks_that_the_repository_names(dtype, engine, int8_engine):
    """Widths of the kernels' blocks, as the pruning stages leave them."""
    for widths in ((8,), (16, 24), (32,) * 6, (48, 20, 36), (24, 8, 48, 32)):
        for scale, units in ((1, 1), (1, 2), (Fraction(3, 2), 2), (2, 1), (4, 1)):
            arch = Architecture("chain", scale, widths, (len(widths),), units)
            assert_same_plans({"int8": int8_engine, "fp32": engine}[dtype], arch, dtype)


PROGRAMS = (
    Architecture("chain", 1, (8, 12), (1, 2)),
    Architecture("chain", 1, (16, 4, 8), (1, 3), units=2),
    Architecture("chain", Fraction(3, 2), (8, 8), (2,), units=2),
    Architecture("chain", 2, (8,), (1,), units=2),
    Architecture("chain", 3, (8, 20, 4), (1, 2, 3)),
    Architecture("espcn", 2, (12, 8), (2,)),
    Architecture("wdsr", 3, (8, 12, 2), (2,)),
)


@pytest.mark.parametrize("known", PROGRAMS, ids=arch_name)
def test_a_program_is_read_as_the_graph_of_its_architecture(known):
    for path, program in zip(known.paths, exported_paths(known).values(), strict=True):
        read, graph = import_graph(program), network_graph(known, path)
        assert shape_of(read) == shape_of(graph)
        plan, wanted = (plan_graph(each, FORMATS["fp32"]) for each in (read, graph))
        assert [s.delay for s in plan.schedule.steps] == [s.delay for s in wanted.schedule.steps]
        assert plan.memory.arena == wanted.memory.arena


def test_a_graph_is_told_as_the_network_that_it_is():
    for arch in (
        Architecture("chain", Fraction(3, 2), (8, 20), (2,), 2),
        Architecture("espcn", 3, (8, 16), (2,)),
        Architecture("wdsr", 2, (8, 16, 3), (3,)),
    ):
        assert architecture_of(network_graph(arch, HARD)) == arch


def test_a_graph_outside_the_family_names_its_limit():
    graph = network_graph(Architecture("chain", 2, (8,) * 12, (12,)), HARD)
    first, *others = graph.convolutions
    deeper = replace(first, source=first.result, result="more")
    values = graph.values | {"more": graph.values[first.result]}
    layers = (first, deeper, *others)
    with pytest.raises(CompileError, match=r"depth 13 is not in 1\.\.12"):
        architecture_of(replace(graph, values=values, convolutions=layers))
    with pytest.raises(CompileError, match="its layers are not those of a chain"):
        architecture_of(replace(graph, convolutions=(replace(first, window=5), *others)))


def test_a_plan_is_told_as_it_runs():
    plan = plan_network(Architecture("chain", 1, (8,), (1,)), FORMATS["int8"])["hard"]
    steps = [line.split("  ")[-1].strip() for line in plan_text("hard", plan).splitlines()[2:6]]
    assert steps == [
        "input = load",
        "trunk_0 = relu(trunk.0 * input)",
        "detail = exits.0 * trunk_0",
        "store(detail + identity anchor)",
    ]
