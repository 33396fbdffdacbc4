"""Every network of the registry: shapes, halos, exact folding, patches equal to the frame."""

import numpy as np
import pytest
import torch
from PIL import Image

from player.costs import macs_per_pixel
from player.package.anchor import phase_taps
from player.package.architecture import tensor_layout
from player.package.paths import BICUBIC, EASY, HARD
from sr.encode.records import BACKBONE_NAMES
from sr.models import (
    BACKBONES,
    PUBLISHED,
    architecture,
    build_network,
    deployed_network,
    export_paths,
)
from sr.models.anchor import anchor_weight, upsample, upsample_whole

SMALL = {"chain": (8,) * 4, "espcn": (8, 8, 4), "wdsr": (8, 16, 2)}
EVERY = [(b, s) for b in BACKBONES for s in (2, 3, 4)]


def random_network(backbone: str, scale: int):
    """A network whose every tensor is random, the almost silent exits included."""
    network = build_network(architecture(backbone, scale, dynamic=True))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return network.eval()


@pytest.mark.parametrize(("backbone", "scale"), EVERY)
def test_output_is_scale_times_the_input_without_halo(backbone, scale):
    network = random_network(backbone, scale)
    for path in network.arch.paths:
        halo = 2 * network.halo_px(path)
        with torch.no_grad():
            assert network(torch.zeros(2, 3, 5 + halo, 7 + halo), path).shape == (
                2,
                3,
                5 * scale,
                7 * scale,
            )


@pytest.mark.parametrize(("backbone", "scale"), EVERY)
def test_deployed_form_in_pixel_units_equals_the_trained_one(backbone, scale):
    network = random_network(backbone, scale)
    tensors = network.deployed_tensors()
    assert [(n, tuple(t.shape)) for n, t in tensors.items()] == [
        (s.name, s.shape) for s in tensor_layout(network.arch)
    ]
    deployed = deployed_network(network.arch, {n: t.numpy() for n, t in tensors.items()})
    halo = 2 * network.halo_px(HARD)
    x = torch.rand(1, 3, 9 + halo, 8 + halo)
    with torch.no_grad():
        assert torch.allclose(deployed(x * 255), network(x) * 255, atol=2e-2)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_patch_with_its_halo_gives_the_frames_own_pixels(backbone):
    network = random_network(backbone, 2).double()
    for path in network.arch.paths:
        halo = network.halo_px(path)
        frame = torch.rand(1, 3, 20 + 2 * halo, 24 + 2 * halo, dtype=torch.double)
        with torch.no_grad():
            whole = network(frame, path)
            patch = network(frame[:, :, 7 : 7 + 6 + 2 * halo, 9 : 9 + 5 + 2 * halo], path)
        assert torch.allclose(patch, whole[:, :, 14 : 14 + 12, 18 : 18 + 10], atol=1e-10)


def test_joint_residuals_equal_each_path_alone():
    network = random_network("chain", 4)
    x = torch.rand(1, 3, 30, 30)
    with torch.no_grad():
        joint = network.residuals(x)
        inner = network.halo_px(HARD) - network.halo_px(EASY)
        easy = network.residual(x[:, :, inner:-inner, inner:-inner], EASY)
        assert torch.allclose(joint[EASY], easy, atol=1e-5)
        assert torch.allclose(joint[HARD], network.residual(x, HARD), atol=1e-5)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_anchor_is_pillows_bicubic_inside_the_frame(scale):
    pixels = np.random.default_rng(0).random((20, 23), dtype=np.float32) * 255
    size = (23 * scale, 20 * scale)
    expected = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
    x = torch.from_numpy(pixels).expand(1, 3, -1, -1)
    ours = upsample(x, scale)[0, 1].numpy()
    inner = slice(2 * scale, -2 * scale)
    assert np.allclose(ours, expected[inner, inner], atol=1e-2)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_anchor_taps_keep_constants_and_colours_apart(scale):
    assert np.allclose(phase_taps(scale).sum(axis=1), 1)
    weight = anchor_weight(scale).reshape(3, scale**2, 3, 5, 5)
    for colour in range(3):
        others = [c for c in range(3) if c != colour]
        assert not weight[colour][:, others].any()


def test_a_fresh_chain_is_almost_bicubic():
    network = build_network(architecture("chain", 4, dynamic=True))
    x = torch.rand(1, 3, 20, 20)
    with torch.no_grad():
        assert (network(x) - upsample(x[:, :, 4:-4, 4:-4], 4)).abs().max() < 0.05


def test_the_same_seed_builds_the_same_network_and_leaves_the_global_one_alone():
    arch = architecture("chain", 2, dynamic=True)
    torch.manual_seed(5)
    before = torch.rand(1)
    torch.manual_seed(5)
    first, second = build_network(arch, 3), build_network(arch, 3)
    assert torch.equal(torch.rand(1), before)
    assert torch.equal(first.trunk[1].weight, second.trunk[1].weight)
    assert not torch.equal(first.trunk[1].weight, build_network(arch, 4).trunk[1].weight)


def test_the_easy_path_costs_a_quarter_of_the_hard_one():
    arch = architecture("chain", 4, dynamic=True)
    easy, hard = macs_per_pixel(arch, EASY), macs_per_pixel(arch, HARD)
    trunk = 3 * 32 * 9 + 5 * 32 * 32 * 9
    assert hard == trunk + 32 * 48
    assert easy == 3 * 32 * 9 + 32 * 32 * 9 + 32 * 48
    assert easy < 0.25 * hard
    assert macs_per_pixel(arch, BICUBIC) < 0.01 * hard


@pytest.mark.parametrize("backbone", BACKBONES)
def test_exported_paths_name_the_tensors_of_the_blob(backbone):
    arch = architecture(backbone, 2, dynamic=True)
    names = {s.name for s in tensor_layout(arch)}
    used = set()
    for program in export_paths(arch).values():
        used |= {n.removeprefix("network.") for n in program.graph_signature.parameters}
        used &= names
    assert used == names


def test_names_of_the_command_are_those_of_the_registry():
    assert sorted(BACKBONE_NAMES) == sorted(BACKBONES)


# Parameters at scales 2, 3 and 4, in thousands: as counted in the papers' published code.
COUNTED = {"srcnn": (69.3,) * 3, "vdsr": (668.2,) * 3, "edsr": (1369.9, 1554.5, 1517.6)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_network_has_the_published_size(name):
    for scale, thousands in zip((2, 3, 4), COUNTED[name], strict=True):
        network = PUBLISHED[name](scale)
        assert sum(p.numel() for p in network.parameters()) / 1e3 == pytest.approx(
            thousands, abs=0.1
        )
        with torch.no_grad():
            assert network(torch.rand(2, 3, 5, 7)).shape == (2, 3, 5 * scale, 7 * scale)


def test_wdsr_16_has_the_published_size():
    specs = tensor_layout(architecture("wdsr-16", 2, dynamic=False))
    weights = sum(spec.size for spec in specs)
    assert weights == pytest.approx(1.187e6, rel=2e-3)  # as deployed: without the norms' lengths


def test_vdsr_starts_from_bicubic():
    x = torch.rand(1, 3, 9, 8)
    with torch.no_grad():
        off = (PUBLISHED["vdsr"](3)(x) - upsample_whole(x, 3)).abs().max()
    assert off < 0.05  # the last layer's bias
