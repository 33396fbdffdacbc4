"""Synthetic scenes whose errors are a known function of their texture."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmarks.reproduction.graph.patch_graph import PatchGraph, build_patch_graph
from benchmarks.reproduction.graph.spread import Probes
from chunking.grid import Grid
from sr.encode.sampled_routes import draw_samples


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@dataclass(frozen=True)
class Scene:
    """`sse` [3, G, gh, gw]: the more texture, the more of bicubic's error the network removes."""

    frames: NDArray[np.uint8]
    grid: Grid
    groups: NDArray[np.int64]
    sse: NDArray[np.float64]

    @property
    def graph(self) -> PatchGraph:
        return build_patch_graph(self.frames, self.grid, self.groups, self.sse[0])

    def probes(self, share: float = 0.15, seed: int = 0) -> Probes:
        probed = draw_samples(self.sse[0].shape, share, seed)
        return Probes(self.sse[0], probed, np.where(probed, self.sse, np.nan))


def scene(groups: int = 8, height: int = 93, width: int = 141, seed: int = 0) -> Scene:
    """Noise whose contrast differs from place to place; one frame a group."""
    rng = np.random.default_rng(seed)
    grid = Grid(height, width, 12, 12)
    contrast = rng.uniform(0, 1, grid.shape)
    pixel = np.kron(contrast, np.ones((12, 12)))[:height, :width]
    noise = rng.normal(0, 40, (groups, height, width))
    luma = np.clip(128 + pixel * noise, 0, 255).astype(np.uint8)
    bicubic = grid.pixels() * (5 + 300 * rng.uniform(0.8, 1.2, (groups, *grid.shape)))
    left = 0.9 - 0.6 * contrast
    sse = np.stack([bicubic, bicubic * (0.5 + left / 2), bicubic * left])
    return Scene(np.repeat(luma[..., None], 3, axis=3), grid, np.arange(groups), sse)


@pytest.fixture
def textured() -> Scene:
    return scene()


@pytest.fixture
def following() -> Scene:
    """Another segment of the same kind of content."""
    return scene(seed=1)
