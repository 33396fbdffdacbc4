"""The memory planner: no two live buffers overlap, whatever the width."""

from hypothesis import given
from hypothesis import strategies as st

from compiler.memory import Buffer, Size, plan_memory

ALIGNMENT = 16
SIZES = st.builds(Size, st.integers(0, 300), st.integers(0, 5000))


@st.composite
def buffers(draw) -> list[Buffer]:
    made = []
    for i in range(draw(st.integers(1, 12))):
        first = draw(st.integers(0, 9))
        made.append(Buffer(f"b{i}", draw(SIZES), first, draw(st.integers(first, 9))))
    return made


@given(buffers(), st.integers(1, 8192))
def test_buffers_that_live_together_do_not_overlap(made, width):
    plan = plan_memory(made, ALIGNMENT)
    spans = {b.name: (plan.offsets[b.name].at(width), b.size.at(width)) for b in made}
    for a in made:
        for b in made:
            if a.name < b.name and a.is_alive_with(b):
                (start_a, size_a), (start_b, size_b) = spans[a.name], spans[b.name]
                assert start_a + size_a <= start_b or start_b + size_b <= start_a


@given(buffers(), st.integers(1, 8192))
def test_everything_lies_inside_the_arena_and_is_aligned(made, width):
    plan = plan_memory(made, ALIGNMENT)
    for b in made:
        start = plan.offsets[b.name].at(width)
        assert start % ALIGNMENT == 0
        assert start >= 0 and start + b.size.at(width) <= plan.arena.at(width)


def test_buffers_that_never_meet_share_their_place():
    early, late = Buffer("early", Size(32, 64), 0, 1), Buffer("late", Size(16, 640), 2, 3)
    plan = plan_memory([early, late], ALIGNMENT)
    assert plan.offsets == {"early": Size(0, 0), "late": Size(0, 0)}
    assert plan.arena == Size(32, 640)  # the larger of each coefficient, for every width


def test_buffers_that_meet_in_one_step_do_not():
    plan = plan_memory([Buffer("a", Size(16, 0), 0, 1), Buffer("b", Size(16, 0), 1, 2)], ALIGNMENT)
    assert plan.arena == Size(32, 0)
