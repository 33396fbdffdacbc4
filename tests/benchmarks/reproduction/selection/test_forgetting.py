"""Forgetting: the counts are those of the definition, swaps keep the number, runs resume."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.reproduction.selection.forgetting import (
    ForgettingLedger,
    TooFewExamplesError,
    at_random,
    hold_out,
    least_forgotten,
    most_forgotten,
    swap,
)
from benchmarks.reproduction.selection.hold_out import SWAPS, Forgetting, holding_out
from player.package.architecture import Architecture
from player.package.paths import HARD
from sr.models import build_network
from sr.training.data import Batch, CropSampler, TrainingSet
from sr.training.loop import TrainingPlan, overfit

ARCH = Architecture("chain", 2, (8, 8), (1, 2))


def visits(history: str) -> int:
    """What a ledger counts for one example; 1 is solved, 0 is not. A second one never forgets."""
    ledger = ForgettingLedger(2)
    for visit in history:
        ledger.record(np.array([0, 1]), np.array([visit == "1", True]))
    return int(ledger.counts[0])


@given(st.text("01", max_size=20).filter(lambda history: "1" in history))
def test_each_fall_from_solved_to_unsolved_counts_once(history):
    assert visits(history) == history.count("10")


def test_what_was_never_solved_counts_above_all_others():
    ledger = ForgettingLedger(4)
    for solved in ([0, 1, 1], [0, 0, 1], [0, 1, 1], [0, 0, 1]):
        ledger.record(np.arange(3), np.array(solved, bool))
    assert ledger.counts.tolist() == [3, 2, 0, 0]  # the last was never seen
    assert ledger.visits.tolist() == [4, 4, 4, 0]
    ledger.reset()
    assert ledger.counts.tolist() == [0, 0, 0, 0]


def test_a_ledger_goes_on_from_its_state():
    first, second = ForgettingLedger(3), ForgettingLedger(3)
    first.record(np.array([0, 1, 1]), np.array([True, True, False]))
    second.load_state_dict(first.state_dict())
    for ledger in (first, second):
        ledger.record(np.array([0, 2]), np.array([False, False]))
    assert first.counts.tolist() == second.counts.tolist() == [1, 1, 2]


def test_the_hold_out_is_the_share_asked_for():
    rng = np.random.default_rng(0)
    assert hold_out(50, 0.2, rng).sum() == 10
    for few in (1, 2):
        with pytest.raises(TooFewExamplesError, match="too few to hold out"):
            hold_out(few, 0.2, rng)


@pytest.mark.parametrize(
    ("order", "goes"), [(least_forgotten, {4, 5}), (most_forgotten, {8, 9}), (at_random, None)]
)
def test_a_swap_keeps_the_number_and_takes_those_in_order(order, goes):
    held_out = np.arange(10) < 4
    counts = np.array([9, 9, 9, 9, 0, 0, 3, 3, 7, 7])
    after = swap(held_out, counts, 2, order, np.random.default_rng(1))
    assert after.sum() == 4
    assert (after & held_out).sum() == 2  # two of the four came back
    if goes is not None:
        assert set(np.flatnonzero(after & ~held_out)) == goes


def test_a_swap_is_bounded_by_what_there_is():
    one_out = np.array([True, False, False])
    after = swap(one_out, np.zeros(3, int), 9, least_forgotten, np.random.default_rng(0))
    assert after.sum() == 1 and not after[0]


@pytest.fixture
def sampler() -> CropSampler:
    rng = np.random.default_rng(0)
    hr = rng.integers(0, 256, (5, 96, 128, 3), np.uint8)
    hr[:, :, 64:] = 128  # flat: the right half is solved from the start
    lr = np.pad(hr[:, ::2, ::2], ((0, 0), (2, 2), (2, 2), (0, 0)), "edge")
    data = TrainingSet(lr, hr, 2, 2)
    return CropSampler(data, np.ones((5, 3, 4)), (16, 16), 4, seed=3, side_px=16)


def test_nothing_that_is_held_out_is_drawn(sampler):
    holding = holding_out(sampler)
    drawn = np.concatenate([holding.draw(step).cells for step in range(100)])
    assert holding.held_out.sum() == 12
    assert set(drawn) == set(np.flatnonzero(~holding.held_out))


def test_a_clip_too_short_to_hold_anything_out_is_refused(sampler):
    few = CropSampler(sampler.data, np.ones((1, 1, 2)), (48, 32), 2, 0)
    with pytest.raises(TooFewExamplesError, match="2 patches are too few"):
        holding_out(few)


def test_errors_over_and_under_the_running_mean_make_the_ledger(sampler):
    watch = Forgetting(holding_out(sampler), steps=600)
    for first, second in ((1.0, 3.0), (3.0, 1.0), (1.0, 3.0)):
        errors = torch.tensor([first, second])[:, None, None].expand(2, 4, 4)
        batch = Batch(torch.empty(0), torch.empty(0), cells=np.array([7, 9]))
        assert watch.extra_loss(batch, {HARD: errors}, 0) is None
    assert watch.bar == pytest.approx(2.0)
    assert watch.ledger.counts[[7, 9]].tolist() == [1, 1]


def test_texture_is_forgotten_or_never_solved_and_flat_patches_are_neither(sampler):
    watch = Forgetting(holding_out(sampler), steps=10_000)  # too long for a swap to come
    overfit(build_network(ARCH, 0), watch.sampler, TrainingPlan(60), companion=watch)
    counts, seen = watch.ledger.counts.reshape(-1, 4), watch.ledger.visits.reshape(-1, 4) > 0
    assert counts[:, 0][seen[:, 0]].min() > 0
    assert counts[:, 3].max() == 0 and seen[:, 3].any()


def test_swaps_come_evenly_and_end(sampler, monkeypatch):
    watch, at = Forgetting(holding_out(sampler), steps=60), []
    monkeypatch.setattr(watch.ledger, "reset", lambda: at.append(step + 1))
    for step in range(60):
        watch.after_step(step)
    assert at == [10, 20, 30, 40, 50]
    assert len(at) == SWAPS


def test_a_run_that_was_cut_ends_with_the_same_bits(sampler, tmp_path):
    def run(stop: int | None, checkpoint) -> tuple[torch.Tensor, np.ndarray]:
        holding = holding_out(sampler)
        network = build_network(ARCH, 0)

        def on_step(step: int, db: float) -> None:
            if step == stop:
                raise KeyboardInterrupt

        overfit(
            network, holding, TrainingPlan(30), checkpoint, on_step, Forgetting(holding, steps=30)
        )
        return network.trunk[1].weight.detach().clone(), holding.held_out.copy()

    whole = run(None, None)
    with pytest.raises(KeyboardInterrupt):
        run(17, tmp_path / "run.ckpt")
    resumed = run(None, tmp_path / "run.ckpt")
    assert torch.equal(whole[0], resumed[0])
    assert np.array_equal(whole[1], resumed[1])
