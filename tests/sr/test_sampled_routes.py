"""Cells sampled in blocks, and the errors of all others by the cells that look most alike."""

import numpy as np
import pytest

from chunking.grid import Grid
from player.package.paths import BICUBIC, EASY, HARD
from sr.encode.sampled_routes import (
    BLOCK,
    FEATURES,
    draw_samples,
    feature_table,
    frame_features,
    luma_of,
    nearest_errors,
    standardised,
)


@pytest.mark.parametrize(("share", "shape"), [(0.1, (15, 8, 14)), (0.05, (20, 23, 40))])
def test_samples_are_whole_blocks_of_about_the_share(share: float, shape):
    sampled = draw_samples(shape, share, seed=0)
    assert sampled.mean() == pytest.approx(share, rel=0.3)
    for y in range(0, shape[1], BLOCK):
        for x in range(0, shape[2], BLOCK):
            block = sampled[:, y : y + BLOCK, x : x + BLOCK].reshape(shape[0], -1)
            assert (block.all(axis=1) == block.any(axis=1)).all()


def test_samples_are_spread_over_time_and_places():
    sampled = draw_samples((40, 16, 16), 0.05, seed=3)
    halves = sampled.reshape(2, 20, 16, 16).sum(axis=(1, 2, 3))
    assert abs(int(halves[0]) - int(halves[1])) <= 2 * BLOCK * BLOCK
    visits = sampled.sum(axis=0)
    assert visits.max() - visits.min() <= 1


def test_samples_depend_on_the_seed_alone():
    first, again, other = (draw_samples((9, 8, 8), 0.1, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 3), (3, 1, 9)])
def test_small_videos_have_at_least_one_block_and_at_most_all(shape):
    assert draw_samples(shape, 0.01, seed=0).any()
    assert draw_samples(shape, 1.0, seed=0).all()


SHAPE = (6, 8, 12)


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(6 * 8 * 12, len(FEATURES))).astype(np.float32)


def errors_of(features: np.ndarray) -> np.ndarray:
    """[3, G, gh, gw]: what a path leaves of bicubic's error depends on the features alone."""
    cheap = np.random.default_rng(1).uniform(50, 5000, SHAPE)
    left = 1 / (1 + np.exp(features[:, 0])).reshape(SHAPE)
    return np.stack([cheap, cheap * (0.5 + left / 2), cheap * left])


def seen(errors: np.ndarray, sampled: np.ndarray) -> np.ndarray:
    """Nothing may be read where nothing was sampled."""
    return np.where(sampled, errors, np.nan)


def test_errors_follow_what_cells_look_like(features):
    features[:, 1:] *= 0  # as constant columns are
    sse, sampled = errors_of(features), draw_samples(SHAPE, 0.2, seed=0)
    predicted = nearest_errors(features, sse[BICUBIC], sampled, seen(sse, sampled))
    assert np.array_equal(predicted[BICUBIC], sse[BICUBIC])
    assert np.array_equal(predicted[:, sampled], sse[:, sampled])
    off = np.abs(predicted - sse)[1:, ~sampled] / sse[BICUBIC][~sampled]
    assert np.median(off) < 0.02


def test_the_nearest_are_weighed_by_their_distance(features):
    sse, sampled = errors_of(features), draw_samples(SHAPE, 0.2, seed=0)
    predicted = nearest_errors(features, sse[BICUBIC], sampled, seen(sse, sampled))
    known, table = np.flatnonzero(sampled), standardised(features)
    for cell in np.flatnonzero(~sampled)[::37]:
        distance = np.linalg.norm(table[known] - table[cell], axis=1)
        nearest = np.argsort(distance)[:4]
        weights = 1 / (distance[nearest] + 1e-3)
        for path in (EASY, HARD):
            left = (sse[path] / sse[BICUBIC]).ravel()[known[nearest]]
            wanted = (left * weights).sum() / weights.sum() * sse[BICUBIC].ravel()[cell]
            assert predicted[path].ravel()[cell] == pytest.approx(wanted, rel=1e-4)


def test_a_path_that_the_network_lacks_stays_infinite(features):
    sse, sampled = errors_of(features), draw_samples(SHAPE, 0.1, seed=0)
    sse[EASY] = np.inf
    predicted = nearest_errors(features, sse[BICUBIC], sampled, seen(sse, sampled))
    assert np.isinf(predicted[EASY]).all()
    assert np.isfinite(predicted[[BICUBIC, HARD]]).all()


@pytest.mark.parametrize("count", [1, 3])
def test_fewer_samples_than_neighbours_are_enough(features, count):
    sse, sampled = errors_of(features), np.zeros(SHAPE, bool)
    sampled[0, 0, :count] = True
    predicted = nearest_errors(features, sse[BICUBIC], sampled, seen(sse, sampled))
    assert np.isfinite(predicted).all()
    left = sse[HARD][sampled] / sse[BICUBIC][sampled]
    share = predicted[HARD] / sse[BICUBIC]
    assert left.min() - 1e-9 <= share.min() <= share.max() <= left.max() + 1e-9


def test_cells_without_any_error_are_no_fault(features):
    """Black bars: bicubic is exact there, and the ratio has no meaning."""
    sse, sampled = errors_of(features), draw_samples(SHAPE, 0.3, seed=0)
    sse[:, :, :2] = 0
    assert np.isfinite(nearest_errors(features, sse[0], sampled, seen(sse, sampled))).all()


def test_cells_at_the_border_have_features_and_a_still_frame_no_motion():
    grid = Grid(35, 50, 12, 12)
    frame = np.random.default_rng(0).integers(0, 256, (35, 50, 3), dtype=np.uint8)
    luma = luma_of(frame)
    found = frame_features(luma, luma, grid)
    assert found.shape == (*grid.shape, len(FEATURES) - 1)
    assert not found[..., FEATURES.index("log temporal difference")].any()
    cheap = np.ones((1, *grid.shape))
    table = feature_table(found[None], cheap, grid)
    assert table.shape == (3 * 5, len(FEATURES))
    assert np.isfinite(table).all()


def test_a_constant_feature_says_nothing():
    table = np.stack([np.full(9, 0.1), np.arange(9.0)], axis=1).astype(np.float32)
    assert not standardised(table)[:, 0].any()
    assert standardised(table)[:, 1].std() == pytest.approx(1)
