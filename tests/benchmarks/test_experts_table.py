"""The table `experts`: what routes is judged as it routes, what keeps a gain is judged by it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.shrink import table
from benchmarks.shrinking import experts
from benchmarks.shrinking.clips import Clip
from benchmarks.shrinking.experts import ARMS, CLAIMS, TWO_OF_16, judge_patches, make
from benchmarks.shrinking.judge import judge
from sr.models import build_network
from sr.models.moe import moe_chain
from sr.shrink.condense import Condense
from sr.training.data import FramePair


@pytest.fixture(scope="module")
def clip() -> Clip:
    rng = np.random.default_rng(0)
    pictures = [np.kron(rng.integers(0, 256, (54, 96, 3)), np.ones((4, 4, 1))) for _ in range(2)]
    return Clip("noise", tuple(FramePair(hr[::4, ::4].astype(np.uint8), hr.astype(np.uint8))
                               for hr in pictures))  # fmt: skip


def test_a_plain_network_is_judged_as_its_integers_are(clip):
    """Patch by patch with its halo is the whole frame; rounding moves little."""
    network = build_network(clip.arch, 0)
    with torch.no_grad():
        for exit_ in network.get_submodule("exits").children():
            exit_.get_parameter("weight").mul_(5)
    ours, whole = judge_patches(network, clip), judge(network, clip, clip.sampler(0))
    assert ours["psnr_db"] == pytest.approx(whole["psnr_db"], abs=0.1)
    assert ours["group_db"] == pytest.approx(whole["group_db"], abs=0.2)


def test_a_mixture_is_judged_with_each_patchs_own_experts(clip):
    mixture = moe_chain(build_network(clip.arch, 0), TWO_OF_16)
    plain = judge_patches(mixture, clip)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for layer in mixture.layers.values():
            layer.up.weight.normal_(std=1, generator=rng)
    routed = judge_patches(mixture, clip)
    for layer in mixture.layers.values():
        layer.condense(torch.zeros(TWO_OF_16.experts))
    assert routed["psnr_db"] != pytest.approx(plain["psnr_db"], abs=1e-3)
    assert judge_patches(mixture, clip) == plain


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_has_the_multiplications_of_one(clip, arm, monkeypatch):
    monkeypatch.setattr(experts, "judge_patches", lambda network, clip: {"psnr_db": 0.0})
    about, stage = experts._STAGES[arm]
    if isinstance(stage, Condense):  # whose search for experts takes half a minute
        monkeypatch.setitem(experts._STAGES, arm, (about, replace(stage, calibrated=1)))
    assert make(clip, arm, 0, 10, None)["macs"] == make(clip, "dense", 0, 1, None)["macs"]


@pytest.mark.parametrize(("kept", "verdict"), [(0.95, "holds"), (0.5, "reversed")])
def test_most_of_a_gain_is_nine_tenths_run_by_run(kept, verdict):
    claim = next(c for c in CLAIMS if "keeps 90%" in c.text)
    rows = [
        {"arm": arm, "clip": "a", "seed": seed, "psnr_db": 30 + gain * (1 + 0.02 * seed)}
        for seed in range(3)
        for arm, gain in (("dense", 0), ("moe", 1), ("condensed", kept))
    ]
    rows += [{"arm": "moe", "clip": "b", "seed": 0, "psnr_db": 40}]  # alone: no run
    found, measured = claim.judge(rows)
    assert found == verdict and measured["gain_db"]["runs"] == 3


def test_claims_name_arms_that_there_are():
    assert {arm for claim in CLAIMS for arm in claim.needs} <= set(ARMS)
    assert table("experts") is experts
