"""Decisions: nearest centre, safe path, and calibration against exhaustive search."""

import itertools

import numpy as np
import pytest
import torch

from benchmarks.shrinking.routers import with_least_margin
from player.package.paths import BICUBIC, EASY, HARD
from sr.router.decide import (
    Cells,
    Rule,
    calibrate,
    decide,
    distances_of,
    spent,
    to_budget,
)
from sr.router.embedding import RouterNetwork, RouterShape

PATHS = (BICUBIC, EASY, HARD)
COSTS = np.array([1.0, 10.0, 40.0])


def cells(count: int, seed: int, noise: float) -> Cells:
    """Errors of cells of some difficulty, and distances that know it up to noise."""
    rng = np.random.default_rng(seed)
    gain = rng.exponential(1.0, count)
    sse = np.stack([5 + 4 * gain, 5 + 1.5 * gain, 5 + 0.2 * gain])
    felt = gain + noise * rng.normal(size=count)
    scores = (felt[:, None] - np.array([0.2, 1.0, 2.5])) ** 2
    return Cells(scores, sse, COSTS[:, None] * np.ones(count))


def test_the_least_shifted_score_wins_and_the_margin_is_to_the_second():
    scores = np.array([[[3.0, 1.0, 2.0]]])
    classes, paths, margin = decide(scores, Rule.plain((HARD, BICUBIC, EASY)))
    assert classes.tolist() == [[1]] and paths.tolist() == [[BICUBIC]]
    assert margin.tolist() == [[1.0]]
    shifted = Rule((HARD, BICUBIC, EASY), (0.0, 1.5, 0.0), (0.0,) * 3)
    assert decide(scores, shifted)[1].tolist() == [[EASY]]
    assert decide(scores, shifted)[2].tolist() == [[0.5]]


def test_low_confidence_of_the_nearest_class_takes_the_safe_path():
    scores = np.array([[1.0, 1.4, 9.0], [1.4, 1.0, 9.0], [1.0, 2.0, 9.0]])
    rule = Rule(PATHS, (0.0,) * 3, (0.5, 0.3, 0.0))
    classes, paths, _ = decide(scores, rule)
    assert classes.tolist() == [0, 1, 0]
    assert paths.tolist() == [HARD, EASY, BICUBIC]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_budget_is_met_to_within_one_cell(share):
    found = cells(400, 1, 0.3)
    budget = share * found.macs[HARD].sum()
    rule = to_budget(found, Rule.plain(PATHS), budget)
    macs = spent(found, decide(found.scores, rule)[1])[1]
    assert budget - COSTS[HARD] <= macs <= budget


def test_a_budget_below_bicubic_everywhere_takes_bicubic():
    """Though easy is nearest by far, and only a little dearer."""
    found = cells(50, 1, 0.3)
    found.scores[:, 1] -= 100
    rule = to_budget(found, Rule.plain(PATHS), 0.0)
    assert set(decide(found.scores, rule)[1].tolist()) == {BICUBIC}


def test_calibration_comes_near_the_best_offsets_there_are():
    """Against a grid of 60 x 60 offsets, of those within the budget."""
    found = cells(300, 2, 0.4)
    budget = 0.45 * found.macs[HARD].sum()
    grid = np.linspace(-6, 6, 60)
    tried = (
        spent(found, decide(found.scores, Rule(PATHS, (0.0, a, b), (0.0,) * 3))[1])
        for a, b in itertools.product(grid, grid)
    )
    best = min(error for error, macs in tried if macs <= budget)
    rule = calibrate(found, Rule.plain(PATHS), budget)
    error, macs = spent(found, decide(found.scores, rule)[1])
    plain = spent(found, decide(found.scores, to_budget(found, Rule.plain(PATHS), budget))[1])[0]
    assert macs <= budget
    assert error <= best * 1.002 and error <= plain


def test_margins_send_the_least_sure_to_safety_within_the_budget():
    found = cells(1000, 3, 0.3)
    budget = 0.5 * found.macs[HARD].sum()
    rule = with_least_margin(found, calibrate(found, Rule.plain(PATHS), budget), 0.1, budget)
    classes, paths, margin = decide(found.scores, rule)
    moved = (classes != 2) & (paths == HARD)
    assert 0.03 < moved.sum() / (classes != 2).sum() < 0.25
    assert margin[moved].max() < rule.least_margin[0]
    assert spent(found, paths)[1] <= budget


def test_distances_are_of_each_cell_of_each_frame():
    network = RouterNetwork(RouterShape(classes=3), seed=1)
    with torch.no_grad():
        network.centres.copy_(torch.rand(3, 32, generator=torch.Generator().manual_seed(0)))
    frames = torch.randint(0, 256, (2, 3, 24, 36), generator=torch.Generator().manual_seed(0))
    scores = distances_of(network, frames.byte())
    assert scores.shape == (2, 2, 3, 3)
    with torch.no_grad():
        wanted = (network(frames[1:] / 255)[0, :, 1, 0] - network.centres).square().sum(dim=1)
    np.testing.assert_allclose(scores[1, 1, 0], wanted.numpy(), rtol=1e-5)
