"""Times that no file can mean, and what becomes of them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from chunking.clock import Clock
from chunking.video import probe


@pytest.fixture
def info(make_clip, moving_frames):
    """30 frames a second in ticks of 1/3000 s: an interval is 100 ticks."""
    clip = make_clip(moving_frames(2), pts=[0, 100], time_base=Fraction(1, 3000))
    return replace(probe(clip), frame_rate=Fraction(30))


@pytest.mark.parametrize(
    "stated, ticks, said",
    [
        ([0, 100, 250, 251], [0, 100, 250, 251], None),
        ([7000, 7100], [7000, 7100], None),
        ([0, 100, 50, 300], [0, 100, 101, 300], "do not rise"),
        ([0, 0, 0], [0, 1, 2], "do not rise"),
        ([-300, -200, 50], [0, 100, 350], "300 ticks before zero"),
        ([None, None, None], [0, 100, 200], "without a time"),
        ([-300, None, 0], [0, 100, 300], "before zero"),
    ],
)
def test_times_rise_from_zero(info, stated, ticks, said):
    warnings: list[str] = []
    clock = Clock(info, warnings.append)
    assert [clock.ticks_of(pts, i) for i, pts in enumerate(stated)] == ticks
    assert len(warnings) == (said is not None) and all(said in text for text in warnings)


def test_the_numerator_of_a_time_base_multiplies(info):
    clock = Clock(replace(info, tick_factor=1001), lambda message: None)
    assert [clock.ticks_of(pts, pts) for pts in (0, 1, 3)] == [0, 1001, 3003]


def test_streams_without_times_are_counted(info):
    raw = replace(info, has_timestamps=False, tick_factor=1001)
    assert [Clock(raw, lambda message: None).ticks_of(None, i) for i in range(3)] == [0, 1001, 2002]
