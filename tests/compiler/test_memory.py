"""The memory planner: no two live buffers overlap, whatever the width, and little is wasted."""

from collections.abc import Sequence
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.plan.memory import Buffer, Size, least_arena, plan_memory

ALIGNMENT = 16
COLUMNS = st.sampled_from([1, 4, 16, 24])
SIZES = st.builds(Size, st.integers(0, 300), st.integers(0, 5000))


@st.composite
def buffers(draw, most: int = 12, sizes: st.SearchStrategy[Size] = SIZES) -> list[Buffer]:
    made = []
    for i in range(draw(st.integers(1, most))):
        first = draw(st.integers(0, 9))
        made.append(Buffer(f"b{i}", draw(sizes), first, draw(st.integers(first, 9))))
    return made


def size_in_slots(made: Sequence[Buffer]) -> Size:
    """The planner that this one replaced, from its description: greedy, the largest first."""
    slots: list[list[Buffer]] = []
    for buffer in sorted(made, key=lambda b: (b.size, b.name), reverse=True):
        for slot in slots:
            if not any(buffer.is_alive_with(other) for other in slot):
                slot.append(buffer)
                break
        else:
            slots.append([buffer])
    grain = Size(ALIGNMENT, ALIGNMENT)
    total = Size(0, 0)
    for slot in slots:
        height = Size(0, 0)
        for buffer in slot:
            height = height.covering(buffer.size.aligned(grain))
        total += height
    return total


@settings(deadline=None)
@given(buffers(), COLUMNS, st.integers(1, 8192))
def test_buffers_that_live_together_do_not_overlap(made, columns, width):
    plan = plan_memory(made, ALIGNMENT, columns)
    width *= columns
    spans = {b.name: (plan.offsets[b.name].at(width), b.size.at(width)) for b in made}
    for a in made:
        for b in made:
            if a.name < b.name and a.is_alive_with(b):
                (start_a, size_a), (start_b, size_b) = spans[a.name], spans[b.name]
                assert start_a + size_a <= start_b or start_b + size_b <= start_a


@settings(deadline=None)
@given(buffers(), COLUMNS, st.integers(1, 8192))
def test_everything_lies_inside_the_arena_and_is_aligned(made, columns, width):
    plan = plan_memory(made, ALIGNMENT, columns)
    width *= columns
    assert set(plan.offsets) == {b.name for b in made}
    for b in made:
        start = plan.offsets[b.name].at(width)
        assert start % ALIGNMENT == 0
        assert start >= 0 and start + b.size.at(width) <= plan.arena.at(width)


@settings(deadline=None)
@given(buffers(), st.integers(0, 8192))
def test_the_arena_is_never_larger_than_with_slots(made, width):
    assert plan_memory(made, ALIGNMENT).arena.at(width) <= size_in_slots(made).at(width)


@settings(deadline=None)
@given(buffers(), COLUMNS)
def test_the_arena_is_not_below_what_is_alive_at_once(made, columns):
    assert plan_memory(made, ALIGNMENT, columns).arena >= least_arena(made)


def least_of_all_orders(made: Sequence[Buffer]) -> int:
    """Brute force at one width: every order, each buffer as low as those before it allow."""
    best = sum(b.size.fixed for b in made)
    for order in permutations(made):
        ends: list[tuple[Buffer, int]] = []
        for buffer in order:
            below = [end for other, end in ends if buffer.is_alive_with(other)]
            ends.append((buffer, max(below, default=0) + buffer.size.fixed))
        best = min(best, max(end for _, end in ends))
    return best


@settings(max_examples=60, deadline=None)
@given(buffers(most=5, sizes=st.builds(Size, st.just(0), st.integers(1, 9).map(ALIGNMENT.__mul__))))
def test_few_buffers_lie_as_well_as_they_can(made):
    assert plan_memory(made, ALIGNMENT).arena == Size(0, least_of_all_orders(made))


def test_buffers_that_never_meet_share_their_place():
    early, late = Buffer("early", Size(32, 64), 0, 1), Buffer("late", Size(16, 640), 2, 3)
    plan = plan_memory([early, late], ALIGNMENT)
    assert plan.offsets == {"early": Size(0, 0), "late": Size(0, 0)}
    assert plan.arena == Size(32, 640)  # the larger of each coefficient, for every width


def test_buffers_that_meet_in_one_step_do_not():
    plan = plan_memory([Buffer("a", Size(16, 0), 0, 1), Buffer("b", Size(16, 0), 1, 2)], ALIGNMENT)
    assert plan.arena == Size(32, 0)


def test_two_small_buffers_lie_in_the_place_of_a_large_one():
    made = [
        Buffer("large", Size(64, 0), 0, 0),
        Buffer("left", Size(32, 0), 1, 1),
        Buffer("right", Size(32, 0), 1, 1),
    ]
    assert size_in_slots(made) == Size(96, 0)
    assert plan_memory(made, ALIGNMENT).arena == Size(64, 0)


def test_columns_that_come_in_dozens_need_no_padding_each():
    ring = Buffer("ring", Size(12, 5), 0, 0)
    assert plan_memory([ring], ALIGNMENT).arena == Size(16, 16)
    assert plan_memory([ring], ALIGNMENT, columns=4).arena == Size(12, 16)


def test_no_buffers_need_no_arena():
    assert plan_memory([], ALIGNMENT).arena == Size(0, 0)
