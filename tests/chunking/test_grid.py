"""Grids cover every pixel once, and halos hold the frame's own pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunking.grid import Grid, Patch, sum_cells, with_halo

sizes = st.integers(1, 240)


@given(sizes, sizes, st.integers(1, 60), st.integers(1, 60))
def test_patches_cover_each_pixel_exactly_once(height, width, fine_h, fine_w):
    grid = Grid(height, width, fine_h, fine_w)
    for patches in (grid.fine_patches(), grid.coarse_patches()):
        covered = np.zeros((height, width), int)
        for p in patches:
            covered[p.y : p.y + p.h, p.x : p.x + p.w] += 1
            assert p.h > 0 and p.w > 0
        assert (covered == 1).all()


@given(sizes, sizes)
def test_a_coarse_patch_is_its_fine_cells(height, width):
    grid = Grid(height, width)
    rows, columns = grid.shape
    fine = np.array(grid.fine_patches(), dtype=object).reshape(rows, columns)
    assert len(grid.coarse_patches()) == np.prod(grid.coarse_shape)
    for i, coarse in enumerate(grid.coarse_patches()):
        r, c = divmod(i, grid.coarse_shape[1])
        cells = fine[2 * r : 2 * r + 2, 2 * c : 2 * c + 2]
        assert (coarse.y, coarse.x) == (cells[0, 0].y, cells[0, 0].x)
        assert coarse.h == sum(p.h for p in cells[:, 0])
        assert coarse.w == sum(p.w for p in cells[0])


def test_the_papers_grid():
    grid = Grid(270, 480)  # x4 of 1080p: STDO's 10 x 5 patches of 48 x 54 (w x h)
    assert grid.shape == (5, 10)
    assert set((p.h, p.w) for p in grid.fine_patches()) == {(54, 48)}
    assert grid.coarse_patches()[0] == Patch(0, 0, 108, 96)


@given(sizes, sizes, st.integers(1, 4))
def test_pixels_and_sums_follow_the_patches(height, width, scale):
    grid = Grid(height, width, 17, 13)
    values = np.random.default_rng(height * 1000 + width).random((height * scale, width * scale))
    sums, pixels = sum_cells(values, grid, scale), grid.pixels()
    for i, p in enumerate(grid.fine_patches()):
        cell = divmod(i, grid.shape[1])
        block = values[p.y * scale : (p.y + p.h) * scale, p.x * scale : (p.x + p.w) * scale]
        assert sums[cell] == pytest.approx(block.sum())
        assert pixels[cell] == p.h * p.w


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 12), st.data())
def test_halo_is_the_frame_padded_by_its_edge(height, width, halo, data):
    lr = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    patches = Grid(height, width, 11, 7).fine_patches()
    p = data.draw(st.sampled_from(patches))
    padded = np.pad(lr, ((halo, halo), (halo, halo), (0, 0)), mode="edge")
    expected = padded[p.y : p.y + p.h + 2 * halo, p.x : p.x + p.w + 2 * halo]
    assert np.array_equal(with_halo(lr, p, halo), expected)


def test_empty_grids_are_refused():
    with pytest.raises(ValueError, match="positive"):
        Grid(0, 10)
