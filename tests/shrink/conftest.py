"""A small clip to learn from: waves that bicubic loses, in 8 frames of 96x96."""

import numpy as np
import pytest
import torch

from chunking.lr import downscale
from player.package.architecture import Architecture
from player.package.paths import HARD
from sr.models import Network, build_network
from sr.shrink.budget import Budget, WidthRule, hard_macs
from sr.shrink.stage import StageWork
from sr.training.data import CropSampler, FramePair, training_set
from sr.training.loop import TrainingPlan

SCALE, SIDE_PX, FRAMES = 2, 96, 8
ARCH = Architecture("chain", SCALE, (16, 16, 16), (1, 3))


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def picture(phase: float) -> np.ndarray:
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    waves = 127 + 100 * np.sin(1.7 * x + phase) * np.cos(1.3 * y - phase)
    ramp = (x + y) * 255 / (2 * SIDE_PX)
    return np.stack([waves, ramp, np.where(x > y, waves, ramp)], axis=-1).astype(np.uint8)


@pytest.fixture(scope="session")
def pairs() -> list[FramePair]:
    frames = [picture(0.4 * i) for i in range(FRAMES)]
    return [FramePair(downscale(hr, SCALE), hr) for hr in frames]


@pytest.fixture
def network() -> Network:
    return build_network(ARCH)


@pytest.fixture
def sampler(pairs) -> CropSampler:
    data = training_set(pairs, SCALE, build_network(ARCH).halo_px(HARD))
    return CropSampler(data, np.ones((FRAMES, 3, 3)), (16, 16), 2, seed=7)


@pytest.fixture
def half_budget() -> Budget:
    return Budget(0.5 * hard_macs(ARCH), "MACs a pixel", hard_macs, WidthRule(step=4, floor=4))


@pytest.fixture
def work(sampler, half_budget) -> StageWork:
    return StageWork(sampler, TrainingPlan(120), half_budget)
