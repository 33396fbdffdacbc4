"""Difficulty scores against slow, obvious references."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunking.difficulty import (
    dct_energy,
    patch_samples,
    patch_sse,
    psnr_from_sse,
    rank_correlation,
    residual_energy,
    shown_sse,
)
from chunking.grid import Grid
from chunking.lr import downscale


@pytest.fixture
def pictures():
    rng = np.random.default_rng(3)
    shape = (2, 118, 203, 3)  # HR smaller than 2 x the LR of 60 x 102: the rest is not displayed
    return rng.integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("share", [0.0, 0.7, 1.0])
def test_a_share_of_the_error_is_that_of_luma(pictures, share):
    sr, hr = pictures
    grid, scale = Grid(60, 102), 2
    hr = hr[: 2 * 60, : 2 * 102]
    height, width = hr.shape[:2]
    weights = np.array([0.299, 0.587, 0.114])  # BT.601
    lumas = [np.round(image[:height, :width] @ weights) for image in (sr, hr)]
    rgb = patch_sse(sr, hr, grid, scale).sum()
    found = shown_sse(sr, hr, grid, scale, share).sum()
    luma = 3 * np.square(lumas[0] - lumas[1]).sum()
    assert found == pytest.approx((1 - share) * rgb + share * luma, rel=0.01)


def test_patch_sse_and_psnr_are_those_of_each_displayed_patch(pictures):
    hr, other = pictures
    grid, scale = Grid(60, 102, 25, 30), 2
    sr = np.pad(other, ((0, 2), (0, 1), (0, 0)), constant_values=99)
    sse, samples = patch_sse(sr, hr, grid, scale), patch_samples(grid, scale, *hr.shape[:2])
    for i, p in enumerate(grid.fine_patches()):
        area = np.s_[p.y * 2 : (p.y + p.h) * 2, p.x * 2 : (p.x + p.w) * 2]
        error = other[area].astype(float) - hr[area]
        cell = divmod(i, grid.shape[1])
        assert sse[cell] == (error**2).sum()
        assert samples[cell] == error.size
        expected_db = 10 * np.log10(255**2 / (error**2).mean())
        assert psnr_from_sse(sse, samples)[cell] == pytest.approx(expected_db)


def test_errors_are_exact_however_many_and_large():
    """More rows than float32 adds exactly at once, all of them wrong by 255, but for one sample."""
    black, white = np.zeros((600, 90, 3), np.uint8), np.full((600, 90, 3), 255, np.uint8)
    white[599, 89, 2] = 254
    assert patch_sse(black, white, Grid(300, 45, 300, 45), 2) == 600 * 90 * 3 * 255**2 - 509
    assert patch_sse(white, black, Grid(400, 60, 400, 60), Fraction(3, 2)) == patch_sse(
        black, white, Grid(300, 45, 300, 45), 2
    )


def test_equal_pictures_have_infinite_psnr(pictures):
    sse = patch_sse(pictures[0], pictures[0], Grid(60, 102), 2)
    assert np.isinf(psnr_from_sse(sse, 100)).all()


def test_stand_ins_rank_flat_below_texture():
    rng = np.random.default_rng(0)
    hr = np.full((216, 384, 3), 100, np.uint8)
    hr[:, 192:] = rng.integers(0, 256, (216, 192, 3))  # right half: noise
    hr[108:, :192] = np.linspace(0, 200, 192)[None, :, None]  # lower left: shading
    grid, lr = Grid(108, 192), downscale(hr, 2)
    for energy in (residual_energy(lr, hr, grid, 2), dct_energy(lr, grid)):
        assert energy[:, 2:].min() > 20 * energy[:, :2].max()

    flat = np.full((54, 48, 3), 100, np.uint8)
    assert dct_energy(flat, Grid(54, 48))[0, 0] < 1e-6


def test_dct_keeps_energy_of_one_cosine():
    """A cosine of frequency k holds all its energy in coefficient k (the DCT's own basis)."""
    x = np.arange(48)
    cosine = np.cos(np.pi * 24 * (2 * x + 1) / 96)
    lr = np.repeat((cosine * 50)[None, :, None].repeat(54, axis=0), 3, axis=2)
    expected = (50**2 * 54 * 24) * (24 / 48) ** 2
    assert dct_energy(lr, Grid(54, 48))[0, 0] == pytest.approx(expected)


@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=3, max_size=30))
def test_rank_correlation_is_pearson_of_mean_ranks(pairs):
    first, second = np.array(pairs, float).T

    def ranks(values):
        return np.array([(values < v).sum() + ((values == v).sum() + 1) / 2 for v in values])

    a, b = ranks(first), ranks(second)
    if a.std() == 0 or b.std() == 0:
        assert np.isnan(rank_correlation(first, second))
    else:
        assert rank_correlation(first, second) == pytest.approx(np.corrcoef(a, b)[0, 1])


def test_rank_correlation_sees_monotone_curves():
    x = np.linspace(-3, 3, 20)
    assert rank_correlation(x, np.exp(x)) == pytest.approx(1)
    assert rank_correlation(x, -(x**3)) == pytest.approx(-1)
