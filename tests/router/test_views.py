"""Shifted views: every view's labels are those of its own pixels' errors."""

import numpy as np
import pytest

from chunking.grid import sum_cells
from chunking.route_plan import plan_routes
from player.package.paths import path_of
from sr.router.embedding import RouterShape
from sr.router.views import (
    cell_macs,
    cell_sums,
    content_of_cells,
    quarter_grid,
    shifted_content,
    shifted_views,
)

SHAPE = RouterShape(cell_px=8, widths=(4, 4, 4), squeeze=2)
PER_PIXEL = np.array([1.0, 30.0, 100.0])
HEIGHT, WIDTH = 22, 30


@pytest.fixture
def pixel_errors() -> np.ndarray:
    """[3, T, h, w]: errors of each LR pixel, uneven over the frame."""
    rng = np.random.default_rng(0)
    difficulty = rng.exponential(1.0, (4, HEIGHT, WIDTH)) * np.linspace(0, 4, WIDTH) ** 2
    return np.stack([1 + difficulty, 1 + 0.4 * difficulty, 1 + 0.1 * difficulty])


@pytest.fixture
def quarters(pixel_errors) -> np.ndarray:
    grid = quarter_grid(HEIGHT, WIDTH)
    return np.stack([[sum_cells(frame, grid) for frame in path] for path in pixel_errors])


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (4, HEIGHT, WIDTH, 3), np.uint8)


def test_quarters_add_up_to_cells(pixel_errors, quarters):
    found = cell_sums(quarters, SHAPE.quarters)
    assert found.shape == (3, 4, 3, 4)
    np.testing.assert_allclose(found[1, 2, 0, 1], pixel_errors[1, 2, :8, 8:16].sum())
    np.testing.assert_allclose(found[0, 0, 2, 3], pixel_errors[0, 0, 16:, 24:].sum())


def test_views_are_the_frames_at_every_quarter(frames, quarters):
    views = shifted_views(frames, quarters, PER_PIXEL, 0.3, SHAPE)
    assert views.frames.shape == (4 * 4, 3, HEIGHT, WIDTH)
    shifted = views.frames[3 * 4].permute(1, 2, 0).numpy()  # the last view: (4, 4) px
    np.testing.assert_array_equal(shifted[: HEIGHT - 4, : WIDTH - 4], frames[0, 4:, 4:])
    np.testing.assert_array_equal(shifted[-1, 0], frames[0, -1, 4])


def test_labels_of_a_view_are_its_own_oracle_plan(frames, quarters, pixel_errors):
    views = shifted_views(frames, quarters, PER_PIXEL, 0.3, SHAPE)
    cut = pixel_errors[:, :, 4:, :]
    grid_sse = np.stack([[sum_cells(f, quarter_grid(*f.shape)) for f in path] for path in cut])
    macs = cell_macs(HEIGHT - 4, WIDTH, 8, PER_PIXEL)
    plan = path_of(plan_routes(cell_sums(grid_sse, 2), macs, max_loss_db=0.3))
    np.testing.assert_array_equal(views.classes[2 * 4 : 3 * 4, : plan.shape[1]], plan)


def test_cells_beyond_the_shifted_frame_are_unknown(frames, quarters):
    """20 px are 3 cells of 8, and 16 px 2: shifting by 4 leaves the third row without pixels."""
    views = shifted_views(frames[:, :20], quarters[:, :, :5], PER_PIXEL, 0.3, SHAPE)
    assert bool((views.classes[:4] >= 0).all())
    assert bool((views.classes[8:, 2] == -1).all()) and bool((views.classes[8:, :2] >= 0).all())


def test_a_cell_is_of_the_content_that_covers_a_quarter_of_it_at_least():
    shape = RouterShape(cell_px=8, widths=(8, 8, 8), squeeze=4, classes=3)
    quarters = np.array([[[1, 0, 2, 2, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 2]]])
    assert content_of_cells(quarters, shape, (2, 3)).tolist() == [[[1, 1, 0], [0, 0, 2]]]
    quarters[0, 1, 3] = 2
    assert content_of_cells(quarters, shape, (2, 3))[0, 0].tolist() == [1, 2, 0]
    wide = RouterShape(cell_px=12, widths=(8, 8, 8), squeeze=4, classes=3)
    assert content_of_cells(np.eye(3, dtype=int)[None, :, :2], wide, (1, 1)).tolist() == [[[1]]]
    one = np.zeros((1, 3, 3), int)
    one[0, 0, :2] = 1  # two quarters of nine
    assert content_of_cells(one, wide, (1, 1)).tolist() == [[[0]]]


def test_content_is_shifted_with_the_views():
    shape = RouterShape(cell_px=8, widths=(8, 8, 8), squeeze=4, classes=3)
    quarters = np.zeros((1, 4, 4), int)
    quarters[0, 1:3, 1:3] = 1  # whole only in the cells that begin at (1, 1)
    found = shifted_content(quarters, shape, (2, 2))
    assert found.shape == (4, 2, 2)
    assert found[3].tolist() == [[1, 0], [0, 0]]
    assert found[0].tolist() == [[1, 1], [1, 1]]  # each of these holds a quarter of it
