"""The table `coded`: every arm pays for its bits, zeros stay, late removal is late."""

from dataclasses import replace
from math import log2

import numpy as np
import pytest

from benchmarks.shrink import table
from benchmarks.shrinking import coded
from benchmarks.shrinking.clips import Clip
from benchmarks.shrinking.coded import ARMS, CLAIMS, STREAM_BYTES, LateChase, make
from player.package.weights import unpack_weights
from sr.models import build_network
from sr.shrink.budget import parse_budget
from sr.shrink.sparse import largest_mask
from sr.shrink.stage import StageWork
from sr.training.crop_error import crop_error
from sr.training.data import FramePair
from sr.training.loop import TrainingPlan

STEPS = 50


@pytest.fixture(scope="module")
def clip() -> Clip:
    rng = np.random.default_rng(0)
    hr = np.kron(rng.integers(0, 256, (108, 96, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    return Clip("noise", (FramePair(hr[::4, ::4].copy(), hr),))


def test_what_an_arm_is_worth_is_its_psnr_less_the_streams_price_of_its_bytes(clip):
    row = make(clip, "even blocks", 0, 20, None)
    paid = 3 * log2((STREAM_BYTES + row["bytes"]) / STREAM_BYTES)
    assert row["worth_db"] == pytest.approx(row["psnr_db"] - paid)


@pytest.mark.parametrize("arm", ["dense", "even blocks"])
def test_a_bit_costs_what_it_would_lower_the_error_in_the_stream(clip, arm, monkeypatch):
    """All arms alike: D / R, as encode's."""
    paid = []

    def tuned(*args):
        paid.append(args[-1])
        raise ZeroDivisionError

    monkeypatch.setattr(coded, "fine_tune", tuned)
    with pytest.raises(ZeroDivisionError):
        make(clip, arm, 0, 4, None)
    assert paid == [pytest.approx(crop_error(clip.small_sampler(0), "rgb") / (8 * STREAM_BYTES))]
    assert paid[0] > 0


def test_what_sparse_training_leaves_out_stays_out_of_the_blob(clip, monkeypatch):
    found = {}

    def judge(blob, clip):
        tensors = unpack_weights(blob).tensors
        inner = [v for k, v in tensors.items() if k in ("trunk.1.weight", "trunk.2.weight")]
        found["zeros"] = np.mean(np.concatenate([v.ravel() for v in inner]) == 0)
        return {"psnr_db": 0.0}

    monkeypatch.setattr(coded, "judge_blob", judge)
    monkeypatch.setattr(coded, "STREAM_BYTES", 10**9)  # no zeros for the price alone
    sparse = LateChase(interval=5)
    monkeypatch.setitem(coded._STAGES, "chase, late", ("", sparse))
    make(clip, "chase, late", 0, STEPS, None)
    assert found["zeros"] > 0.5


def test_channels_go_late_and_masks_are_drawn(clip):
    late = LateChase(interval=5)
    assert late.first_removal(1000, 600) == 200 and late.remove_until == 0.6
    work = StageWork(clip.sampler(0), TrainingPlan(STEPS), parse_budget("0.5x", clip.arch), seed=0)

    def started(stage):
        return stage.sparse_training(build_network(clip.arch, 0), work).sparse.masks

    drawn, largest = started(late), started(replace(late, start=largest_mask))
    assert any((a != b).any() for a, b in zip(drawn, largest, strict=True))
    assert sum(int(m.sum()) for m in drawn) == sum(int(m.sum()) for m in largest)


def test_claims_name_arms_that_there_are():
    assert {arm for claim in CLAIMS for arm in claim.needs} <= set(ARMS)
    assert table("coded") is coded
