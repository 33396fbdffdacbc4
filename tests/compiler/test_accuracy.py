"""The engine against PyTorch: the same weights, every family, scale, path and many sizes."""

import numpy as np
import pytest

from player.package.weights import pack_weights, unpack_weights
from tests.compiler.conftest import assert_close

# Every residue of the tile sizes 14, 8, 4 (AVX-512) and 6, 4, 2 (AVX2).
WIDTHS = tuple(range(1, 33))
SIZES = ((1, 1), (1, 19), (19, 1), (2, 3), (7, 33), (31, 47), (54, 48))  # in places


def test_patches_of_many_sizes(case, networks, pairs, picture):
    arch, path = case
    halo, u = networks[arch].halo_px(path), arch.units
    for height, width in SIZES:
        patch = picture(height * u + 2 * halo, width * u + 2 * halo)
        assert_close(networks[arch].upscale(patch, path), pairs[arch].upscale(patch, path))


def test_every_residue_of_the_tiles(arch, networks, pairs, picture):
    halo, u = networks[arch].halo_px(2), arch.units
    patch = picture(3 * u + 2 * halo, WIDTHS[-1] * u + 2 * halo)
    for width in WIDTHS:
        part = np.ascontiguousarray(patch[:, : width * u + 2 * halo])
        assert_close(networks[arch].upscale(part, 2), pairs[arch].upscale(part, 2))


@pytest.mark.slow
def test_a_large_patch(arch, networks, pairs, picture):
    halo = networks[arch].halo_px(2)
    patch = picture(540 + 2 * halo, 960 + 2 * halo)
    assert_close(networks[arch].upscale(patch, 2), pairs[arch].upscale(patch, 2))


def test_pictures_that_saturate(default_arch, networks, pairs, picture):
    arch = default_arch
    halo = networks[arch].halo_px(2)
    patch = np.where(picture(20 + 2 * halo, 30 + 2 * halo) > 127, 255, 0).astype(np.uint8)
    assert_close(networks[arch].upscale(patch, 2), pairs[arch].upscale(patch, 2))


def test_half_precision_blobs(default_arch, engine, pairs, picture):
    arch = default_arch
    tensors = unpack_weights(pairs[arch].blob).tensors
    halves = {k: v.astype(np.float16).astype(np.float32) for k, v in tensors.items()}
    patch = picture(24, 24)
    small, wide = (engine.load(pack_weights(arch, halves, d)).upscale(patch, 2) for d in (2, 1))
    assert np.array_equal(small, wide)
