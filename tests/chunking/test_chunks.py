"""Chunks: equal counts, equal errors, and the split threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunking.chunks import equal_count, error_balanced, split_threshold

clips = st.tuples(st.integers(8, 200), st.integers(1, 8), st.integers(0, 2**32 - 1))


def scores_and_errors(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """PSNRs spread as in real clips, and the squared errors that belong to them."""
    scores = np.random.default_rng(seed).normal(40, 6, count)
    return scores, 10 ** (-scores / 10)


def assert_labels_follow_scores(labels: np.ndarray, scores: np.ndarray, k: int) -> None:
    assert set(labels.ravel()) == set(range(k))
    assert (np.diff(labels.ravel()[np.argsort(scores.ravel(), kind="stable")]) >= 0).all()


@given(clips)
def test_equal_count_differs_by_one_at_most(clip):
    count, k, seed = clip
    scores, _ = scores_and_errors(count, seed)
    labels = equal_count(scores, k)
    assert_labels_follow_scores(labels, scores, k)
    assert np.ptp(np.bincount(labels)) <= 1


@given(clips)
def test_error_balanced_chunks_carry_like_errors(clip):
    count, k, seed = clip
    scores, sse = scores_and_errors(count, seed)
    labels = error_balanced(scores, sse, k)
    assert_labels_follow_scores(labels, scores, k)
    carried = np.bincount(labels, weights=sse)
    if sse.max() < sse.sum() / (2 * k):  # no patch so bad that it fills half a chunk
        assert np.abs(carried - sse.sum() / k).max() <= sse.max()


def test_error_balance_where_equal_counts_fail():
    scores, sse = scores_and_errors(4000, 1)
    shares = {
        rule: np.bincount(labels, weights=sse) / sse.sum()
        for rule, labels in {
            "count": equal_count(scores, 4),
            "error": error_balanced(scores, sse, 4),
        }.items()
    }
    assert shares["count"][0] > 0.7  # STDO's vlog_15: 77 % in the worst quarter
    assert np.abs(shares["error"] - 0.25).max() < 0.02


def test_labels_keep_the_shape_of_the_clip_and_ties_are_stable():
    scores = np.full((3, 2, 4), 30.0)
    labels = equal_count(scores, 3)
    assert labels.shape == (3, 2, 4)
    assert labels.ravel().tolist() == [0] * 8 + [1] * 8 + [2] * 8


def test_perfect_patches_and_impossible_counts():
    assert np.ptp(np.bincount(error_balanced(np.arange(9.0), np.zeros(9), 3))) == 0
    with pytest.raises(ValueError, match="2 patches cannot make 3 chunks"):
        equal_count(np.zeros(2), 3)


@given(st.floats(0, 1), st.integers(4, 300), st.integers(0, 2**32 - 1))
def test_threshold_gives_the_share_asked_for(share, count, seed):
    rng = np.random.default_rng(seed)
    scores, pixels = rng.normal(40, 6, count), rng.integers(1, 10_000, count)
    below = scores < split_threshold(scores, share, pixels)
    reached = pixels[below].sum() / pixels.sum()
    assert abs(reached - share) <= pixels.max() / pixels.sum() / 2 + 1e-9


def test_threshold_for_nothing_and_everything():
    scores = np.array([[30.0, 40.0], [35.0, 45.0]])
    assert split_threshold(scores, 0) == 30
    assert split_threshold(scores, 0.5) == 40
    assert split_threshold(scores, 1) == np.inf
    with pytest.raises(ValueError, match="share"):
        split_threshold(scores, 1.5)
