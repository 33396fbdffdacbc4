"""What each method trains on, against its definition."""

import numpy as np
import pytest

from sr.encode.difficulty import coarse_sums
from sr.encode.methods import (
    EASY_SHARE,
    METHODS,
    Difficulty,
    chunk_labels,
    chunk_thresholds_db,
    time_labels,
)
from sr.encode.records import PRESETS, TrainingOptions

CONFIG = TrainingOptions(chunks=4)
FINE = np.random.default_rng(0).normal(30, 4, (5, 4, 6))
CELLS = np.full((5, 36, 48), 1.0, np.float32)
DIFFICULTY = Difficulty(FINE, coarse_sums(FINE) / 4, CELLS)


def test_stdo_gives_each_patch_to_one_network_and_shares_the_steps():
    tasks = METHODS["stdo"].tasks(DIFFICULTY, CONFIG)
    shares = np.stack([task.shares for task in tasks])
    assert np.array_equal(shares.sum(axis=0), np.ones_like(FINE))
    assert [int(s.sum()) for s in shares] == [30, 30, 30, 30]
    assert sum(task.steps for task in tasks) == PRESETS["balanced"].steps
    hardest, easiest = shares[0] == 1, shares[3] == 1
    assert FINE[hardest].max() <= FINE[easiest].min()


def test_jstdo_takes_all_of_the_hardest_chunk_none_of_the_easiest_and_falls_between():
    (task,) = METHODS["jstdo"].tasks(DIFFICULTY, CONFIG)
    order = np.argsort(FINE, axis=None)
    ranked = task.shares.ravel()[order]
    assert np.all(np.diff(ranked) <= 0)
    assert np.allclose(np.unique(ranked), [0, 1 / 3, 2 / 3, 1])
    assert task.steps == PRESETS["balanced"].steps


def test_dydca_draws_patches_by_their_error_and_the_hard_share_twice_as_often():
    config = TrainingOptions(hard_share=0.25)
    (task,) = METHODS["dydca"].tasks(DIFFICULTY, config)
    factor = task.shares / 10 ** (-FINE / 20)
    assert np.unique(factor.round(9)).tolist() == [EASY_SHARE, 1.0]
    assert np.mean(factor > 0.9) == pytest.approx(0.25, abs=0.05)
    blocks = factor.reshape(5, 2, 2, 3, 2).round(9)
    assert np.array_equal(blocks.min(axis=(2, 4)), blocks.max(axis=(2, 4)))


def test_awdnn_takes_everything_alike():
    (task,) = METHODS["awdnn"].tasks(DIFFICULTY, CONFIG)
    assert np.array_equal(task.shares, np.ones_like(FINE))
    assert task.steps == PRESETS["balanced"].steps


def test_nas_gives_each_frame_to_one_network_in_the_order_of_time():
    tasks = METHODS["nas"].tasks(DIFFICULTY, TrainingOptions(chunks=2))
    assert [task.shares.mean(axis=(1, 2)).tolist() for task in tasks] == [
        [1, 1, 1, 0, 0], [0, 0, 0, 1, 1],
    ]  # fmt: skip
    assert sum(task.steps for task in tasks) == PRESETS["balanced"].steps
    assert time_labels(10, 3).tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize(("method", "changes"), [("cafm", "scalars"), ("delta", "all")])
def test_half_of_the_steps_are_for_all_and_half_for_what_each_stretch_changes(method, changes):
    first, *own = METHODS[method].tasks(DIFFICULTY, TrainingOptions(chunks=2))
    assert first.changes is None and np.array_equal(first.shares, np.ones_like(FINE))
    assert [task.changes for task in own] == [changes] * 2
    assert np.array_equal(own[0].shares + own[1].shares, first.shares)
    assert first.steps == sum(task.steps for task in own) == PRESETS["balanced"].steps // 2


@pytest.mark.parametrize("rule", ["quantile", "error"])
def test_chunk_thresholds_put_the_training_patches_back_into_their_chunks(rule):
    config = TrainingOptions(chunks=4, chunk_rule=rule)
    tasks = METHODS["stdo"].tasks(DIFFICULTY, config)
    limits_db = chunk_thresholds_db(FINE, chunk_labels(DIFFICULTY, config))
    labels = np.searchsorted(limits_db, FINE, side="right")
    for i, task in enumerate(tasks):
        assert np.array_equal(labels == i, task.shares == 1)


def test_coarse_sums_add_partial_coarse_patches_too():
    cells = np.arange(15.0).reshape(1, 3, 5)
    expected = [[0 + 1 + 5 + 6, 2 + 3 + 7 + 8, 4 + 9], [10 + 11, 12 + 13, 14]]
    assert np.array_equal(coarse_sums(cells)[0], expected)


def test_the_error_rule_gives_every_chunk_about_the_same_error():
    config = TrainingOptions(chunks=3, chunk_rule="error")
    errors = 10 ** (-FINE / 10)
    tasks = METHODS["stdo"].tasks(DIFFICULTY, config)
    carried = [errors[task.shares == 1].sum() / errors.sum() for task in tasks]
    assert carried == pytest.approx([1 / 3] * 3, abs=errors.max() / errors.sum())
    counts = [int(task.shares.sum()) for task in tasks]
    assert counts == sorted(counts), "hard patches carry more, so that fewer make a chunk"
