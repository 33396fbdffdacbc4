"""Bicubic without an engine, against Pillow's."""

import numpy as np
import pytest
from PIL import Image

from player.bicubic import upscale_bicubic
from player.package.anchor import keys_kernel, phase_taps


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_inside_it_is_pillows_bicubic(scale):
    lr = np.random.default_rng(scale).integers(60, 196, (17, 23, 3)).astype(np.uint8)
    ours = upscale_bicubic(lr, scale)
    size = (23 * scale, 17 * scale)
    pillow = np.asarray(Image.fromarray(lr).resize(size, Image.Resampling.BICUBIC)).astype(int)
    # Pillow rounds (and clips, hence the middling values) between its two passes, and renormalises
    # at the edges instead of replicating.
    inner = np.s_[3 * scale : -3 * scale, 3 * scale : -3 * scale]
    assert np.abs(ours[inner] - pillow[inner]).max() <= 1


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_a_flat_frame_stays_flat_and_keeps_its_size(scale):
    hr = upscale_bicubic(np.full((1, 5, 3), 77, np.uint8), scale)
    assert hr.shape == (scale, 5 * scale, 3) and (hr == 77).all()


def test_overshoot_is_clipped():
    lr = np.zeros((8, 8, 3), np.uint8)
    lr[:, 4:] = 255
    hr = upscale_bicubic(lr, 4)
    assert hr.min() == 0 and hr.max() == 255


def test_the_kernel_is_keys_with_a_half():
    assert keys_kernel(np.array([0, 0.5, 1, 1.5, 2])).tolist() == [1, 0.5625, 0, -0.0625, 0]
    np.testing.assert_allclose(phase_taps(3).sum(axis=1), 1, atol=1e-12)
