"""The search for an execution order: equal to brute force over all topological orders."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.plan import order
from compiler.plan.memory import Size
from compiler.plan.order import Task, least_peak_order, peak_of

SIZES = st.builds(Size, st.integers(0, 6), st.integers(0, 6))


@dataclass(frozen=True)
class Graph:
    tasks: tuple[Task, ...]
    sizes: dict[str, Size]

    @property
    def before(self) -> list[set[int]]:
        """For each task those that have to be over."""
        makers = {v: {i for i, t in enumerate(self.tasks) if t.makes == v} for v in self.sizes}
        return [set(t.after).union(*(makers[v] for v in t.reads)) for t in self.tasks]


@st.composite
def graphs(draw, most: int = 7) -> Graph:
    """Random tasks; each reads and waits for any before it, some values have two makers."""
    tasks: list[Task] = []
    sizes: dict[str, Size] = {}
    count = draw(st.integers(1, most))
    unread: set[str] = set()
    while len(tasks) < count:
        whole = sorted(set(sizes) - unread)
        reads = draw(st.frozensets(st.sampled_from(whole), max_size=3)) if whole else frozenset()
        after = st.frozensets(st.integers(0, len(tasks) - 1), max_size=2) if tasks else st.just(())
        joins = sorted(unread) if draw(st.booleans()) else []
        value = joins[0] if joins else f"v{len(tasks)}"
        tasks.append(Task(value, reads, frozenset(draw(after)), draw(SIZES)))
        sizes.setdefault(value, draw(SIZES))
        unread = unread - {value} if joins or draw(st.booleans()) else unread | {value}
    return Graph(tuple(tasks), sizes)


def topological_orders(graph: Graph) -> Iterator[tuple[int, ...]]:
    for sequence in permutations(range(len(graph.tasks))):
        at = {task: i for i, task in enumerate(sequence)}
        if all(at[n] < at[i] for i, before in enumerate(graph.before) for n in before):
            yield sequence


def simulated_peak(graph: Graph, sequence: Sequence[int]) -> Size:
    """Written from the definition: while each task runs, every value that has its memory."""
    at = {task: i for i, task in enumerate(sequence)}
    peak = Size(0, 0)
    for now, running in enumerate(sequence):
        total = graph.tasks[running].scratch
        for value, size in graph.sizes.items():
            made = [at[i] for i, task in enumerate(graph.tasks) if task.makes == value]
            read = [at[i] for i, task in enumerate(graph.tasks) if value in task.reads]
            if min(made) <= now <= max(read, default=len(sequence)):
                total += size
        peak = max(peak, total)
    return peak


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_the_peak_found_is_that_of_brute_force(graph):
    found = least_peak_order(graph.tasks, graph.sizes)
    assert found is not None and found.is_exact
    orders = set(topological_orders(graph))
    assert found.tasks in orders
    assert found.peak == simulated_peak(graph, found.tasks)
    assert found.peak == min(simulated_peak(graph, order) for order in orders)


@settings(deadline=None)
@given(graphs(most=12))
def test_the_peak_of_an_order_is_what_a_simulation_says(graph):
    given_order = range(len(graph.tasks))
    assert peak_of(graph.tasks, graph.sizes, given_order) == simulated_peak(graph, given_order)


@settings(deadline=None)
@given(graphs(most=14))
def test_a_narrow_beam_is_never_worse_than_the_given_order(graph):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "BEAM", 1)
        found = least_peak_order(graph.tasks, graph.sizes)
    assert found is not None
    assert found.peak == simulated_peak(graph, found.tasks)
    assert found.peak <= simulated_peak(graph, range(len(graph.tasks)))


def wide_graph(chains: int) -> Graph:
    """Chains of two side by side, a large result made small, and one task that reads them all."""
    tasks = [Task(f"large{i}") for i in range(chains)]
    tasks += [Task(f"small{i}", frozenset({f"large{i}"})) for i in range(chains)]
    tasks.append(Task("sum", frozenset(f"small{i}" for i in range(chains))))
    sizes = {str(t.makes): Size(8 if "large" in str(t.makes) else 1, 0) for t in tasks}
    return Graph(tuple(tasks), sizes)


def test_branches_are_finished_one_after_another():
    graph = wide_graph(4)  # in the given order all four large results live together
    assert peak_of(graph.tasks, graph.sizes, range(9)) == Size(33, 0)
    found = least_peak_order(graph.tasks, graph.sizes)
    assert found is not None and found.is_exact
    assert found.peak == Size(3 + 8 + 1, 0)


def test_a_graph_beyond_the_limit_is_searched_without_a_promise():
    graph = wide_graph(12)  # 3^12 sets
    found = least_peak_order(graph.tasks, graph.sizes)
    assert found is not None and not found.is_exact
    assert found.peak == Size(11 + 8 + 1, 0)


def test_a_value_of_two_parts_takes_its_memory_once():
    tasks = (Task("sum"), Task("sum"), Task("out", frozenset({"sum"})))
    found = least_peak_order(tasks, {"sum": Size(8, 0), "out": Size(1, 0)})
    assert found is not None and found.peak == Size(9, 0)


def test_a_circle_has_no_order():
    tasks = (Task("a", after=frozenset({1})), Task("b", frozenset({"a"})))
    assert least_peak_order(tasks, {"a": Size(1, 0), "b": Size(1, 0)}) is None


def test_the_given_order_stays_where_none_is_better():
    tasks = (Task("a"), Task("b"), Task("c", frozenset({"a", "b"})))
    found = least_peak_order(tasks, {v: Size(1, 0) for v in "abc"})
    assert found is not None and found.tasks == (0, 1, 2)
