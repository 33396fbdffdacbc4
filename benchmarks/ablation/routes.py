"""A frame's routes for the benchmark: seeded, and in clusters as the planner's are."""

import numpy as np
from numpy.typing import NDArray

from player.package.paths import BICUBIC, EASY, HARD
from player.package.route_maps import patches_of

CELL_PX = 12  # LR pixels, as the encoder plans them
SHARES = {BICUBIC: 0.45, EASY: 0.10, HARD: 0.45}
_SMOOTHINGS = 2  # boxes of 3x3 cells


def clustered_patches(height: int, width: int, seed: int = 0) -> NDArray[np.int32]:
    """Patches [n, 6] of a frame of that size: smooth noise, cut at the shares of the paths."""
    rows, columns = -(-height // CELL_PX), -(-width // CELL_PX)
    noise = np.random.default_rng(seed).normal(size=(rows, columns))
    for _ in range(_SMOOTHINGS):
        noise = _smoothed(noise)
    edges = np.quantile(noise, np.cumsum(list(SHARES.values()))[:-1])
    codes = np.array(list(SHARES), np.uint8)[np.searchsorted(edges, noise)]
    return patches_of(codes, CELL_PX, CELL_PX, height, width)


def _smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each cell and its eight neighbours, edges repeated."""
    padded = np.pad(values, 1, "edge")
    return np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).mean(axis=(2, 3))
