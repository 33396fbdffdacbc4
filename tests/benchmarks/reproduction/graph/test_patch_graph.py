"""Nodes, features and edges of the space-time graph, against plain references."""

import cv2
import numpy as np
import pytest

from benchmarks.reproduction.graph.patch_graph import (
    SIMILAR,
    SPATIAL,
    TEMPORAL,
    build_patch_graph,
)
from chunking.grid import Grid
from sr.encode.sampled_routes import FEATURES, standardised


def _frames(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def _graph(frames, grid, groups, segments=None, **options):
    count = int(groups[-1]) + 1
    errors = np.random.default_rng(1).uniform(1, 50, (count, *grid.shape))
    return build_patch_graph(frames, grid, np.asarray(groups), errors, segments, **options)


def test_sizes_which_do_not_divide_give_every_node_finite_features() -> None:
    grid = Grid(35, 50, 12, 12)
    graph = _graph(_frames(5, 35, 50), grid, np.array([0, 0, 1, 1, 2]))
    assert graph.shape == (3, 3, 5)
    assert graph.features.shape == (45, len(FEATURES))
    assert np.isfinite(graph.features).all()


def test_pairs_are_undirected_and_held_once() -> None:
    graph = _graph(_frames(4, 36, 36), Grid(36, 36, 12, 12), np.arange(4))
    assert (graph.pairs[:, 0] < graph.pairs[:, 1]).all()
    assert len(np.unique(graph.pairs, axis=0)) == len(graph.pairs) == len(graph.kinds)


def test_spatial_pairs_are_the_cells_that_share_a_side() -> None:
    grid = Grid(36, 48, 12, 12)
    graph = _graph(_frames(2, 36, 48), grid, np.arange(2), neighbours=0)
    found = {tuple(p) for p in graph.pairs[graph.kinds == SPATIAL].tolist()}
    places = [(g, y, x) for g in range(2) for y in range(3) for x in range(4)]
    wanted = {
        (i, j)
        for i, a in enumerate(places)
        for j, b in enumerate(places)
        if i < j and a[0] == b[0] and abs(a[1] - b[1]) + abs(a[2] - b[2]) == 1
    }
    assert found == wanted


def test_similar_pairs_are_the_nearest_in_features() -> None:
    graph = _graph(_frames(2, 36, 36), Grid(36, 36, 12, 12), np.arange(2), neighbours=2)
    x = standardised(graph.features)
    distance = np.linalg.norm(x[:, None] - x[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    nearest = np.argsort(distance, axis=1)[:, :2]
    wanted = {tuple(sorted((i, int(j)))) for i, row in enumerate(nearest) for j in row}
    pairs = {tuple(p) for p in graph.pairs.tolist()}
    assert wanted <= pairs
    assert {tuple(p) for p in graph.pairs[graph.kinds == SIMILAR].tolist()} <= wanted


def test_temporal_pairs_follow_the_motion() -> None:
    """A texture that moves by one cell to the right: cell x meets cell x + 1."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (8, 16), dtype=np.uint8)
    texture = cv2.resize(coarse, (128, 60), interpolation=cv2.INTER_CUBIC)
    frames = [np.repeat(texture[:, 16 - dx : 112 - dx, None], 3, axis=2) for dx in (0, 8)]
    grid = Grid(60, 96, 12, 8)
    graph = _graph(frames, grid, np.arange(2), neighbours=0)
    temporal = graph.pairs[graph.kinds == TEMPORAL]
    cells = 5 * 12
    moved = (temporal[:, 1] - cells) % 12 - temporal[:, 0] % 12
    interior = (temporal[:, 0] % 12 > 1) & (temporal[:, 0] % 12 < 10)
    assert np.mean(moved[interior] == 1) > 0.9


def test_still_content_meets_itself() -> None:
    frames = np.repeat(_frames(1, 48, 48), 3, axis=0)
    graph = _graph(frames, Grid(48, 48, 12, 12), np.arange(3), neighbours=0)
    temporal = graph.pairs[graph.kinds == TEMPORAL]
    assert len(temporal) == 2 * 16
    assert (temporal[:, 1] - temporal[:, 0] == 16).all()


def test_no_temporal_pair_joins_two_segments() -> None:
    grid = Grid(24, 24, 12, 12)
    segments = np.array([0, 0, 1, 1])
    graph = _graph(_frames(4, 24, 24), grid, np.arange(4), segments)
    temporal = graph.pairs[graph.kinds == TEMPORAL] // 4
    assert set(map(tuple, temporal.tolist())) == {(0, 1), (2, 3)}


def test_a_change_of_segment_is_no_temporal_difference() -> None:
    frames = _frames(2, 24, 24)
    column = FEATURES.index("log temporal difference")
    together = _graph(frames, Grid(24, 24, 12, 12), np.arange(2))
    apart = _graph(frames, Grid(24, 24, 12, 12), np.arange(2), np.arange(2))
    assert (together.features[4:, column] > 1).all()
    assert (apart.features[4:, column] == 0).all()


def test_one_node_has_no_pair() -> None:
    graph = _graph(_frames(1, 9, 9), Grid(9, 9, 12, 12), np.zeros(1, int))
    assert graph.nodes == 1
    assert graph.pairs.shape == (0, 2)
    assert not standardised(graph.features).any()


@pytest.mark.parametrize(("groups", "count"), [([0, 2], 3), ([1, 0], 2), ([0, 0], 2), ([], 0)])
def test_groups_that_skip_or_fall_are_refused(groups: list[int], count: int) -> None:
    errors = np.ones((count, 2, 2))
    with pytest.raises(ValueError, match="groups of frames"):
        build_patch_graph(_frames(2, 24, 24), Grid(24, 24, 12, 12), np.array(groups, int), errors)


def test_errors_of_another_grid_are_refused() -> None:
    with pytest.raises(ValueError, match="on a grid of"):
        build_patch_graph(
            _frames(1, 24, 24), Grid(24, 24, 12, 12), np.zeros(1, int), np.ones((1, 3, 3))
        )
