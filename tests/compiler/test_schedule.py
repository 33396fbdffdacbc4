"""The row schedule and the plan on small graphs whose right answers can be worked out by hand."""

from fractions import Fraction

import pytest

from compiler.plan.formats import FORMATS
from compiler.plan.graph import (
    ANCHOR_ROWS,
    INPUT,
    PIXELS,
    Anchor,
    Convolution,
    PathGraph,
    Store,
    Value,
    bicubic_graph,
)
from compiler.plan.path_plan import live_buffers, plan_path, shuffled_values
from compiler.plan.schedule import AnchorPass, Load, Step, reads_of, result_of, schedule_rows
from player.package.architecture import Architecture
from player.package.scale import Scale


def chain_of(depth: int, anchor: Anchor = Anchor.NEAR) -> PathGraph:
    """`depth` 3x3 convolutions to 8 channels, an exit to 12, an anchor."""
    values = {INPUT: Value(INPUT, 3, depth), "exit": Value("exit", 12, 0)}
    layers, source = [], INPUT
    for i in range(depth):
        name = f"c{i}"
        values[name] = Value(name, 8, depth - 1 - i)
        layers.append(Convolution(name, source, name, 3, relu=True))
        source = name
    layers.append(Convolution("exit", source, "exit", 1))
    return PathGraph(1, 2, depth, values, tuple(layers), Store("exit", anchor))


def residual_block() -> PathGraph:
    """head, a block of two with its input added, a tail with a 5x5 skip from the image added."""
    margins = {INPUT: 4, "head": 3, "wide": 2, "sum": 1, "skip": 0, "tail": 0}
    channels = {INPUT: 3, "head": 8, "wide": 40, "sum": 8, "skip": 12, "tail": 12}
    layers = (
        Convolution("head", INPUT, "head", 3),
        Convolution("wide", "head", "wide", 3, relu=True),
        Convolution("project", "wide", "sum", 3, adds="head"),
        Convolution("skip", INPUT, "skip", 5),
        Convolution("tail", "sum", "tail", 3, adds="skip"),
    )
    values = {n: Value(n, channels[n], m) for n, m in margins.items()}
    return PathGraph(1, 2, 4, values, layers, Store("tail", Anchor.NONE))


def test_a_chain_keeps_three_rows_a_layer():
    schedule = schedule_rows(chain_of(4))
    delays = {result_of(s.operation): s.delay for s in schedule.steps}
    assert delays == {
        INPUT: 0,
        "c0": 1,
        "c1": 2,
        "c2": 3,
        "c3": 4,
        "exit": 4,
        ANCHOR_ROWS: 2,
        None: 4,
    }
    assert schedule.rings == {
        INPUT: 3,
        "c0": 3,
        "c1": 3,
        "c2": 3,
        "c3": 1,
        "exit": 1,
        ANCHOR_ROWS: 5,
    }
    assert schedule.depth == 4


def test_what_reads_the_image_late_waits_for_its_readers():
    schedule = schedule_rows(residual_block())
    delays = {result_of(s.operation): s.delay for s in schedule.steps}
    assert delays["skip"] == delays["tail"] == 4
    assert schedule.rings == {INPUT: 7, "head": 3, "wide": 3, "sum": 3, "skip": 1, "tail": 1}


def bicubic_of(scale: Scale, units: int = 1) -> PathGraph:
    return bicubic_graph(Architecture("chain", scale, (8,), (1,), units))


def test_the_bicubic_path_needs_one_row_of_the_image():
    schedule = schedule_rows(bicubic_of(3))
    assert [s.delay for s in schedule.steps] == [0, 0, 2]
    assert schedule.steps[:2] == (Step(Load(), 0), Step(AnchorPass(), 0))
    assert schedule.rings == {INPUT: 1, ANCHOR_ROWS: 5}


def test_the_bicubic_path_of_units_reads_their_pixels_a_place_around():
    schedule = schedule_rows(bicubic_of(Fraction(3, 2), 2))
    assert [s.delay for s in schedule.steps] == [0, 0, 1]
    assert schedule.steps[:2] == (Step(Load(PIXELS), 0), Step(AnchorPass(PIXELS), 0))
    assert schedule.rings == {PIXELS: 1, ANCHOR_ROWS: 3}


def test_at_scale_1_the_picture_is_its_own_anchor():
    schedule = schedule_rows(bicubic_of(1, 2))
    assert [step.operation for step in schedule.steps] == [Store(None, Anchor.IDENTITY)]
    assert schedule.rings == {}


def test_rows_that_are_read_are_still_in_their_ring():
    """Plays the schedule: the row in a ring's place must be the one that the reader wants."""
    for graph in (chain_of(1), chain_of(6), residual_block(), bicubic_of(2), bicubic_of(2, 3)):
        schedule = schedule_rows(graph)
        held: dict[tuple[str, int], int] = {}
        for s in range(40):
            for step in schedule.steps:
                row = s - step.delay
                for value, radius in reads_of(step.operation):
                    wanted = range(max(0, row - radius), row + radius + 1) if row >= radius else ()
                    for r in wanted:
                        assert held[value, r % schedule.rings[value]] == r
                name = result_of(step.operation)
                if name is not None and row >= 0:
                    held[name, row % schedule.rings[name]] = row


def test_shuffled_are_the_residual_and_what_is_added_to_it():
    assert shuffled_values(residual_block()) == {"tail", "skip"}


@pytest.mark.parametrize("number_format", FORMATS.values(), ids=FORMATS)
def test_live_buffers_of_a_plan_do_not_overlap(number_format):
    with_sums = [residual_block()] if number_format.name == "fp32" else []
    for graph in (chain_of(2), chain_of(6), bicubic_of(4), bicubic_of(2, 3), *with_sums):
        plan = plan_path(schedule_rows(graph), number_format)
        buffers = live_buffers(plan.schedule, plan.planes)
        for width in (1, 7, 480):
            for a in buffers:
                for b in buffers:
                    if a.name < b.name and a.is_alive_with(b):
                        starts = [plan.memory.offsets[x.name].at(width) for x in (a, b)]
                        ends = [s + x.size.at(width) for s, x in zip(starts, (a, b), strict=True)]
                        assert ends[0] <= starts[1] or ends[1] <= starts[0]


@pytest.mark.parametrize("number_format", FORMATS.values(), ids=FORMATS)
def test_single_rows_are_reused_within_a_step(number_format):
    """Pixels are read before the last layer is computed."""
    plan = plan_path(schedule_rows(chain_of(2, Anchor.WIDE)), number_format)
    assert plan.memory.offsets[PIXELS] == plan.memory.offsets["exit"]
