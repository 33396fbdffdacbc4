"""CHEX: leverage and projection against references, what is on and off, what comes back."""

import numpy as np
import pytest
import torch

from benchmarks.shrinking.controls import at_random
from sr.shrink.channels import add_scales, channel_layers, couplings
from sr.shrink.chex import (
    Exploration,
    ExplorationPlan,
    by_projection,
    leverage_scores,
    projection_distances,
)
from sr.shrink.stage import traced, trunk_names
from sr.training.loop import TrainingPlan, overfit


def exploration_of(network, steps=240, count=4, **options):
    """Keeps `count` channels of each layer, and what the share adds."""
    coupled = couplings(traced(network))
    add_scales(network, trunk_names(network))

    def allocate(layers, share):
        return [count + round(share * (layer.channels - count)) for layer in layers]

    return Exploration(
        channel_layers(network, coupled), allocate, ExplorationPlan(steps, **options)
    )


def test_leverage_is_numpys_and_finds_the_column_that_stands_alone():
    columns = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    *_, right = np.linalg.svd(columns, full_matrices=False)
    expected = np.sqrt((right[:3] ** 2).sum(axis=0))
    np.testing.assert_allclose(leverage_scores(torch.tensor(columns), 3), expected, atol=1e-5)
    alone = torch.zeros(5, 4)
    alone[0, :3], alone[1, 3] = 1.0, 1.0  # three alike, one of its own
    assert leverage_scores(alone, 2).argmax() == 3


def test_all_leverages_are_one_when_all_are_kept():
    assert torch.allclose(leverage_scores(torch.randn(9, 4), 4), torch.ones(4), atol=1e-5)


def test_projection_distance_is_that_of_least_squares():
    columns, kept = torch.randn(12, 6), torch.tensor([1, 4])
    basis = columns[:, kept].numpy()
    fitted = basis @ np.linalg.lstsq(basis, columns.numpy(), rcond=None)[0]
    expected = np.linalg.norm(columns.numpy() - fitted, axis=0)
    np.testing.assert_allclose(projection_distances(columns, kept), expected, atol=1e-4)


@pytest.mark.parametrize("regrow", [by_projection, at_random])
def test_what_is_given_back_was_off_and_stands_once(regrow):
    rng = torch.Generator().manual_seed(0)
    columns, kept = torch.randn(27, 16), torch.arange(4)
    drawn = regrow(columns, kept, 5, rng)
    assert len(set(drawn.tolist())) == 5
    assert not set(drawn.tolist()) & set(kept.tolist())


def test_what_the_kept_span_is_hardly_drawn_by_projection_but_is_at_random():
    columns = torch.eye(8)[:, [0, 0, 1, 2, 3, 4, 5, 6]] * 20.0  # column 1 repeats column 0
    counts = {}
    for regrow in (by_projection, at_random):
        rng = torch.Generator().manual_seed(0)
        draws = [regrow(columns, torch.tensor([0]), 1, rng).item() for _ in range(200)]
        counts[regrow] = draws.count(1)
    assert counts[by_projection] == 0
    assert counts[at_random] > 10


def test_the_share_given_back_falls_by_a_cosine_to_nothing():
    plan = ExplorationPlan(steps=240, regrow_share=0.4)
    assert [plan.regrown(s) for s in (0, 120, 240)] == pytest.approx([0.4, 0.2, 0.0])
    assert [s for s in range(1, 301) if plan.is_due(s)] == [60, 120, 180, 240]


def test_off_channels_are_silent_and_come_back_as_they_were(network, sampler):
    exploration = exploration_of(network, steps=180)
    layer = exploration.layers[1]
    overfit(network, sampler, TrainingPlan(180).split(60)[0], companion=exploration)
    off = ~exploration.on[1]
    assert 0 < off.sum() < layer.channels
    assert all(not row[off].detach().any() for row in layer.rows)
    worth = [saved[off].clone() for saved in exploration._last[1]]
    assert float(worth[0].abs().max()) > 0
    exploration._restore()
    for row, was in zip(layer.rows, worth, strict=True):
        assert torch.equal(row[off], was)


def test_fewer_come_back_each_time_and_the_last_update_keeps_the_budget(network, sampler):
    exploration = exploration_of(network, steps=180)
    counts = []
    for _ in range(3):
        before = sum(len(v) for v in exploration.kept().values())
        for step in range(60 * len(counts), 60 * len(counts) + 60):
            exploration.after_step(step)
        counts.append(sum(len(v) for v in exploration.kept().values()))
        assert counts[-1] < before
    assert counts[-1] == 3 * 4


def test_an_exploration_resumes_to_the_same_bits(network, sampler, tmp_path):
    from sr.models import build_network

    def run(cut: bool):
        model = build_network(network.arch)
        file = tmp_path / f"{cut}.ckpt"
        whole = TrainingPlan(130)
        if cut:
            with pytest.raises(KeyboardInterrupt):
                overfit(model, sampler, whole, file, _stop_at(70), exploration_of(model, 120))
            model = build_network(network.arch)
        exploration = exploration_of(model, 120)
        overfit(model, sampler, whole, file, None, exploration)
        return exploration.kept(), model.state_dict()

    straight, resumed = run(cut=False), run(cut=True)
    assert straight[0] == resumed[0]
    assert all(torch.equal(v, resumed[1][k]) for k, v in straight[1].items())


def _stop_at(step: int):
    def on_step(done: int, quality_db: float) -> None:
        if done == step:
            raise KeyboardInterrupt

    return on_step
