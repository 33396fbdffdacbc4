"""Chase's reproduction: every arm runs, rows are kept, claims follow from the rows alone."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.reproduction import ReproduceOptions, chase
from benchmarks.reproduction.chase import (
    CHASE,
    DENSE,
    RANDOM,
    SPARSE,
    SPARSE_ARMS,
    Settings,
    claims,
)

TINY = Settings(steps=10, batch=8, depth=8, width=8, interval=2, averaged=1)


@pytest.fixture
def options(tmp_path: Path, monkeypatch) -> ReproduceOptions:
    rng = np.random.default_rng(0)
    images = {
        f"x_{half}": rng.integers(0, 256, (40, 32, 32, 3), np.uint8) for half in ("train", "test")
    }
    labels = {f"y_{half}": rng.integers(0, 10, 40) for half in ("train", "test")}
    classes = np.array([f"class {i}" for i in range(10)])
    np.savez(tmp_path / "cifar10_subset.npz", **images, **labels, classes=classes)
    monkeypatch.setattr(chase, "QUICK", TINY)
    monkeypatch.setattr(chase, "LATENCY_ROUNDS", 1)
    return ReproduceOptions((0,), True, tmp_path / "work", tmp_path)


def test_all_arms_have_as_many_weights_and_those_that_remove_half_the_channels(
    options, monkeypatch
):
    result = chase.run(options)
    rows = {row["arm"]: row for row in result["rows"]}
    assert set(rows) == {DENSE, *SPARSE_ARMS}
    assert len({rows[name]["non_zeros"] for name in SPARSE_ARMS}) == 1
    assert sum(rows[SPARSE]["inner_widths"]) == 8 + 16 + 32
    for name, arm in SPARSE_ARMS.items():
        assert sum(rows[name]["inner_widths"]) == round((1 - arm.removed) * 56)
        assert sum(rows[name]["density_histogram"]) == pytest.approx(1)
        assert (rows[name]["macs_ratio"] < 1) == (arm.removed > 0)
    assert rows[CHASE]["inner_widths"] != rows[RANDOM]["inner_widths"]
    monkeypatch.setattr(chase, "train_classifier", None)  # nothing may be trained again
    assert chase.run(options)["rows"] == result["rows"]


def rows_of(**accuracy: float) -> list[dict]:
    names = (DENSE, *SPARSE_ARMS)
    base = {"latency_ratio": 0.7, "macs_ratio": 0.6, "amenable_share": 0.2}
    return [
        {
            "arm": name,
            "seed": seed,
            "accuracy": accuracy.get(name.split()[0], 0.5) + 0.01 * seed,
            **base,
        }
        for name in names
        for seed in (0, 1)
    ]


@pytest.mark.parametrize(
    ("accuracy", "verdicts"),
    [
        ({"chase": 0.60, "sparse": 0.605}, "hhhhhh"),
        ({"chase": 0.60, "sparse": 0.615}, "rhhhhh"),
        ({"chase": 0.60, "random": 0.61}, "hrhhhh"),
        ({"chase": 0.60, "one-shot": 0.61, "mask-wise": 0.6}, "hhrthh"),
    ],
)
def test_claims_follow_from_the_rows(accuracy, verdicts):
    assert "".join(c["verdict"][0] for c in claims(rows_of(**accuracy))) == verdicts
