"""The table of routers on a made-up scene: an arm that knows the errors has no regret."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.shrinking import routers
from benchmarks.shrinking.lowrate import lowest_rate
from benchmarks.shrinking.routers import ARM_LIST, ARMS, CLAIMS, CLEAN, LOW, Arm, Scene
from sr.training.data import FramePair

PER_PIXEL = np.array([1.0, 30.0, 100.0])


@pytest.fixture
def scene() -> Scene:
    """8 frames of 36 x 48 px: textured on the right, and what is textured is difficult."""
    rng = np.random.default_rng(0)
    contrast = np.linspace(0, 60, 48)
    lr = 128 + rng.normal(size=(8, 36, 48, 1)) * contrast[:, None] + np.zeros(3)
    difficulty = 0.1 * contrast.reshape(12, 4).mean(axis=1) ** 2 + rng.random((8, 9, 12))
    quarters = np.stack([1 + difficulty, 1 + 0.4 * difficulty, 1 + 0.1 * difficulty])
    return Scene(np.clip(lr, 0, 255).astype(np.uint8), quarters, PER_PIXEL)


def knowing(scene: Scene) -> Arm:
    """Scores are the errors themselves: offsets make a Lagrangian of them."""

    def score(frames: np.ndarray) -> np.ndarray:
        second = not np.array_equal(frames, scene.half(0).lr)
        return scene.half(int(second)).sse.reshape(3, -1).T

    return Arm("knows", lambda data, seed: score, own_macs=0)


def test_an_arm_that_knows_the_errors_has_next_to_no_regret(scene):
    found = routers._routed(knowing(scene), {CLEAN: scene, LOW: scene}, seed=0)
    assert abs(found["equal_regret_db"]) < 0.02 and abs(found["low_equal_regret_db"]) < 0.02
    assert found["macs_ratio"] == pytest.approx(1, abs=0.1)


def test_energy_beats_chance_and_chance_costs_something(scene):
    scenes = {CLEAN: scene, LOW: scene}
    chance = routers._routed(ARM_LIST["random"], scenes, seed=0)["equal_regret_db"]
    energy = routers._routed(ARM_LIST["energy"], scenes, seed=0)["equal_regret_db"]
    assert 0 <= energy < 0.5 * chance


def test_the_router_pays_for_itself(scene):
    """What it spends on itself is not left for the cells."""
    free = knowing(scene)
    dear = replace(free, own_macs=8.0)
    rows = [routers._routed(arm, {CLEAN: scene, LOW: scene}, 0) for arm in (free, dear)]
    assert rows[1]["equal_regret_db"] > rows[0]["equal_regret_db"]
    assert rows[1]["macs_ratio"] == pytest.approx(rows[0]["macs_ratio"], abs=0.1)


def test_the_lowest_rate_loses_about_a_decibel():
    rng = np.random.default_rng(1)
    hr = np.repeat(rng.integers(0, 256, (4, 48, 64, 3), np.uint8), 2, axis=1).repeat(2, axis=2)
    pairs = [FramePair(np.ascontiguousarray(frame[::4, ::4]), frame) for frame in hr]
    low = lowest_rate(pairs)
    assert len(low.pairs) == 4 and low.pairs[0].lr.shape == pairs[0].lr.shape
    assert low.fall_db >= 1 or low.crf == 50
    assert not np.array_equal(low.pairs[0].lr, pairs[0].lr)


def test_claims_are_about_arms_that_there_are():
    for claim in CLAIMS:
        assert set(claim.needs) <= set(ARMS), claim.text
