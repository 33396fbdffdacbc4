"""Frames that are moved through their network show more by it."""

from contextlib import nullcontext
from fractions import Fraction

import numpy as np
import pytest

from chunking.lr import downscale
from player.bicubic import upscale_bicubic
from player.metrics import mse_rgb
from player.package.architecture import Architecture, convolutions
from player.package.paths import HARD
from player.package.shipped import shipped_blob, shipped_file
from sr.encode import moved_lr
from sr.encode.moved_lr import MovedLr
from sr.packing import pack_integers
from sr.scoring import scored_network, upscale_paths
from tests.player.coded_blobs import lean_integers


def picture(height: int, width: int) -> np.ndarray:
    """Waves of some pixels, and edges."""
    y, x = np.mgrid[:height, :width]
    waves = 128 + 50 * np.sin(x / 2.3 + y / 7) + 40 * np.cos(y / 1.9) + 30 * (x // 13 % 2)
    return np.clip(np.stack([waves, waves[::-1], waves.T if height == width else waves], -1),
                   0, 255).astype(np.uint8)  # fmt: skip


def shown(name: str, lr: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    made = dict(upscale_paths(scored_network(shipped_blob(name)), lr))[HARD]
    return made[: size[0], : size[1]]


@pytest.mark.parametrize(("scale", "name"), [(2, "x2-fine"), (3, "x3-fine"), (4, "x4-fine")])
def test_the_network_shows_more_of_them(scale, name):
    hr = picture(96, 144)
    low = downscale(hr, scale)
    moved = MovedLr(shipped_file(name), "rgb")(low, hr)
    assert moved.shape == low.shape and moved.dtype == np.uint8
    before, after = (mse_rgb(shown(name, lr, hr.shape), hr) for lr in (low, moved))
    assert after < 0.9 * before


@pytest.fixture(params=[2, Fraction(3, 2)], ids=str)
def scale(request):
    return request.param


@pytest.fixture
def silent(tmp_path, scale):
    """A network that adds nothing to its anchor, on units of two pixels."""
    arch = Architecture("chain", scale, (8, 8), (2,), 2)
    tensors = lean_integers(arch, 3.0)
    for kind in ("weight", "bias"):
        last = f"{[name for name, _ in convolutions(arch)][-1]}.{kind}"
        tensors[last] = np.zeros_like(tensors[last])
    path = tmp_path / "blob.bin"
    path.write_bytes(pack_integers(arch, tensors))
    return path


def test_through_a_network_that_adds_nothing_they_go_where_sharp_ones_are(silent, scale):
    """The reference: one step of back-projection through bicubic."""
    hr = picture(99, 147)  # LR has a pixel beyond it on each side
    low = downscale(hr, scale)
    moved = MovedLr(silent, "rgb")(low, hr)

    sharp = downscale(hr, scale, "sharp")
    misses = [mse_rgb(upscale_bicubic(lr, scale)[:99, :147], hr) for lr in (low, sharp, moved)]
    assert misses[2] < min(1.1 * misses[1], 0.95 * misses[0])
    assert mse_rgb(moved, sharp) < 0.4 * mse_rgb(low, sharp)
    assert np.array_equal(moved, MovedLr(silent, "rgb")(low, hr))


def test_bands_are_the_whole_frame(monkeypatch):
    monkeypatch.setattr(moved_lr, "bf16_where_fast", nullcontext)  # bf16 rounds otherwise
    hr = picture(96, 144)
    low, file = downscale(hr, 2), shipped_file("x2-fine")
    whole = MovedLr(file, "ycbcr")(low, hr)
    monkeypatch.setattr(moved_lr, "_BAND_PX", 72 * 10)
    assert np.array_equal(MovedLr(file, "ycbcr")(low, hr), whole)


def test_what_is_shown_without_error_stays(silent, scale):
    flat = np.full((96, 144, 3), 77, np.uint8)
    low = downscale(flat, scale)
    assert np.array_equal(MovedLr(silent, "ycbcr")(low, flat), low)
