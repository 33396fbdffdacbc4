"""Shifted views: every view's labels are those of its own pixels' errors."""

import numpy as np
import pytest

from chunking.grid import sum_cells
from chunking.routes import path_of, plan_routes
from sr.router.network import RouterShape
from sr.router.views import cell_macs, cell_sums, quarter_grid, shifted_views

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
