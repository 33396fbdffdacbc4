"""The table's measure of a plan, and every arm's row, on a synthetic clip."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.shrinking import probes as table
from benchmarks.shrinking.clips import Clip
from benchmarks.verdict import HOLDS, REVERSED
from player.costs import macs_per_pixel
from sr.training.data import FramePair

FRAMES = 32


def _clip(lr: np.ndarray) -> Clip:
    hr = lr.repeat(4, axis=1).repeat(4, axis=2)
    return Clip("synthetic", tuple(map(FramePair, lr, hr)))


@pytest.fixture
def clip(textured) -> Clip:
    return _clip(np.concatenate([textured.frames] * (FRAMES // len(textured.frames))))


@pytest.fixture
def sse(textured) -> np.ndarray:
    return np.concatenate([textured.sse] * (FRAMES // textured.sse.shape[1]), axis=1)


def test_the_oracle_regrets_nothing_and_a_blind_plan_does(clip: Clip, sse: np.ndarray) -> None:
    scene = table._scene(clip, sse)
    assert scene.regret_db(scene.sse) == pytest.approx(0, abs=1e-9)
    worst = scene.sse.copy()
    worst[1:] = scene.sse[0] - (scene.sse[0] - scene.sse[1:]).max() / (scene.sse[0] - scene.sse[1:])
    assert scene.regret_db(worst) > 0.05


def test_no_plan_beats_the_oracle(clip: Clip, sse: np.ndarray) -> None:
    scene = table._scene(clip, sse)
    rng = np.random.default_rng(0)
    for _ in range(5):
        predicted = scene.sse * rng.uniform(0.5, 1.5, scene.sse.shape)
        assert scene.regret_db(predicted) >= -1e-6


def test_errors_are_summed_over_held_frames(clip: Clip, sse: np.ndarray) -> None:
    scene = table._scene(clip, sse, slice(2, 12))
    assert scene.sse.shape[1] == 3
    np.testing.assert_allclose(scene.sse[:, 2], sse[:, 10:12].sum(axis=1))
    assert scene.macs[2].sum() == pytest.approx(
        10 * scene.grid.pixels().sum() * macs_per_pixel(clip.arch, 2)
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, sse: np.ndarray) -> None:
    monkeypatch.setattr(table, "true_errors", lambda *_: (sse, 1.5))
    plan = table.PLAN.__class__(rounds=2, epochs=3)
    monkeypatch.setattr(table, "_plan", lambda seed, rounds=2: plan.__class__(
        rounds=min(rounds, 2), epochs=3, seed=seed))  # fmt: skip


@pytest.mark.parametrize("arm", table.ARMS)
def test_every_arm_has_a_row_that_json_holds(
    clip: Clip, quick: None, arm: str, tmp_path: Path
) -> None:
    row = table.make(clip, arm, 0, 10, tmp_path)
    json.dumps(row, allow_nan=False)
    assert row["regret_db"] >= -1e-6
    assert row["probed_share"] == pytest.approx(_share(arm), abs=0.04)
    if "edges_pruned" in row and arm not in ("full graph", "full graph, 5 %"):
        assert row["edges_pruned"] == pytest.approx(0.36, abs=0.02)
        assert row["macs_ratio"] < 1


def _share(arm: str) -> float:
    if arm == "next: no probe":
        return 0.0
    return table.FEWER if arm.endswith("5 %") else table.PROBED


def test_claims_read_the_rows() -> None:
    """Over three clips the ticket is below ugs, above random pruning, and prunes enough."""
    regrets = {"ticket": 0.03, "random pruning": 0.02, "ugs": 0.04}
    rows = [
        {"clip": f"{i}", "seed": 0, "arm": arm, "edges_pruned": 0.74 + 0.001 * i,
         "regret_db": regret + 0.001 * i * (arm == "ticket")}
        for arm, regret in regrets.items()
        for i in range(3)
    ]  # fmt: skip
    asked = [c for c in table.CLAIMS if "ticket" in c.needs and set(c.needs) <= regrets.keys()]
    found = {claim.text: claim.judge(rows)[0] for claim in asked}
    assert found["ticket: under 0.05 dB with 70% of the pairs gone"] == HOLDS
    assert found["ticket: less regret than ugs"] == HOLDS
    assert found["ticket: less regret than random pruning"] == REVERSED
