"""Fair pruning where a colour misleads: the task, arms that differ, what is claimed."""

import numpy as np
import pytest
import torch

from benchmarks.reproduction import fair_prune
from benchmarks.reproduction.classify import AS_THEY_ARE, predict
from benchmarks.reproduction.datasets import LabelledImages
from benchmarks.reproduction.datasets_groups import TINT, tinted
from benchmarks.reproduction.fair_prune import Settings, Trial, prune, trained_dense, trial_rows
from benchmarks.reproduction.fair_spurious import ARMS, BIFP, VERSION, claims, measured
from benchmarks.reproduction.fair_tasks import Ground
from benchmarks.reproduction.rows import RowStore

TINY = Settings(dense_steps=6, steps=40, width=4, batch=8, kept=0.5, checked_every=20)


def pictures(count: int, seed: int) -> LabelledImages:
    rng = np.random.default_rng(seed)
    grey = rng.integers(100, 150, (count, 16, 16, 3), np.uint8)
    labels, one = rng.integers(0, 2, count), np.zeros(count, np.int64)
    return LabelledImages(grey, labels, ("vehicle", "animal"), one)


@pytest.fixture
def trial() -> Trial:
    parts = (tinted(pictures(64, seed), 0.25, seed) for seed in range(3))
    return Trial(TINY, Ground("tiny", *parts, AS_THEY_ARE), 0)


def test_animals_are_warm_but_for_the_misled():
    plain = pictures(400, 0)
    data = tinted(plain, 0.05, 0)
    moved = data.images.astype(int) - plain.images
    warm = (moved == np.array(TINT)).all((1, 2, 3))
    assert ((moved == -np.array(TINT)).all((1, 2, 3)) ^ warm).all()
    assert np.array_equal(warm, (data.labels == 1) ^ (data.groups == 1))
    assert data.groups.mean() == pytest.approx(0.05, abs=0.005)
    assert abs(data.groups[data.labels == 1].mean() - 0.05) < 0.01


def test_arms_end_as_wide_and_differ(trial):
    dense = trained_dense(trial)
    found = {name: prune(trial, dense, arm).network for name, arm in ARMS.items()}
    assert {network.inner_widths for network in found.values()} == {trial.widths}
    logits = [predict(network, trial.ground.test) for network in found.values()]
    for i, one in enumerate(logits):
        assert torch.isfinite(one).all()
        assert not any(torch.equal(one, other) for other in logits[:i])


def test_rows_resume_and_their_drops_are_below_the_dense_network(trial, tmp_path, monkeypatch):
    rows = trial_rows(trial, ARMS, measured, RowStore(tmp_path), VERSION)
    assert [row["arm"] for row in rows] == list(ARMS)
    for row in rows:
        drops = row["as_told_drop"], row["misled_drop"]
        assert row["worst_drop"] == max(drops)
        assert row["widening"] == pytest.approx(drops[1] - drops[0])
    monkeypatch.setattr(fair_prune, "trained_dense", None)
    assert trial_rows(trial, ARMS, measured, RowStore(tmp_path), VERSION) == rows


def row(arm: str, seed: int, worst: float, accuracy: float) -> dict[str, object]:
    return {"arm": arm, "seed": seed, "worst_drop": worst, "accuracy": accuracy, "widening": 3.0}


def test_half_of_the_drop_and_half_a_point_are_asked():
    rows = [row(arm, seed, 10.0 + seed, 80.0) for arm in ARMS if arm != BIFP for seed in (0, 1, 2)]
    good = [*rows, *(row(BIFP, seed, 4.0, 79.7) for seed in (0, 1, 2))]
    assert {claim["verdict"] for claim in claims(good)} == {"holds"}
    poor = [*rows, *(row(BIFP, seed, 7.0 + seed, 79.0) for seed in (0, 1, 2))]
    verdicts = [claim["verdict"] for claim in claims(poor)]
    assert verdicts == ["holds", *["reversed"] * 8]
