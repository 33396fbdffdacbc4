"""From a trained network to integers: bounds, exactness, and what it loses."""

import math

import numpy as np
import pytest

from benchmarks.quant import largest
from player.package.architecture import Architecture, convolutions, tensor_layout
from player.package.generic import generic_blob
from player.package.integers import (
    LEAST_MULTIPLIER,
    SUM_LIMIT,
    bias_units,
    check_layer,
    grid_multiplier,
    largest_sums,
)
from player.package.package_error import PackageError
from player.package.paths import EASY, HARD
from player.package.self_test import self_test_input
from player.package.weights import FLOAT16, INT8, INT8_CODED, pack_weights, unpack_weights
from sr.models import build_network, deployed_network
from sr.packing import pack_integers
from sr.quant import reference
from sr.quant.calibrate import calibrate, hidden_values, least_squares, percentile
from sr.quant.fake import (
    integers_of,
)
from sr.quant.finetune import (
    calibration_crops,
    quantise_trained,
)
from sr.quant.integer_network import IntegerNetwork
from sr.quant.loss import quantisation_loss_db
from sr.quant.quantise import StepSet, integer_layer, quantise, source_of
from sr.scoring import scored_network, upscale_patch, upscale_paths
from sr.training.loop import TrainingPlan, overfit
from tests.sr.random_int8 import random_int8
from tests.sr.small_trained import ARCH, fake_of

ARCHITECTURES = [
    Architecture("chain", 4, (32, 32), (1, 2)),
    Architecture("chain", 3, (4, 20, 8), (2, 3)),
    Architecture("chain", 2, (16,), (1,)),
    Architecture("espcn", 2, (12, 4), (2,)),
    Architecture("espcn", 3, (64, 32), (2,)),
]


@pytest.mark.parametrize("extreme", [False, True])
@pytest.mark.parametrize("arch", ARCHITECTURES, ids=lambda a: f"{a.name}-x{a.scale}-{a.widths}")
def test_torch_computes_the_references_integers(arch, extreme):
    tensors = random_int8(arch, sum(arch.widths), extreme)
    network = IntegerNetwork(arch, tensors)
    halo = network.halo_px(HARD)
    patch = np.random.default_rng(0).integers(0, 256, (9 + 2 * halo, 14 + 2 * halo, 3))
    frames = network.upscale_all(patch.astype(np.uint8))
    assert frames.keys() == {0, *arch.paths}
    for path, frame in frames.items():
        margin = halo - network.halo_px(path)
        seen = reference.crop(patch.astype(np.uint8), margin)
        assert np.array_equal(frame, reference.upscale(arch, tensors, seen, path)), path


def random_architecture(draw: np.random.Generator) -> Architecture:
    """A chain or an espcn of one to four layers, widths 4..48."""
    widths = tuple(4 * int(w) for w in draw.integers(1, 13, draw.integers(1, 5)))
    scale, depth = int(draw.integers(2, 5)), len(widths)
    if draw.random() < 0.3:
        return Architecture("espcn", scale, widths, (depth,))
    easy = sorted({int(draw.integers(1, depth + 1)), depth})
    return Architecture("chain", scale, widths, tuple(easy))


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_survive_the_blob_and_give_the_references_pixels(seed):
    draw = np.random.default_rng(seed)
    arch = random_architecture(draw)
    tensors = random_int8(arch, seed, extreme=seed % 2 == 0)
    blob = unpack_weights(pack_integers(arch, tensors))
    network = IntegerNetwork(blob.arch, blob.tensors)
    halo = network.halo_px(HARD)
    height, width = draw.integers(1, 12, 2)
    patch = draw.integers(0, 256, (height + 2 * halo, width + 2 * halo, 3)).astype(np.uint8)
    wanted = reference.upscale(arch, tensors, patch, HARD)
    assert np.array_equal(network.upscale_all(patch)[HARD], wanted)


def test_sums_next_to_2_to_the_24_stay_exact_in_torch():
    """Odd sums just below the bound, where the next float32 is one away."""
    arch = Architecture("chain", 2, (4,), (1,))
    tensors = random_int8(arch, 0, extreme=True)
    tensors["trunk.0.weight"][:] = 127
    most = largest_sums(tensors["trunk.0.weight"], np.zeros(4, np.int32))
    tensors["trunk.0.bias"][:] = SUM_LIMIT - 1 - most
    tensors["trunk.0.multiplier"][:] = np.float32(255 / (SUM_LIMIT + 2**16))
    check_layer("trunk.0", reference.layer_of(tensors, "trunk.0"))
    patch = np.full((12, 12, 3), 255, np.uint8)
    patch[::2, ::3] = 254
    frames = IntegerNetwork(arch, tensors).upscale_all(patch)
    assert np.array_equal(frames[HARD], reference.upscale(arch, tensors, patch, HARD))


def test_every_layer_reads_what_the_layout_says():
    assert [source_of(ARCH, n) for n, _ in convolutions(ARCH)] == [
        None, "trunk.0", "trunk.1", "trunk.0", "trunk.2",
    ]  # fmt: skip
    espcn = Architecture("espcn", 2, (12, 4), (2,))
    assert source_of(espcn, "tail") == "trunk.1"


def steps_for(arch: Architecture, tensors: dict, activation: float = 0.01) -> StepSet:
    activations = {n: activation for n, _ in convolutions(arch) if n.startswith("trunk")}
    weights = {n: np.full(s[0], 0.01) for n, s in convolutions(arch)}
    return StepSet(activations, weights)


def random_floats(arch: Architecture, seed: int, size: float) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    return {s.name: (size * draw.normal(size=s.shape)).astype("f4") for s in tensor_layout(arch)}


@pytest.mark.parametrize("size", [1e-8, 1e-3, 1.0, 30.0])
@pytest.mark.parametrize("arch", ARCHITECTURES, ids=lambda a: f"{a.name}-x{a.scale}-{a.widths}")
def test_whatever_the_weights_the_integers_keep_the_bounds(arch, size):
    """Steps far too small for the weights, so that they must be raised or clamp."""
    tensors = random_floats(arch, 1, size)
    for activation in (1e-3, 1.0):
        integers = quantise(arch, tensors, steps_for(arch, tensors, activation))
        pack_weights(arch, integers, INT8)


@pytest.mark.parametrize("width", [128, 256])
def test_wide_layers_have_their_steps_raised_to_keep_below_2_to_the_24(width):
    arch = Architecture("chain", 2, (width, width), (2,))
    tensors = {k: np.sign(v) * 0.1 for k, v in random_floats(arch, 2, 1.0).items()}
    steps = StepSet(
        {"trunk.0": 0.01, "trunk.1": 0.01},
        {n: np.full(s[0], 0.1 / 127) for n, s in convolutions(arch)},
    )
    integers = quantise(arch, tensors, steps)
    sums = largest_sums(integers["trunk.1.weight"], integers["trunk.1.bias"])
    assert sums.min() > SUM_LIMIT * 0.9 and sums.max() < SUM_LIMIT
    most = int(np.abs(integers["trunk.1.weight"]).max())
    assert 20 < most < 127, "the step was raised, not the weights cut off"
    step = integers["trunk.1.multiplier"][0] * 0.01 / 0.01
    assert most * step == pytest.approx(0.1, rel=0.02)


def test_a_large_bias_on_small_weights_fits_too():
    tensors = random_floats(ARCH, 3, 1e-6)
    tensors["trunk.1.bias"][:] = 5.0
    integers = quantise(ARCH, tensors, steps_for(ARCH, tensors))
    pack_weights(ARCH, integers, INT8)
    hidden = reference.hidden_layer(
        np.zeros((3, 3, 8), np.uint8), *reference.layer_of(integers, "trunk.1")
    )
    assert (hidden == 255).all(), "5.0 in steps of 0.01 is clamped"


def test_dead_channels_have_valid_multipliers():
    tensors = random_floats(ARCH, 3, 0.1)
    tensors["trunk.1.weight"][2], tensors["trunk.1.bias"][2] = 0, 0
    weights = {n: np.full(s[0], 1e-30) for n, s in convolutions(ARCH)}
    integers = quantise(ARCH, tensors, StepSet(dict(steps_for(ARCH, tensors).activations), weights))
    assert integers["trunk.1.multiplier"].min() >= LEAST_MULTIPLIER
    pack_weights(ARCH, integers, INT8)


def test_weights_too_large_for_any_multiplier_are_refused_in_one_line():
    tensors = random_floats(ARCH, 3, 1e8)
    weights = {n: np.full(s[0], 1e7) for n, s in convolutions(ARCH)}
    integers = quantise(ARCH, tensors, StepSet(dict(steps_for(ARCH, tensors).activations), weights))
    with pytest.raises(PackageError, match=r"^weights: \w+\.0, output 0: multiplier [^\n]*$"):
        pack_integers(ARCH, integers)


def test_quantising_a_trained_network_loses_little(trained, sampler):
    integers = quantise_trained(trained, sampler)
    before = deployed_network(ARCH, trained.deployed_arrays())
    after = IntegerNetwork(ARCH, integers)
    # Steps a little larger or smaller make it anything from -0.02 to 0.4.
    assert -0.05 < quantisation_loss_db(before, after, sampler) < 0.5
    # Pixels move by 0.6, by steps twice as large by 1.3.
    real, whole = (
        upscale_patch(n, sampler.data.lr[0])[HARD].astype(float) for n in (before, after)
    )
    assert np.sqrt(np.square(real - whole).mean()) < 1.0


def test_a_blob_of_integers_has_the_references_self_test(trained, sampler):
    integers = quantise_trained(trained, sampler)
    blob = unpack_weights(pack_integers(ARCH, integers))
    assert blob.dtype == INT8_CODED and blob.self_test.keys() == {EASY, HARD}
    assert len({row.tobytes() for row in blob.self_test.values()}) == 2
    assert all(np.array_equal(blob.tensors[k], v) for k, v in integers.items())


def test_calibration_looks_at_values_after_the_relu(trained, sampler):
    values = hidden_values(trained, calibration_crops(sampler))
    assert list(values) == ["trunk.0", "trunk.1", "trunk.2"]
    assert all(v.min() == 0 and v.max() > 0 for v in values.values())
    steps = calibrate(trained, calibration_crops(sampler), largest)
    assert steps.activations["trunk.1"] == pytest.approx(values["trunk.1"].max() / 255)


def test_rules_for_steps_on_a_known_distribution():
    """100,000 values below 1 and one of 20: who cuts it off, and who errs least."""
    values = np.append(np.linspace(0, 1, 100_000), 20.0).astype(np.float32)

    def error(step: float) -> float:
        return float(np.mean((np.minimum(np.rint(values / step), 255) * step - values) ** 2))

    assert largest(values) == pytest.approx(20 / 255)
    assert percentile(values) == pytest.approx(1 / 255, rel=0.01)
    assert percentile(values) < least_squares(values) < largest(values)
    assert error(least_squares(values)) < 0.95 * min(error(largest(values)), error(1 / 255))


def test_every_multiplier_lies_on_the_grid_and_its_weights_fill_the_range(trained, sampler):
    """A coded blob takes no other; the largest weight of an output stays near 127."""
    for integers in (quantise_trained(trained, sampler), integers_of(fake_of(trained, sampler))):
        for name, value in integers.items():
            if name.endswith("multiplier"):
                assert np.array_equal(grid_multiplier(value), value)
            elif name.endswith("weight"):
                assert np.abs(value).max(axis=(1, 2, 3)).min() >= 112
        assert unpack_weights(pack_integers(ARCH, integers)).dtype == INT8_CODED


def test_biases_are_whole_units_that_nobody_sees(trained, sampler):
    integers = quantise_trained(trained, sampler)
    for name, least in (("trunk.1", 1 / 8), ("exits.1", 2)):
        multiplier, bias = integers[f"{name}.multiplier"], integers[f"{name}.bias"]
        units = bias_units(multiplier, int(math.log2(least)))
        assert (bias % units == 0).all() and (units * multiplier >= least).all()


def test_espcn_is_quantised_as_well(sampler):
    arch = Architecture("espcn", 2, (8, 8), (2,))
    network = build_network(arch)
    overfit(network, sampler, TrainingPlan(steps=60))
    before = deployed_network(arch, network.deployed_arrays())
    after = IntegerNetwork(arch, quantise_trained(network, sampler))
    assert quantisation_loss_db(before, after, sampler) < 0.3


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_generic_networks_ship_for_both_dtypes_and_nearly_agree(scale):
    """Their self-tests are the reference's; on a smooth patch both give almost the same pixels."""
    blobs = [generic_blob(scale, dtype) for dtype in ("fp32", "int8")]
    floats, integers = map(unpack_weights, blobs)
    assert (floats.dtype, integers.dtype) == (FLOAT16, INT8)
    assert floats.arch == integers.arch
    for path, row in integers.self_test.items():
        patch, places = self_test_input(integers.arch, path)
        hr = reference.upscale(integers.arch, integers.tensors, patch, path)
        assert np.array_equal(hr.ravel()[places], row)
    y, x = np.mgrid[:24, :30]
    lr = np.stack([127 + 100 * np.sin(x / 3 + c) * np.cos(y / 4) for c in range(3)], axis=-1)
    frames = [dict(upscale_paths(scored_network(b), lr.astype(np.uint8))) for b in blobs]
    for path in integers.arch.paths:
        difference = frames[0][path].astype(int) - frames[1][path]
        assert np.abs(difference).mean() < 0.7, path


def test_a_bias_beyond_any_multiplier_decides_its_output_alone():
    """As of an output that training has switched off for good."""
    weight = np.full((2, 3, 1, 1), 0.5)
    bias = np.array([-1e9, 1.0])
    integers, biases, multiplier = integer_layer(weight, bias, np.full(2, 0.01), 1.0, 0.1)
    check_layer("trunk.0", (integers, biases, multiplier))
    assert biases[0] * float(multiplier[0]) < -255 * 1000
    assert biases[1] * float(multiplier[1]) * 0.1 == pytest.approx(1.0, rel=0.1)
