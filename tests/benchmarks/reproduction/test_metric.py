"""Deep metric learning's reproduction: the cluster measures, and a quick table of all arms."""

import numpy as np
import pytest
import torch

from benchmarks.reproduction import ReproduceOptions, metric_learning
from benchmarks.reproduction.clusters import davies_bouldin, intra_class_variance, silhouette

POINTS = torch.tensor([[0.0, 0.0], [0.0, 2.0], [10.0, 0.0], [10.0, 2.0]])
LABELS = np.array([0, 0, 1, 1])


def test_silhouette_of_two_pairs():
    """a = 2 in all; b is the mean of 10 and sqrt(104)."""
    between = (10 + 104**0.5) / 2
    assert silhouette(POINTS, LABELS) == pytest.approx((between - 2) / between)


def test_silhouette_of_mixed_labels_is_negative_and_of_a_lone_point_0():
    assert silhouette(POINTS, np.array([0, 1, 0, 1])) < 0.2
    assert silhouette(POINTS[:2], np.array([0, 1])) == 0.0


def test_davies_bouldin_of_two_pairs():
    """Spreads of 1 each, means 10 apart."""
    assert davies_bouldin(POINTS, LABELS) == pytest.approx(0.2)


def test_variance_within_is_a_share_and_knows_no_scale():
    assert intra_class_variance(POINTS, LABELS) == pytest.approx(1 / 26)
    assert intra_class_variance(7 * POINTS, LABELS) == pytest.approx(1 / 26)


def test_five_seeds_whatever_is_asked(monkeypatch, tmp_path):
    monkeypatch.setattr(metric_learning, "_row", lambda *_: dict.fromkeys(
        ("clean_accuracy", "obscured_accuracy", "silhouette"), 0.5))  # fmt: skip
    monkeypatch.setattr(metric_learning, "claims", lambda rows: [])
    found = metric_learning.run(ReproduceOptions((0, 1, 2), False, tmp_path, tmp_path))
    assert found["seeds"] == [0, 1, 2, 3, 4] and len(found["rows"]) == 30


def test_claims_fail_where_attention_is_worse():
    rows = [
        {"arm": arm, "seed": seed, "obscured_accuracy": value, "silhouette": 1 - value}
        for arm, value in zip(metric_learning.ARMS, (0.9, 0.5, 0.5, 0.5, 0.7, 0.8), strict=True)
        for seed in (0, 1)
    ]
    verdicts = [claim["verdict"] for claim in metric_learning.claims(rows)]
    assert verdicts == ["reversed", "holds", "holds", "reversed"]


def test_a_quick_table_has_all_arms_and_learns(tmp_path):
    found = metric_learning.run(ReproduceOptions((0,), True, tmp_path, tmp_path))
    assert [row["arm"] for row in found["rows"]] == list(metric_learning.ARMS)
    assert max(row["clean_accuracy"] for row in found["rows"]) > 0.6
