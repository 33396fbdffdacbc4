"""Fair pruning on a ResNet, small: its term, its groups, equal widths, arms that differ, rows."""

import numpy as np
import pytest
import torch

from benchmarks.reproduction import fair_prune
from benchmarks.reproduction.classify import AS_THEY_ARE, predict
from benchmarks.reproduction.datasets import LabelledImages, TrainAndTest
from benchmarks.reproduction.fair import (
    ARMS,
    BIFP,
    FINETUNED,
    L1,
    VERSION,
    claims,
    measured,
)
from benchmarks.reproduction.fair_loss import AccuracyTerm, soft_accuracy
from benchmarks.reproduction.fair_prune import Settings, Trial, prune, trained_dense, trial_rows
from benchmarks.reproduction.fair_tasks import Ground, cifar_ground
from benchmarks.reproduction.rows import RowStore
from sr.shrink.fair_term import Fairness

TINY = Settings(dense_steps=6, steps=24, width=4, batch=8, kept=0.5, checked_every=4)


def images(count: int, seed: int) -> LabelledImages:
    """Bright or dark; every fourth image is of the minority, whose contrast is less."""
    rng = np.random.default_rng(seed)
    labels, groups = rng.integers(0, 2, count), (np.arange(count) % 4 == 0).astype(np.int64)
    pictures = rng.integers(90, 130, (count, 16, 16, 3), np.uint8)
    pictures[labels == 1] += 60
    pictures[groups == 1] = 100 + pictures[groups == 1] // 8
    return LabelledImages(pictures, labels, ("dark", "bright"), groups, ("most", "few"))


@pytest.fixture
def trial() -> Trial:
    ground = Ground("tiny", images(64, 0), images(32, 1), images(40, 2), AS_THEY_ARE)
    return Trial(TINY, ground, 0)


def test_soft_accuracy_is_that_of_the_margin():
    logits = torch.tensor([[3.0, 0.0], [0.0, 0.0], [-9.0, 9.0]])
    got = soft_accuracy(logits, torch.tensor([0, 1, 0]), torch.tensor([0, 0, 1]), 2)
    right = torch.sigmoid(torch.tensor(6.0))
    assert got.tolist() == pytest.approx([float(right + 0.5) / 2, 0.0], abs=1e-6)


def test_the_term_lifts_the_group_that_does_worse_only():
    term = AccuracyTerm(2, Fairness(memory=0.0))
    logits = torch.tensor([[2.0, 0.0], [0.2, 0.0]], requires_grad=True)
    term(logits, torch.tensor([0, 0]), torch.tensor([0, 1])).backward()
    better, worse = logits.grad
    assert float(better[0]) == 0
    assert float(worse[0]) < 0


def test_arms_begin_alike_end_as_wide_and_differ(trial):
    dense = trained_dense(trial)
    before = predict(dense, trial.ground.test)
    found = {name: prune(trial, dense, arm).network for name, arm in ARMS.items()}
    assert torch.equal(before, predict(dense, trial.ground.test))
    assert {network.inner_widths for network in found.values()} == {trial.widths}
    logits = [predict(network, trial.ground.test) for network in found.values()]
    for i, one in enumerate(logits):
        assert torch.isfinite(one).all()
        for other in logits[:i]:
            assert not torch.equal(one, other)


def test_an_arm_repeats(trial):
    dense = trained_dense(trial)
    first, again = (prune(trial, dense, ARMS[BIFP]) for _ in range(2))
    assert torch.equal(
        predict(first.network, trial.ground.test), predict(again.network, trial.ground.test)
    )


def test_rows_resume_without_training_anew(trial, tmp_path, monkeypatch):
    rows = trial_rows(trial, ARMS, measured, RowStore(tmp_path), VERSION)
    assert [row["arm"] for row in rows] == list(ARMS)
    assert all(row["majority"] >= 0 and row["minority"] >= 0 for row in rows)
    monkeypatch.setattr(fair_prune, "trained_dense", None)
    assert trial_rows(trial, ARMS, measured, RowStore(tmp_path), VERSION) == rows


def row(arm: str, seed: int, **more: object) -> dict[str, object]:
    same = {"accuracy": 80.0, "minority": 70.0, "majority": 90.0, "accuracy_gap": 20.0}
    return {
        "task": "t",
        "arm": arm,
        "seed": seed,
        **same,
        "drop_gap": 5.0,
        "steps_to_fair": None,
        **more,
    }


def test_claims_fail_when_all_arms_are_alike_and_hold_when_bifp_is_better():
    alike = [row(arm, seed) for arm in ARMS for seed in (0, 1)]
    assert {claim["verdict"] for claim in claims(alike)} == {"tie"}
    better = [r for r in alike if r["arm"] != BIFP]
    gain = {"minority": 74.0, "steps_to_fair": 100, "accuracy_gap": 16.0}
    better += [row(BIFP, seed, **gain) for seed in (0, 1)]
    assert {claim["verdict"] for claim in claims(better)} == {"holds"}
    worse = [{**r, "accuracy": 70.0} if r["arm"] == BIFP else r for r in better]
    assert claims(worse)[0]["verdict"] == "reversed"
    assert {L1, FINETUNED} < set(ARMS)


def test_a_part_of_every_group_is_held_out_and_the_minority_is_duller():
    classes = ("airplane", "bird", "cat")
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (300, 8, 8, 3), np.uint8)
    labels, one = rng.integers(0, 3, 300), np.zeros(300, np.int64)
    data = LabelledImages(pictures, labels, classes, one)
    ground = cifar_ground(TrainAndTest(data, data), 0.3, 0)
    sizes = [np.bincount(part.groups) for part in (ground.lower, ground.upper)]
    assert sizes[0].tolist() == pytest.approx((7 / 3 * sizes[1]).tolist(), abs=2)
    assert sizes[0][1] + sizes[1][1] == pytest.approx(45, abs=2)
    assert ground.test.groups.mean() == pytest.approx(0.5, abs=0.02)
    rare = ground.test.images[ground.test.groups == 1]
    common = ground.test.images[ground.test.groups == 0]
    assert rare.std() < common.std() / 8
    assert set(ground.test.classes) == {"vehicle", "animal"}
    assert np.array_equal(ground.test.labels == 1, labels > 0)
