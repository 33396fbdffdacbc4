"""The order of the row loop's body: as good as the best of all orders, and right in each."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.plan.graph import (
    ANCHOR_ROWS,
    INPUT,
    PIXELS,
    Anchor,
    Convolution,
    PathGraph,
    Store,
    Value,
)
from compiler.plan.memory import Size
from compiler.plan.row_order import memory_of, order_steps
from compiler.plan.schedule import (
    AnchorPass,
    Load,
    RowSchedule,
    readings_of,
    reads_of,
    reordered,
    result_of,
    schedule_rows,
)


def chain_of(depth: int, anchor: Anchor = Anchor.NEAR) -> PathGraph:
    """`depth` 3x3 convolutions, an exit, perhaps an anchor."""
    values = {INPUT: Value(INPUT, 3, depth), "exit": Value("exit", 12, 0)}
    layers, source = [], INPUT
    for i in range(depth):
        values[f"c{i}"] = Value(f"c{i}", 8, depth - 1 - i)
        layers.append(Convolution(f"c{i}", source, f"c{i}", 3, relu=True))
        source = f"c{i}"
    layers.append(Convolution("exit", source, "exit", 1))
    return PathGraph(1, 2, depth, values, tuple(layers), Store("exit", anchor))


@st.composite
def graphs(draw) -> PathGraph:
    """Up to five layers, each reading and adding any value before it; a random window each."""
    names, layers = [INPUT], []
    for i in range(draw(st.integers(1, 5))):
        source, adds = draw(st.sampled_from(names)), draw(st.sampled_from([None, *names]))
        window = draw(st.sampled_from([1, 3, 5]))
        layers.append(Convolution(f"c{i}", source, f"c{i}", window, adds=adds))
        names.append(f"c{i}")
    values = {name: Value(name, 8, 0) for name in names}
    store = Store(names[-1], draw(st.sampled_from(Anchor)))
    graph = PathGraph(1, 2, 8, values, tuple(layers), store)
    return with_two_exits(graph) if draw(st.booleans()) else graph


def with_two_exits(graph: PathGraph) -> PathGraph:
    """A second layer that makes the residual, out of the value that most layers are before."""
    first = graph.convolutions[0]
    second = Convolution("early", first.source, str(graph.store.residual), 1)
    return replace(graph, convolutions=(*graph.convolutions, second))


def used(graph: PathGraph) -> PathGraph:
    """Without the layers that nobody reads."""
    kept, wanted = [], {graph.store.residual}
    for layer in reversed(graph.convolutions):
        if layer.result in wanted:
            kept.append(layer)
            wanted |= {layer.source, layer.adds}
    values = {n: v for n, v in graph.values.items() if n in wanted | {INPUT}}
    return replace(graph, values=values, convolutions=tuple(reversed(kept)))


def all_orders(schedule: RowSchedule) -> Iterator[RowSchedule]:
    """Every order in which a row is made before it is read."""
    needed = [(r.producer, r.reader) for r in readings_of(schedule.steps) if r.newest == 0]
    for order in permutations(range(len(schedule.steps))):
        at = {step: i for i, step in enumerate(order)}
        if all(at[first] < at[then] for first, then in needed):
            yield reordered(schedule, order)


def play(schedule: RowSchedule) -> None:
    """Runs the loop on rows' numbers: what a step reads must be in its place in the ring."""
    held: dict[tuple[str, int], int] = {}
    for s in range(60):
        for step in schedule.steps:
            row = s - step.delay
            for value, radius in reads_of(step.operation):
                for wanted in range(max(0, row - radius), row + radius + 1):
                    if row >= radius:
                        assert held[value, wanted % schedule.rings[value]] == wanted
            name = result_of(step.operation)
            if name is not None and row >= 0:
                held[name, row % schedule.rings[name]] = row


SIZES = st.builds(Size, st.integers(0, 5), st.integers(0, 5))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_order_of_the_body_needs_less(data):
    graph = used(data.draw(graphs()))
    rows = {n: data.draw(SIZES) for n in (*graph.values, PIXELS, ANCHOR_ROWS)}
    schedule = schedule_rows(graph)
    found = order_steps(schedule, rows)
    play(found)
    least = min(memory_of(other, rows) for other in all_orders(schedule))
    assert memory_of(found, rows) == least


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_every_order_finds_its_rows_in_their_rings(graph):
    for schedule in list(all_orders(schedule_rows(used(graph))))[::7]:
        play(schedule)


@pytest.mark.parametrize(("depth", "input_rows"), [(2, 3), (3, 3), (4, 3), (6, 4)])
def test_a_row_read_before_the_next_is_loaded_needs_no_place_beside_it(depth, input_rows):
    schedule = schedule_rows(chain_of(depth))
    rows = {n: Size(4, 0) for n in (*schedule.graph.values, ANCHOR_ROWS)}
    assert order_steps(schedule, rows).rings[INPUT] == input_rows


def test_the_anchor_runs_before_the_image_is_loaded():
    schedule = schedule_rows(chain_of(6))
    rows = {n: Size(4, 0) for n in (*schedule.graph.values, ANCHOR_ROWS)}
    steps = [s.operation for s in order_steps(schedule, rows).steps]
    assert steps.index(AnchorPass()) < steps.index(Load())


def test_a_body_without_a_choice_stays_as_it_is():
    schedule = schedule_rows(chain_of(4, Anchor.NONE))
    rows = {n: Size(4, 0) for n in schedule.graph.values}
    assert order_steps(schedule, rows) == schedule
