"""Where crops are drawn, and the errors that they are drawn by."""

import numpy as np
import pytest

from chunking.difficulty import psnr_from_sse
from chunking.grid import Grid
from chunking.lr import downscale
from player.package.generic import blob_path
from player.package.weights import unpack_weights
from sr.encode.difficulty import measure_difficulty, patch_sums
from sr.packing import network_of
from sr.scoring import path_sse
from sr.training.data import CropSampler, FramePair, TrainingSet
from sr.training.spread import CELL_PX, SpreadSampler

SHARES = np.arange(1.0, 25.0).reshape(2, 3, 4)


def draws(kind: type[CropSampler], count: int) -> np.ndarray:
    hr = np.zeros((2, 96, 128, 3), np.uint8)
    lr = np.zeros((2, 52, 68, 3), np.uint8)
    sampler = kind(TrainingSet(lr, hr, 2, 2), SHARES, (16, 16), 4, 5, side_px=8)
    return np.concatenate([sampler.draw(step).cells for step in range(count // 4)])


def unevenness(cells: np.ndarray) -> float:
    """How far the counts are from the shares, over what independent draws would be off by."""
    wanted = SHARES.ravel() / SHARES.sum() * cells.size
    return float(np.sqrt(np.mean((np.bincount(cells, minlength=24) - wanted) ** 2 / wanted)))


def test_spread_draws_follow_the_shares_more_closely_than_chance():
    assert unevenness(draws(SpreadSampler, 200)) < 0.35
    assert 0.6 < unevenness(draws(CropSampler, 200)) < 1.5


def test_spread_draws_are_a_function_of_seed_and_step():
    assert np.array_equal(draws(SpreadSampler, 40), draws(SpreadSampler, 40))


def test_small_crops_lie_over_their_cell():
    hr = np.zeros((1, 96, 128, 3), np.uint8)
    hr[0, 40:44, 80:84] = 255
    lr = np.pad(hr[:, ::2, ::2], ((0, 0), (2, 2), (2, 2), (0, 0)), "edge")
    shares = np.zeros((1, 12, 16))
    shares[0, 5, 10] = 1  # LR px 20..23, 40..43
    sampler = SpreadSampler(TrainingSet(lr, hr, 2, 2), shares, (4, 4), 2, 0, side_px=12)
    for step in range(30):
        batch = sampler.draw(step)
        assert batch.hr.shape == (2, 3, 24, 24)
        assert torch_all_seen(batch.hr)


def torch_all_seen(hr) -> bool:
    """Whether each crop holds the whole white square."""
    return bool((hr.amax(dim=1).sum(dim=(1, 2)) == 16).all())


@pytest.fixture(scope="module")
def pairs() -> list[FramePair]:
    rng = np.random.default_rng(2)
    hr = np.kron(rng.integers(0, 256, (40, 60, 3), np.uint8), np.ones((6, 6, 1), np.uint8))
    return [FramePair(downscale(hr, 4), hr)]


def test_cells_errors_add_up_to_the_patches(pairs):
    network, grid = network_of(unpack_weights(blob_path(4).read_bytes())), Grid(60, 90)
    samples = 3 * 16 * grid.pixels()
    (sse,) = path_sse(network, pairs, grid)
    found = measure_difficulty(network, pairs, grid, samples)
    assert np.allclose(found.fine_db[0], psnr_from_sse(sse[2], samples))
    sums = patch_sums(found.cell_mse.astype(np.float64) * 3 * 16 * CELL_PX**2, grid)
    assert np.allclose(sums[0], sse[2], rtol=1e-5)
