"""Probes drawn in blocks; what they say of the cells that were not probed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.reproduction.graph.spread import (
    PLAN,
    Classes,
    Probes,
    held_out,
    learn_ticket,
    mean_left,
    predicted_errors,
)
from benchmarks.reproduction.graph.tickets import RECIPES
from chunking.difficulty import rank_correlation
from chunking.grid import Grid
from chunking.route_plan import plan_routes
from player.package.paths import BICUBIC, EASY, HARD

FAST = replace(PLAN, epochs=25, rounds=6)


def test_what_is_known_is_kept(textured) -> None:
    probes = textured.probes()
    predicted = probes.spread(mean_left(probes))
    assert np.array_equal(predicted[BICUBIC], textured.sse[BICUBIC])
    assert np.array_equal(predicted[:, probes.probed], textured.sse[:, probes.probed])
    assert np.isfinite(predicted).all()


def test_the_mean_share_meets_the_probes_total(textured) -> None:
    probes = textured.probes()
    left = mean_left(probes)[0]
    known = probes.probed
    for column, path in zip(left, (EASY, HARD), strict=True):
        total = textured.sse[path][known].sum() / textured.sse[BICUBIC][known].sum()
        assert column == pytest.approx(total)


def test_classes_give_back_their_members_sum() -> None:
    rng = np.random.default_rng(0)
    left, weights = rng.uniform(0.2, 1, (60, 2)), rng.uniform(1, 9, 60)
    classes, labels = Classes.of(left, weights)
    for column in range(2):
        values = classes.values[column].numpy()
        assert (np.diff(values) > 0).all()
        assert np.bincount(labels[:, column]).tolist() == [10] * 6
        total = (values[labels[:, column]] * weights).sum()
        assert total == pytest.approx((left[:, column] * weights).sum())


def test_equal_labels_are_one_class_with_their_value() -> None:
    classes, labels = Classes.of(np.full((30, 1), 0.7), np.ones(30))
    assert len(labels.unique()) == 1
    assert np.allclose(classes.values.numpy(), 0.7)


def test_whole_groups_are_held_out(textured) -> None:
    probed = textured.probes(0.3).probed
    learning, validating = (m.numpy().reshape(probed.shape) for m in held_out(probed))
    assert np.array_equal(learning | validating, probed)
    assert not (learning.any(axis=(1, 2)) & validating.any(axis=(1, 2))).any()
    assert learning.any()
    assert validating.any()


def test_a_single_group_learns_and_validates() -> None:
    learning, validating = held_out(np.ones((1, 4, 4), bool))
    assert learning.all()
    assert validating.all()


def _gain(errors: np.ndarray) -> np.ndarray:
    return errors[BICUBIC] - errors[HARD]


@pytest.mark.slow
def test_the_ticket_finds_the_gain_of_cells_not_probed(textured) -> None:
    """Texture decides the gain here, bicubic's error alone says nothing of it."""
    probes = textured.probes()
    spreader = learn_ticket(textured.graph, probes, RECIPES["wd + adversarial"], FAST)
    predicted = probes.spread(spreader.left(textured.graph, spreader.kept_pairs(textured.graph)))
    unseen = ~probes.probed
    found = rank_correlation(_gain(predicted)[unseen], _gain(textured.sse)[unseen])
    alone = rank_correlation(textured.sse[BICUBIC][unseen], _gain(textured.sse)[unseen])
    assert spreader.ticket.edges_pruned > 0.7
    assert found > 0.8 > alone + 0.3


def test_the_cut_form_says_what_was_trained(textured) -> None:
    probes = textured.probes()
    spreader = learn_ticket(textured.graph, probes, RECIPES["ugs"], replace(FAST, rounds=2))
    kept = spreader.kept_pairs(textured.graph)
    x = spreader.features(textured.graph)
    logits = spreader.ticket.logits(x, torch.from_numpy(kept))
    expected = spreader.classes.expected(logits)
    assert np.allclose(spreader.left(textured.graph, kept), expected, atol=1e-5)


@pytest.mark.slow
def test_predicted_errors_lose_less_than_the_mean(textured) -> None:
    probes = textured.probes()
    predicted = predicted_errors(
        textured.frames, textured.sse[BICUBIC], probes.probed, probes.errors, textured.grid,
        textured.groups, plan=FAST,
    )  # fmt: skip
    macs = np.array([1.0, 10.0, 20.0])[:, None, None, None]

    def lost(errors: np.ndarray) -> float:
        codes = plan_routes(errors, macs, budget_macs=8 * errors[0].size) & 3
        return float(np.take_along_axis(textured.sse, codes[None].astype(int), axis=0).sum())

    assert lost(predicted) < 0.98 * lost(probes.spread(mean_left(probes)))
    assert lost(predicted) < 1.05 * lost(textured.sse)


def test_a_path_that_the_network_lacks_stays_infinite(textured) -> None:
    probes = textured.probes()
    errors = probes.errors.copy()
    errors[EASY] = np.inf
    predicted = predicted_errors(
        textured.frames, textured.sse[BICUBIC], probes.probed, errors, textured.grid,
        textured.groups, plan=replace(FAST, rounds=1, epochs=5),
    )  # fmt: skip
    assert np.isinf(predicted[EASY]).all()
    assert np.isfinite(predicted[[BICUBIC, HARD]]).all()


def test_one_node_is_its_probe() -> None:
    frames = np.full((2, 9, 9, 3), 7, np.uint8)
    cheap, probed = np.full((1, 1, 1), 9.0), np.ones((1, 1, 1), bool)
    errors = np.array([9.0, 5.0, 3.0]).reshape(3, 1, 1, 1)
    grid, groups = Grid(9, 9, 12, 12), np.zeros(2, np.int64)
    assert np.array_equal(predicted_errors(frames, cheap, probed, errors, grid, groups), errors)


def test_few_probes_fall_back_to_the_mean(textured) -> None:
    probed = np.zeros_like(textured.sse[0], bool)
    probed[0, :2, :2] = True
    predicted = predicted_errors(
        textured.frames, textured.sse[0], probed, textured.sse, textured.grid, textured.groups
    )
    probes = Probes(textured.sse[0], probed, textured.sse)
    assert np.array_equal(predicted, probes.spread(mean_left(probes)))


def test_cells_without_any_error_are_no_fault(textured) -> None:
    """Black bars: bicubic is exact there, and the ratio has no meaning."""
    sse = textured.sse.copy()
    sse[:, :, :2] = 0
    probes = Probes(sse[0], textured.probes(0.3).probed, sse)
    predicted = predicted_errors(
        textured.frames, sse[0], probes.probed, sse, textured.grid, textured.groups,
        plan=replace(FAST, rounds=1, epochs=5),
    )  # fmt: skip
    assert np.isfinite(predicted).all()


def test_nothing_probed_or_another_size_is_refused(textured) -> None:
    cheap, none = textured.sse[0], np.zeros_like(textured.sse[0], bool)
    grid, groups = textured.grid, textured.groups
    with pytest.raises(ValueError, match="no cell is probed"):
        predicted_errors(textured.frames, cheap, none, textured.sse, grid, groups)
    with pytest.raises(ValueError, match="not of one video"):
        predicted_errors(textured.frames, cheap, ~none[:, 1:], textured.sse, grid, groups)
