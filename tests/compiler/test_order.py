"""The search for an execution order: equal to brute force over all topological orders."""

from collections.abc import Iterator, Sequence
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import order
from compiler.memory import Size
from compiler.order import Task, least_peak_order, peak_of

SIZES = st.builds(Size, st.integers(0, 6), st.integers(0, 6))


@st.composite
def graphs(draw, most: int = 7) -> list[Task]:
    """Random tasks; each may read and wait for any of those before it."""
    tasks: list[Task] = []
    for i in range(draw(st.integers(1, most))):
        earlier = st.frozensets(st.integers(0, i - 1), max_size=3) if i else st.just(frozenset())
        tasks.append(Task(draw(SIZES), draw(earlier), draw(earlier), draw(SIZES)))
    return tasks


def topological_orders(tasks: Sequence[Task]) -> Iterator[tuple[int, ...]]:
    for sequence in permutations(range(len(tasks))):
        at = {task: i for i, task in enumerate(sequence)}
        if all(at[n] < at[i] for i, t in enumerate(tasks) for n in t.reads | t.after):
            yield sequence


def simulated_peak(tasks: Sequence[Task], sequence: Sequence[int]) -> Size:
    """Written from the definition: while each task runs, everything that is needed or still is."""
    at = {task: i for i, task in enumerate(sequence)}
    peak = Size(0, 0)
    for now, running in enumerate(sequence):
        total = tasks[running].scratch
        for i, task in enumerate(tasks):
            readers = [at[j] for j, other in enumerate(tasks) if i in other.reads]
            if at[i] <= now <= max(readers, default=len(tasks)):
                total += task.result
        peak = max(peak, total)
    return peak


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_the_peak_found_is_that_of_brute_force(tasks):
    found = least_peak_order(tasks)
    assert found is not None and found.is_exact
    assert found.tasks in set(topological_orders(tasks))
    assert found.peak == simulated_peak(tasks, found.tasks)
    assert found.peak == min(simulated_peak(tasks, o) for o in topological_orders(tasks))


@given(graphs(most=12))
def test_the_peak_of_an_order_is_what_a_simulation_says(tasks):
    given_order = range(len(tasks))
    assert peak_of(tasks, given_order) == simulated_peak(tasks, given_order)


@given(graphs(most=14))
def test_a_narrow_beam_is_never_worse_than_the_given_order(tasks):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "BEAM", 1)
        found = least_peak_order(tasks)
    assert found is not None
    assert found.peak == simulated_peak(tasks, found.tasks)
    assert found.peak <= peak_of(tasks, range(len(tasks)))


def wide_graph(chains: int) -> list[Task]:
    """Chains of two side by side, a large result made small, and one task that reads them all."""
    tasks = [Task(Size(8, 0)) for _ in range(chains)]
    tasks += [Task(Size(1, 0), frozenset({i})) for i in range(chains)]
    return [*tasks, Task(Size(1, 0), frozenset(range(chains, 2 * chains)))]


def test_branches_are_finished_one_after_another():
    tasks = wide_graph(4)  # in the given order all four large results live together
    assert peak_of(tasks, range(9)) == Size(33, 0)
    found = least_peak_order(tasks)
    assert found is not None and found.is_exact
    assert found.peak == Size(3 + 8 + 1, 0)


def test_a_graph_beyond_the_limit_is_searched_without_a_promise():
    found = least_peak_order(wide_graph(12))  # 3^12 sets
    assert found is not None and not found.is_exact
    assert found.peak == Size(11 + 8 + 1, 0)


def test_a_circle_has_no_order():
    tasks = [Task(Size(1, 0), after=frozenset({1})), Task(Size(1, 0), frozenset({0}))]
    assert least_peak_order(tasks) is None


def test_the_given_order_stays_where_none_is_better():
    tasks = [Task(Size(1, 0)), Task(Size(1, 0)), Task(Size(1, 0), frozenset({0, 1}))]
    found = least_peak_order(tasks)
    assert found is not None and found.tasks == (0, 1, 2)
