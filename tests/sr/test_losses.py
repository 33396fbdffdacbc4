"""The losses by what they must do: weights of colours, and contrast that is kept."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sr.encode import records
from sr.training.losses import LOSSES, contrast_errors, squared_errors

UNITS = 2


@pytest.fixture
def picture() -> torch.Tensor:
    """Planes [1, 3 u^2, h, w] of a noisy picture in 0..1."""
    draw = np.random.default_rng(3)
    rgb = torch.tensor(draw.random((1, 3, 24, 24)), dtype=torch.float32)
    return F.pixel_unshuffle(rgb, UNITS)


def smoothed(planes: torch.Tensor) -> torch.Tensor:
    rgb = F.pixel_shuffle(planes, UNITS)
    padded = F.pad(rgb, (1, 1, 1, 1), mode="replicate")
    return F.pixel_unshuffle(F.avg_pool2d(padded, 3, 1), UNITS)


def test_luma_counts_six_times_as_much_as_a_colour_difference():
    grey = torch.full((1, 3, 1, 1), 0.1)
    assert squared_errors(grey, "rgb").item() == pytest.approx(0.01)
    assert squared_errors(grey, "ycbcr").item() == pytest.approx(0.01 * 6 / 8)
    assert torch.equal(squared_errors(grey, "contrast"), squared_errors(grey, "ycbcr"))
    assert tuple(LOSSES) == records.LOSSES


def test_equal_pictures_have_equal_contrast_and_brightness_has_none(picture):
    assert contrast_errors(picture, picture, UNITS).abs().max() == 0
    assert contrast_errors(picture + 0.1, picture, UNITS).item() < 1e-9


def test_smoothing_costs_contrast_where_noise_of_the_same_squares_does_not(picture):
    soft = smoothed(picture)
    error = (soft - picture).square().mean()
    noise = torch.tensor(np.random.default_rng(5).normal(size=picture.shape), dtype=torch.float32)
    moved = picture + noise * error.sqrt()
    lost = contrast_errors(soft, picture, UNITS).item()
    assert (moved - picture).square().mean() == pytest.approx(error.item(), rel=0.1)
    assert lost > 2 * contrast_errors(moved, picture, UNITS).item()
    # As much again is what a picture has too much of it.
    assert contrast_errors(picture, soft, UNITS).item() == pytest.approx(lost)


def test_a_flat_picture_has_a_slope(picture):
    flat = torch.zeros_like(picture, requires_grad=True)
    contrast_errors(flat, picture, UNITS).sum().backward()
    assert torch.isfinite(flat.grad).all()


def test_each_crop_has_its_own(picture):
    both = torch.cat([picture, picture])
    made = torch.cat([picture, smoothed(picture)])
    first, second = contrast_errors(made, both, UNITS).flatten().tolist()
    assert first == 0 < second
