"""Every scale with every unit: torch, integers, anchor and player compute the same picture."""

from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from player.bicubic import upscale_bicubic
from player.package.anchor import anchor_halo_px, integer_anchor
from player.package.architecture import Architecture
from player.package.paths import BICUBIC, HARD
from player.package.scale import SCALES, Scale, hr_px
from player.package.weights import unpack_weights
from sr.models import build_network, deployed_network
from sr.models.anchor import upsample
from sr.models.network import crop
from sr.packing import network_of, pack_integers, pack_network
from sr.quant import reference
from sr.quant.calibrate import calibrate
from sr.quant.integer_network import IntegerNetwork
from sr.quant.quantise import quantise
from sr.scoring import upscale_paths
from tests.player.random_architecture import SHAPES, random_architecture
from tests.sr.random_int8 import random_int8

HALF_MORE = Fraction(3, 2)


def chain(scale: Scale, units: int) -> Architecture:
    return Architecture("chain", scale, (8, 12, 8), (1, 3), units)


def talkative(arch: Architecture, seed: int = 1) -> torch.nn.Module:
    """A network that adds a few code values everywhere."""
    network = build_network(arch, seed)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for exit_ in network.exits:
            torch.nn.init.normal_(exit_.weight, std=0.008)
    return network.eval()


def pixels(seed: int, height: int, width: int) -> np.ndarray:
    """Smooth content with some noise on it, [height, width, 3] u8."""
    draw = np.random.default_rng(seed)
    small = draw.integers(30, 226, (height // 4 + 2, width // 4 + 2, 3)).astype(np.uint8)
    whole = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
    return np.clip(whole + draw.normal(0, 4, whole.shape), 0, 255).astype(np.uint8)


def planes(patch: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(patch).permute(2, 0, 1)[None].float()


@pytest.mark.parametrize(("scale", "units"), SHAPES)
def test_a_network_is_its_residual_on_the_upsampled_picture(scale, units):
    network = talkative(chain(scale, units))
    for path in network.arch.paths:
        halo = network.halo_px(path)
        x = torch.rand(2, 3, 4 * units + 2 * halo, 6 * units + 2 * halo)
        with torch.no_grad():
            hr = network(x, path)
            detail = F.pixel_shuffle(network.residual(x, path), network.arch.hr_units)
            base = upsample(crop(x, halo - anchor_halo_px(scale)), scale)
        assert hr.shape == (2, 3, 4 * units * scale, 6 * units * scale)
        assert torch.allclose(hr, detail + base, atol=1e-5)
        assert torch.allclose(network.base(x, halo), base)


@pytest.mark.parametrize(("scale", "units"), SHAPES)
def test_a_patch_of_whole_units_gives_the_frames_own_pixels(scale, units):
    network = talkative(chain(scale, units)).double()
    for path in network.arch.paths:
        halo = network.halo_px(path)
        x = torch.rand(1, 3, 6 * units + 2 * halo, 6 * units + 2 * halo, dtype=torch.double)
        with torch.no_grad():
            whole = network(x, path)
            rows = slice(2 * units, 4 * units + 2 * halo)
            part = network(x[:, :, rows, units : 4 * units + 2 * halo], path)
        side = int(scale * units)
        assert torch.allclose(part, whole[:, :, 2 * side : 4 * side, side : 4 * side], atol=1e-10)


@pytest.mark.parametrize(("scale", "units"), SHAPES)
def test_the_reference_is_the_torch_network_to_a_code_value(scale, units):
    """Integers of a network that adds a few code values, against its own real numbers."""
    network = talkative(chain(scale, units))
    halo = network.halo_px(HARD)
    patch = pixels(3, 8 * units + 2 * halo, 10 * units + 2 * halo)
    steps = calibrate(network, [planes(patch) / 255])
    tensors = quantise(network.arch, network.deployed_arrays(), steps)
    real = deployed_network(network.arch, network.deployed_arrays())
    for path in network.arch.paths:
        seen = reference.crop(patch, halo - network.halo_px(path))
        with torch.no_grad():
            wanted = real(planes(seen), path)[0].permute(1, 2, 0).clamp(0, 255).numpy()
            anchor = upsample(planes(reference.crop(patch, halo - anchor_halo_px(scale))), scale)
        shown = reference.upscale(network.arch, tensors, seen, path)
        assert np.abs(shown - wanted).max() <= 1
        assert np.abs(wanted - anchor[0].permute(1, 2, 0).numpy()).mean() > 0.5, "adds something"


@pytest.mark.parametrize("seed", range(26))
def test_random_networks_survive_the_blob_and_give_the_references_pixels(seed):
    arch = random_architecture(seed, widest=16)
    tensors = random_int8(arch, seed, extreme=seed % 3 == 0)
    blob = unpack_weights(pack_integers(arch, tensors))
    network = IntegerNetwork(blob.arch, blob.tensors)
    draw, halo = np.random.default_rng(seed), network.halo_px(HARD)
    height, width = (arch.units * draw.integers(1, 6, 2) * 2 + 2 * halo).tolist()
    patch = draw.integers(0, 256, (height, width, 3)).astype(np.uint8)
    frames = network.upscale_all(patch)
    assert frames.keys() == {BICUBIC, *arch.paths}
    for path, frame in frames.items():
        seen = reference.crop(patch, halo - arch.halo_px(path))
        assert np.array_equal(frame, reference.upscale(arch, tensors, seen, path)), path
        if path != BICUBIC:
            assert set(blob.self_test[path].tolist()) <= set(range(256))


@pytest.mark.parametrize("scale", SCALES)
def test_the_quick_anchor_is_the_references(scale):
    draw = np.random.default_rng(7)
    # At 1.5 pixels go by twos; elsewhere sides may be odd.
    height = 10 if scale == HALF_MORE else 9
    for patch in (
        draw.integers(0, 256, (height, 14, 3)),
        255 * draw.integers(0, 2, (height, 14, 3)),
    ):
        seen = patch.astype(np.uint8)
        assert np.array_equal(integer_anchor(seen, scale), reference.anchor(seen, scale))


def test_the_anchor_of_one_and_a_half_is_pillows_bicubic():
    values = np.random.default_rng(0).random((20, 24), dtype=np.float32) * 255
    wanted = np.asarray(Image.fromarray(values).resize((36, 30), Image.Resampling.BICUBIC))
    patch = torch.from_numpy(values).expand(1, 3, -1, -1)
    real = upsample(patch, HALF_MORE)[0, 1].numpy()
    assert np.abs(real - wanted[3:-3, 3:-3]).max() < 0.01
    whole = values.round().astype(np.uint8)
    wanted = np.asarray(
        Image.fromarray(whole.astype(np.float32)).resize((36, 30), Image.Resampling.BICUBIC)
    )
    shown = reference.anchor(whole[..., None].repeat(3, 2), HALF_MORE)[..., 1] / 64
    assert np.abs(shown - wanted[3:-3, 3:-3]).max() < 0.05


@pytest.mark.parametrize("side", [(12, 16), (13, 16), (12, 17), (15, 19)])
def test_an_odd_frame_at_one_and_a_half_has_every_pixel(side):
    lr = pixels(5, *side)
    hr = upscale_bicubic(lr, HALF_MORE)
    assert hr.shape == (hr_px(side[0], HALF_MORE), hr_px(side[1], HALF_MORE), 3)
    even = np.pad(lr, ((0, side[0] % 2), (0, side[1] % 2), (0, 0)), mode="edge")
    padded = np.pad(even, ((2, 2), (2, 2), (0, 0)), mode="edge")
    wanted = reference.store(reference.anchor(padded, HALF_MORE), np.int32(0))
    # Of an odd frame's own rows and columns; what its edge is continued by is cut off again.
    assert np.array_equal(hr, wanted[: hr.shape[0], : hr.shape[1]])


def test_at_scale_1_the_anchor_is_the_picture():
    lr = pixels(6, 9, 11)
    assert np.array_equal(upscale_bicubic(lr, 1), lr)
    assert np.array_equal(reference.anchor(lr, 1), lr.astype(int) * 64)
    assert np.array_equal(reference.upscale(chain(1, 1), {}, lr, BICUBIC), lr)


@pytest.mark.parametrize(("scale", "units"), SHAPES)
def test_frames_of_any_size_are_scored_whole(scale, units):
    """Sides that are no multiples of a unit: the edge goes on, and the picture has every pixel."""
    network = talkative(chain(scale, units))
    steps = calibrate(network, [planes(pixels(3, 48, 48)) / 255])
    tensors = quantise(network.arch, network.deployed_arrays(), steps)
    lr = pixels(8, 14, 22)
    for scored in (IntegerNetwork(network.arch, tensors), network_of(unpack_weights(
        pack_network(network)
    ))):  # fmt: skip
        frames = dict(upscale_paths(scored, lr))
        shape = hr_px(14, scale), hr_px(22, scale), 3
        assert {frame.shape for frame in frames.values()} == {shape}
        assert np.abs(frames[BICUBIC].astype(int) - upscale_bicubic(lr, scale)).max() <= 1
