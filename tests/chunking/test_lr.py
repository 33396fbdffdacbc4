"""From HR to LR: sizes, and the two kinds of downscaling."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from chunking.input_error import InputError
from chunking.lr import LR_KINDS, check_scale, downscale, lr_size
from player.bicubic import upscale_bicubic


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("height, width", [(48, 64), (97, 131), (720, 1280), (1080, 1920)])
def test_shrinking_gives_even_sizes_that_cover_the_frame(height, width, scale):
    low_h, low_w = lr_size(height, width, scale)
    assert low_h % 2 == low_w % 2 == 0
    assert 0 <= low_h * scale - height < 2 * scale and 0 <= low_w * scale - width < 2 * scale
    flat = np.full((height, width, 3), 77, np.uint8)
    low = downscale(flat, scale)
    assert low.shape == (low_h, low_w, 3) and (low == 77).all()


@pytest.mark.parametrize("scale", [Fraction(3, 2), 2, 3, 4])
def test_a_sharp_frame_is_nearer_to_the_film_once_it_is_upscaled(scale):
    """What Irani and Peleg's step is for; sides that are not whole LR pixels are continued."""
    rng = np.random.default_rng(3)
    noise = cv2.GaussianBlur(rng.uniform(0, 255, (98, 134, 3)), (0, 0), 1.2)
    hr = np.clip(128 + 4 * (noise - 127.5), 0, 255).astype(np.uint8)
    soft, sharp = (downscale(hr, scale, kind) for kind in LR_KINDS)
    assert sharp.shape == soft.shape and sharp.dtype == np.uint8
    errors = [
        np.square(upscale_bicubic(low, scale)[:98, :134].astype(float) - hr).mean()
        for low in (soft, sharp)
    ]
    assert errors[1] < 0.95 * errors[0]


def test_sharp_leaves_what_is_smooth_and_what_is_whole():
    flat = np.full((64, 96, 3), (3, 77, 255), np.uint8)
    assert (downscale(flat, 2, "sharp") == flat[:32, :48]).all()
    picture = np.arange(64 * 96 * 3, dtype=np.uint8).reshape(64, 96, 3)
    assert (downscale(picture, 1, "sharp") == picture).all()


def test_a_scale_that_leaves_nothing_is_refused():
    check_scale(64, 64, 4)
    with pytest.raises(InputError, match="too small for x4"):
        check_scale(48, 64, 4)


def test_a_scale_that_leaves_more_than_a_stream_may_have_is_refused():
    check_scale(2880, 5120, 2)
    for height, width in ((2880, 5120), (16, 8194)):
        with pytest.raises(InputError, match=r"too large for x1: .* give a larger --scale"):
            check_scale(height, width, 1)
