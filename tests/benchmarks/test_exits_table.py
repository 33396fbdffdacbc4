"""The table `exits`: a crop trains its own exit alone, patches go where they err least."""

import numpy as np
import pytest
import torch

from benchmarks.shrink import table
from benchmarks.shrinking import exits
from benchmarks.shrinking.clips import SCALE, Clip
from benchmarks.shrinking.exits import ARMS, CLAIMS, K, ManyExits, Relabelling, exit_errors, make
from benchmarks.shrinking.judge import judge
from player.metrics import psnr_db
from player.package.paths import HARD
from sr.models import architecture, build_network
from sr.training.data import FramePair


@pytest.fixture(scope="module")
def clip() -> Clip:
    rng = np.random.default_rng(0)
    hr = np.kron(rng.integers(0, 256, (108, 96, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    return Clip("noise", (FramePair(hr[::4, ::4].copy(), hr),))


def loud(count: int, seed: int = 0) -> ManyExits:
    """Exits that say something, each another thing."""
    torch.manual_seed(seed)
    network = ManyExits(architecture("chain", SCALE, dynamic=False), count)
    with torch.no_grad():
        for number, exit_ in enumerate(network.exits):
            exit_.get_parameter("weight").normal_(std=0.01 * (1 + number))
    return network


def test_with_one_exit_it_is_the_plain_network(clip):
    network = loud(1)
    plain = build_network(network.arch)
    plain.load_deployed(network.deployed_tensors(), pixel_units=False)
    ours = psnr_db(float(exit_errors(network, clip).sum()) / float(clip.samples.sum()))
    # The judge's has been rounded to integers.
    assert ours == pytest.approx(judge(plain, clip, clip.sampler(0))["psnr_db"], abs=0.1)


def test_a_crop_trains_its_own_exit_and_no_other(clip):
    network = loud(3)
    x = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    network.chosen = [2, 0]
    out = network.residuals(x)[HARD]
    whole = [exit_(network.features(x)) for exit_ in network.exits]
    torch.testing.assert_close(out, torch.stack([whole[2][0], whole[0][1]]))
    out.square().sum().backward()
    trained = [exit_.get_parameter("weight").grad is not None for exit_ in network.exits]
    assert trained == [True, False, True]


def test_patches_go_where_they_err_least_until_three_quarters_of_the_steps(clip):
    network, labels = loud(K), np.zeros((1, *clip.grid.shape), np.int64)
    best = exit_errors(network, clip).argmin(-1)
    moves = Relabelling(network, clip, labels, 80)
    moves.after_step(8)
    assert not labels.any()
    moves.after_step(9)
    assert np.array_equal(labels, best)
    labels[...] = 3
    moves.after_step(79)
    assert (labels == 3).all()


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_is_judged_on_all_patches(clip, arm, monkeypatch):
    """All begin as bicubic, almost: after no step to speak of they show the same."""
    monkeypatch.setattr(exits, "RELABELLED", 1)
    row = make(clip, arm, 0, 4, None)
    assert row["psnr_db"] == pytest.approx(make(clip, "one exit", 0, 4, None)["psnr_db"], abs=1)
    networks, last_layers = (K, K) if arm == "four networks" else (1, 1 if "one" in arm else K)
    one = ManyExits(architecture("chain", SCALE, dynamic=False), 1)
    whole, exit_ = (sum(p.numel() for p in m.parameters()) for m in (one, one.exits[0]))
    assert row["weights"] == networks * (whole - exit_) + last_layers * exit_


def test_claims_name_arms_that_there_are():
    assert {arm for claim in CLAIMS for arm in claim.needs} <= set(ARMS)
    assert table("exits") is exits
