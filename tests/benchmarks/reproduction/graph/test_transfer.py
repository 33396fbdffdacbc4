"""A ticket of one segment on the next: which edges stay, and what it then says."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.reproduction.graph.patch_graph import KINDS, SIMILAR, SPATIAL, PatchGraph, Standard
from benchmarks.reproduction.graph.spread import PLAN, learn_ticket
from benchmarks.reproduction.graph.tickets import RECIPES
from benchmarks.reproduction.graph.transfer import (
    carried_left,
    learn_scorer,
    pair_features,
    retrained,
)
from chunking.difficulty import rank_correlation
from player.package.paths import BICUBIC, HARD

# Tickets are trained in each of these; what they are made of is tested beside, in seconds.
pytestmark = pytest.mark.slow

FAST = replace(PLAN, epochs=25, rounds=6)


def test_the_scorer_finds_the_rule_that_a_ticket_followed(textured, following) -> None:
    """Kept: pairs of the most alike contrast; the same rule holds on another graph."""
    standard = Standard.of(textured.graph.features)
    wanted = []
    for graph in (textured.graph, following.graph):
        x = standard.apply(graph.features)
        difference = np.abs(x[graph.pairs[:, 0], 0] - x[graph.pairs[:, 1], 0])
        wanted.append(difference < np.quantile(difference, 0.3))
    scorer = learn_scorer(textured.graph, standard, torch.from_numpy(wanted[0]))
    kept = scorer.kept(following.graph)
    assert kept.mean() == pytest.approx(0.3, abs=0.05)
    assert wanted[1][kept].mean() > 0.8


def test_each_kind_keeps_its_share(textured, following) -> None:
    graph = textured.graph
    only = torch.from_numpy(graph.kinds == SPATIAL)
    kept = learn_scorer(graph, Standard.of(graph.features), only).kept(following.graph)
    assert np.array_equal(kept, following.graph.kinds == SPATIAL)


def test_the_features_of_a_pair_know_no_direction(textured) -> None:
    graph = textured.graph
    turned = PatchGraph(graph.shape, graph.features, graph.pairs[:, ::-1].copy(), graph.kinds)
    standard = Standard.of(graph.features)
    torch.testing.assert_close(pair_features(graph, standard), pair_features(turned, standard))


def test_a_graph_without_edges_carries_none(textured) -> None:
    full = textured.graph
    bare = PatchGraph(full.shape, full.features, full.pairs[:0], full.kinds[:0])
    standard = Standard.of(full.features)
    scorer = learn_scorer(bare, standard, torch.zeros(0, dtype=torch.bool))
    assert scorer.shares == (0.0,) * len(KINDS)
    assert not scorer.kept(full).any()
    assert len(scorer.kept(bare)) == 0


def _spreader(scene):
    return learn_ticket(scene.graph, scene.probes(), RECIPES["wd + adversarial"], FAST)


def _correlation(left: np.ndarray, scene) -> float:
    true = scene.sse[HARD] / scene.sse[BICUBIC]
    return rank_correlation(left[:, -1], true.ravel())


def test_the_next_segment_needs_no_probe(textured, following) -> None:
    spreader, graph = _spreader(textured), following.graph
    kept = learn_scorer(textured.graph, spreader.standard, spreader.ticket.kept).kept(graph)
    assert kept.mean() < 0.3
    assert _correlation(carried_left(spreader, graph, kept), following) > 0.8


def test_retraining_keeps_the_masks_and_learns_the_new_segment(textured, following) -> None:
    spreader, graph = _spreader(textured), following.graph
    kept = np.arange(len(graph.pairs)) % 4 == 0
    fresh = retrained(spreader, graph, kept, following.probes(), FAST)
    assert np.array_equal(fresh.kept_pairs(graph), graph.pairs[kept])
    for old, new in zip(spreader.ticket.weight_masks, fresh.ticket.weight_masks, strict=True):
        assert torch.equal(old, new)
    assert _correlation(fresh.left(graph, graph.pairs[kept]), following) > 0.8


def test_similar_pairs_can_be_all_that_is_kept(textured) -> None:
    graph = textured.graph
    only = torch.from_numpy(graph.kinds == SIMILAR)
    assert learn_scorer(graph, Standard.of(graph.features), only).shares == (0.0, 0.0, 1.0)
