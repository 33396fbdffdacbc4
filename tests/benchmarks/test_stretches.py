"""Stretches: which frames a network is of, and who shows a judged frame."""

import numpy as np
import pytest

from benchmarks import stretches
from benchmarks.stretches import ARMS, Arm, adapted
from sr.training.data import FramePair


def test_stretches_follow_each_other_and_the_control_lies_between():
    assert Arm(3).owners(8).tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert Arm(3, between=True).owners(8).tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    for arm in ARMS.values():
        counts = np.bincount(arm.owners(101), minlength=arm.count)
        assert len(counts) == arm.count and np.ptp(counts) <= 1
    assert ARMS["4 between"].count == ARMS["4 stretches"].count


class Stream:
    """40 frames whose pixels say their number."""

    bytes = 10_000

    def __init__(self) -> None:
        self.sample = type("Sample", (), {"frames": range(40)})

    def pairs(self, numbers):
        rng = np.random.default_rng(0)
        noise = rng.integers(0, 9, (4 * 54, 4 * 48, 3))
        hr = [np.clip(noise + 5 * i, 0, 255).astype(np.uint8) for i in numbers]
        return [FramePair(h[::4, ::4].copy(), h) for h in hr]


@pytest.fixture
def trainings(monkeypatch):
    """Steps and price of what would be trained; and which network shows which frame."""
    seen, asked = [], []

    def adapt(base, sampler, plan, price):
        seen.append((plan.steps, price))
        return len(seen)

    monkeypatch.setattr(stretches, "adapt", adapt)
    monkeypatch.setattr(stretches, "pack_changes", lambda blob, tensors: b"12345")
    monkeypatch.setattr(stretches, "IntegerNetwork", lambda arch, number: number)

    def routed(number, pairs, cell_px, bits):
        asked.append((number, int(pairs[0].hr.mean() // 5)))
        return iter([pairs[0].lr])

    monkeypatch.setattr(stretches, "routed", routed)
    return seen, asked


@pytest.mark.parametrize("name", ["whole", "4 stretches", "4 between"])
def test_every_judged_frame_is_shown_by_the_network_of_its_frames(name, trainings):
    (seen, asked), arm = trainings, ARMS[name]
    shown, wanted, size = adapted(Stream(), arm, 80)
    assert len(shown) == len(wanted) == stretches.JUDGED and size == 5 * arm.count
    assert [steps for steps, _ in seen] == [80 // arm.count] * arm.count
    owners = arm.owners(40)
    assert all(owners[frame] == number - 1 for number, frame in asked)


def test_a_network_of_a_quarter_of_the_error_pays_four_times_for_a_bit(trainings):
    seen, _ = trainings
    for name in ("whole", "4 between"):
        adapted(Stream(), ARMS[name], 80)
    whole, *quarters = (price for _, price in seen)
    assert np.mean(quarters) == pytest.approx(4 * whole, rel=0.1)
