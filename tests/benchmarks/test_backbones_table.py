"""The table `backbones`: equal work, products counted, whole frames judged."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.shrinking import backbones
from benchmarks.shrinking.backbones import ARMS, CLAIMS, WholeFrames, backbone, frames_db, macs_of
from benchmarks.shrinking.clips import SCALE, Clip
from player.bicubic import upscale_bicubic
from player.metrics import psnr_db
from sr.models.anchor import upsample_whole
from sr.training.data import FramePair


@pytest.fixture(scope="module")
def clip() -> Clip:
    hr = np.random.default_rng(0).integers(0, 256, (192, 256, 3), np.uint8)
    return Clip("noise", (FramePair(np.ascontiguousarray(hr[::4, ::4]), hr),) * 2)


def test_claims_name_arms_that_there_are():
    assert {arm for claim in CLAIMS for arm in claim.needs} == set(ARMS)


def test_products_are_of_each_lr_pixel():
    # SRCNN runs at the film's size: 16 pixels of each of LR's; EDSR doubles its size twice.
    srcnn = 3 * 64 * 81 + 64 * 32 * 25 + 32 * 3 * 25
    assert macs_of(backbone("srcnn", 0)) == 16 * srcnn
    body = (3 * 64 + 33 * 64 * 64) * 9
    assert macs_of(backbone("edsr", 0)) == body + (64 * 256 * (1 + 4) + 16 * 64 * 3) * 9


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_has_the_work_of_the_first(clip, monkeypatch, tmp_path, name):
    monkeypatch.setattr(backbones, "train", lambda module, sampler, steps: None)
    monkeypatch.setattr(backbones, "frames_db", lambda module, clip: 30.0)
    row, first = (backbones.make(clip, n, 0, 5000, tmp_path) for n in (name, "chain"))
    assert first["steps"] == 5000
    assert row["steps"] * row["macs"] == pytest.approx(5000 * first["macs"], rel=0.03)


def test_a_network_learns(clip):
    torch.manual_seed(0)
    module, seen = backbone("espcn", 0), []
    data = backbones.training_set(list(clip.pairs), SCALE, 0)
    sampler = backbones.CropSampler(data, np.ones((2, 1, 1)), (48, 64), 1, 0)
    for steps in (1, 60):
        backbones.train(module, sampler, steps)
        seen.append(frames_db(module, clip))
    assert seen[1] > seen[0] + 1


def test_frames_are_judged_as_pixels(clip):
    class Anchor(nn.Module):
        def forward(self, x):
            return upsample_whole(x, SCALE)

    shown = upscale_bicubic(clip.pairs[0].lr, SCALE).astype(float)
    wanted = psnr_db(float(((shown - clip.pairs[0].hr) ** 2).mean()))
    assert frames_db(Anchor(), clip) == pytest.approx(wanted, abs=0.01)
    assert isinstance(backbone("chain", 0), WholeFrames)
