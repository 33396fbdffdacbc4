"""The route map of an encode: which frames keep one route, and at which size of cell."""

from pathlib import Path

import numpy as np

from chunking.route_plan import plan_routes
from player.package.paths import path_of
from player.package.streams import Segment
from sr.encode.routing import frame_groups


def segments(*frames: int) -> list[Segment]:
    return [Segment(Path(f"seg-{i}"), 0, 0, count) for i, count in enumerate(frames)]


def test_groups_hold_a_route_and_end_with_their_segment():
    groups = frame_groups(segments(5, 3, 8), hold_frames=4)
    assert groups.tolist() == [0, 0, 0, 0, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4]
    assert frame_groups(segments(3), hold_frames=1).tolist() == [0, 1, 2]


def test_costs_that_differ_between_groups_decide_between_them():
    """The same gain is bought where fewer frames pay for it."""
    sse = np.array([[[[9.0]], [[9.0]]], [[[9.0]], [[9.0]]], [[[1.0]], [[1.0]]]])
    macs = np.array([0.0, 1.0, 2.0])[:, None, None, None] * np.array([8.0, 1.0])[:, None, None]
    codes = plan_routes(sse, macs, budget_macs=3.0)
    assert path_of(codes).ravel().tolist() == [0, 2]
