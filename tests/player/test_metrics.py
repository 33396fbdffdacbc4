"""Metrics on pictures made by hand."""

import math

import numpy as np
import pytest

from player.metrics import luma, mse_rgb, mse_y, psnr_db, shaved_patch_errors, ssim_y


def grey(value, height=40, width=40):
    return np.full((height, width, 3), value, np.uint8)


def test_psnr_of_known_errors():
    assert mse_rgb(grey(10), grey(14)) == 16
    assert psnr_db(16) == pytest.approx(36.0896, abs=1e-4)  # 10 log10(255^2 / 16)
    assert psnr_db(0) == 100
    assert mse_rgb(grey(0), grey(255)) == 255**2 and psnr_db(255**2) == 0


def test_luma_is_that_of_bt601():
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], "u1")
    np.testing.assert_allclose(luma(colours)[0], [16, 235, 81.481, 144.553, 40.966], atol=1e-3)
    assert mse_y(grey(0), grey(255)) == pytest.approx(219**2)


def test_ssim_of_known_pictures():
    ramp = np.add.outer(np.arange(40), np.arange(40)).astype(np.uint8)[..., None].repeat(3, 2)
    assert ssim_y(ramp, ramp) == pytest.approx(1)
    # Two flat pictures: only the luminance term is left, (2ab + C1) / (a^2 + b^2 + C1).
    a, b = (16 + 219 * v / 255 for v in (100, 150))
    c1 = (0.01 * 255) ** 2
    assert ssim_y(grey(100), grey(150)) == pytest.approx((2 * a * b + c1) / (a * a + b * b + c1))
    assert math.isnan(ssim_y(grey(1, 10, 40), grey(1, 10, 40)))


def test_the_papers_protocol_shaves_every_patch():
    reference, ours = grey(100, 60, 60), grey(100, 60, 60)
    ours[:6], ours[:, 24:36] = 0, 255  # only in the shaved borders of 30x30 patches at x2
    assert set(shaved_patch_errors(ours, reference, 30, 30, 2)) == {0.0}
    ours[6:24, 6:24] = 110  # all that is left of one patch of four
    assert np.mean(shaved_patch_errors(ours, reference, 30, 30, 2)) == pytest.approx(100 / 4)


def test_patches_of_which_nothing_is_left_do_not_count():
    reference, ours = grey(100, 42, 30), grey(100, 42, 30)
    ours[30:] = 0  # the last row of patches is 12 px high, all of it shaved
    assert set(shaved_patch_errors(ours, reference, 30, 30, 2)) == {0.0}
    assert shaved_patch_errors(grey(1, 12, 12), grey(2, 12, 12), 30, 30, 2) == []


def test_pictures_of_different_sizes_cannot_be_compared():
    with pytest.raises(ValueError, match="cannot be compared"):
        mse_rgb(grey(0, 3, 4), grey(0, 4, 3))
