"""From a trained network to integers: bounds, exactness, what it loses, and fine-tuning."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from benchmarks.quant import largest
from player.package.architecture import Architecture, convolutions, tensor_layout
from player.package.coded_layers import encode_layers
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
from player.package.weights import (
    FLOAT16,
    INT8,
    INT8_CODED,
    pack_weights,
    self_test_input,
    unpack_weights,
)
from sr.models import Network, build_network, deployed_network
from sr.packing import pack_integers
from sr.quant import reference
from sr.quant.calibrate import calibrate, hidden_values, least_squares, percentile
from sr.quant.fake import (
    LargestSteps,
    LearnedStep,
    RoundedConvolution,
    RoundedHidden,
    integers_of,
    make_fake,
    rounded_convolutions,
)
from sr.quant.finetune import (
    calibration_crops,
    fine_tune,
    fine_tuning_plan,
    quantise_trained,
    training_plans,
)
from sr.quant.integer_network import IntegerNetwork
from sr.quant.loss import quantisation_loss_db
from sr.quant.quantise import StepSet, integer_layer, quantise, source_of
from sr.quant.rate import coded_bits
from sr.scoring import scored_network, upscale_paths
from sr.training.data import CropSampler, TrainingSet
from sr.training.loop import TrainingPlan, overfit
from tests.sr.random_int8 import random_int8

MARGIN = 3
ARCH = Architecture("chain", 2, (8, 12, 8), (1, 3))
ARCHITECTURES = [
    Architecture("chain", 4, (32, 32), (1, 2)),
    Architecture("chain", 3, (4, 20, 8), (2, 3)),
    Architecture("chain", 2, (16,), (1,)),
    Architecture("espcn", 2, (12, 4), (2,)),
    Architecture("espcn", 3, (64, 32), (2,)),
]


@pytest.fixture(scope="module")
def sampler() -> CropSampler:
    """Waves of many lengths, so that bicubic loses some."""
    y, x = np.mgrid[:120, :200]
    waves = [np.sin(x / (1.3 + i) + i) * np.cos(y / (2.1 + i)) for i in range(3)]
    hr = np.stack([(127 + 110 * w).astype(np.uint8) for w in waves])[..., None].repeat(3, axis=3)
    hr[..., 1] = hr[:, ::-1, :, 1]
    lr = hr[:, ::2, ::2]
    margin = (MARGIN, MARGIN)
    data = TrainingSet(np.pad(lr, ((0, 0), margin, margin, (0, 0)), "edge"), hr, 2, MARGIN)
    return CropSampler(data, np.ones((3, 2, 3)), (54, 48), 2, seed=7)


@pytest.fixture(scope="module")
def trained(sampler) -> Network:
    network = build_network(ARCH)
    overfit(network, sampler, TrainingPlan(steps=150))
    return network


def copy_of(network: Network) -> Network:
    fresh = build_network(network.arch)
    fresh.load_state_dict(network.state_dict())
    return fresh


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
    loss_db = quantisation_loss_db(before, IntegerNetwork(ARCH, integers), sampler)
    # Steps a little larger or smaller make it anything from -0.02 to 0.4.
    assert -0.05 < loss_db < 0.5


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


def fake_of(network: Network, sampler: CropSampler, learn_weights: bool = False) -> Network:
    fake = copy_of(network)
    steps = calibrate(network, calibration_crops(sampler))
    make_fake(fake, steps.activations, learn_weights)
    return fake


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


def test_the_rounded_network_is_the_integer_network(trained, sampler):
    """What fine-tuning sees is what the phone will compute, to the rounding of a float32."""
    steps = calibrate(trained, calibration_crops(sampler))
    integers = IntegerNetwork(ARCH, quantise(ARCH, trained.deployed_arrays(), steps))
    fake = copy_of(trained)
    make_fake(fake, steps.activations, learn_weights=False)
    batch = sampler.draw(0)
    with torch.no_grad():
        ours = (fake(batch.lr[:1], HARD) * 255)[0].permute(1, 2, 0).numpy()
    lr = (batch.lr[0] * 255).round().byte().permute(1, 2, 0).numpy()
    theirs = integers.upscale_all(np.ascontiguousarray(lr))[HARD]
    difference = np.abs(np.clip(ours, 0, 255) - theirs)
    assert difference.mean() < 0.3 and np.quantile(difference, 0.999) < 1.0


def test_gradients_pass_through_rounding_and_stop_at_clamps(trained, sampler):
    fake = copy_of(trained)
    make_fake(fake, {f"trunk.{i}": 1e-9 for i in range(3)}, learn_weights=False)
    fake.residual(sampler.draw(0).lr, HARD).sum().backward()
    trunk = fake.get_submodule("trunk.0")
    assert trunk.weight.grad.abs().max() == 0, "every value is clamped at 255 steps"
    fake = fake_of(trained, sampler)
    fake.residual(sampler.draw(0).lr, HARD).square().sum().backward()
    assert all(p.grad is not None for n, p in fake.named_parameters() if "exits.0" not in n)
    assert fake.get_submodule("trunk.0").weight.grad.abs().max() > 0


def one_weight(kind: type, weight_step: type, *step: float) -> RoundedConvolution:
    """A convolution of the one weight 0.9, which reads steps of 0.25."""
    plain = torch.nn.Conv2d(1, 1, 1)
    torch.nn.init.constant_(plain.weight, 0.9)
    torch.nn.init.zeros_(plain.bias)
    made = weight_step(plain.weight) if weight_step is LearnedStep else weight_step()
    return kind(plain, lambda: torch.tensor(0.25), made, *step)


def test_the_steps_gradient_is_what_a_larger_step_changes():
    """With the code fixed: the rounding's error, and of what is clamped the code itself."""
    layer = one_weight(RoundedHidden, LargestSteps, 0.3)
    x = torch.tensor([-1.0, 1.0, 3.0, 400.0]).reshape(1, 1, 1, 4)
    codes = x * 0.25 * 0.9 / 0.3  # of which the first is negative and the last is clamped
    (layer(x) * layer.step()).sum().backward()
    errors = codes.round() - codes
    wanted = 0.3 * (errors[0, 0, 0, 1:3].sum() + 255)
    assert layer.log_step.grad.item() == pytest.approx(wanted.item(), rel=0.01)


def test_a_weight_steps_gradient_is_the_roundings_error():
    layer = one_weight(RoundedConvolution, LearnedStep)
    with torch.no_grad():
        layer.weight_step.paced_log.fill_(math.log(0.35) / 10)
    layer(torch.ones(1, 1, 1, 1)).sum().backward()
    weight, multiplier = layer.in_steps()
    step = (multiplier * layer.step() / 0.25).item()
    wanted = 0.25 * step * (weight.round() - weight).item() * 10
    assert layer.weight_step.paced_log.grad.item() == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("mean", [0.1, 0.6, 3.0])
def test_coded_bits_are_those_of_the_coder(mean):
    """Of geometric weights, within a tenth and a bit for each context that has to be learned."""
    draw = np.random.default_rng(0)
    t = (math.sqrt(1 + mean * mean) - 1) / mean
    arch = Architecture("chain", 2, (32, 32), (2,))
    zeros = [np.zeros(shape, np.int8) for _, shape in convolutions(arch)]
    shape = zeros[1].shape
    weight = (draw.geometric(1 - t, shape) - draw.geometric(1 - t, shape)).astype(np.int8)

    def coded(weights: list[np.ndarray]) -> int:
        outputs = [
            (np.zeros(len(w), np.int32), np.full(len(w), 0.125, np.float32)) for w in weights
        ]
        return len(encode_layers(arch, [(w, *o) for w, o in zip(weights, outputs, strict=True)]))

    found = coded_bits(torch.from_numpy(weight).float()).item() / 8
    assert found == pytest.approx(coded([zeros[0], weight, zeros[2]]) - coded(zeros), rel=0.1)


def test_bits_with_a_price_are_fewer_and_of_nothing_there_are_none(trained, sampler):
    plan = replace(fine_tuning_plan(100), steps=60, adam_rate=4e-3)
    sizes = [
        len(pack_integers(ARCH, fine_tune(copy_of(trained), sampler, plan, rate_weight=weight)))
        for weight in (1e-9, 1e-6)
    ]
    assert sizes[1] < 0.9 * sizes[0]
    assert coded_bits(torch.zeros(4, 4, 3, 3)) < 1


@pytest.mark.parametrize("rate_aware", [False, True])
def test_both_ways_take_the_same_steps(rate_aware):
    first, second = training_plans(2500, rate_aware)
    assert first.steps + second.steps == 2750
    assert second.steps == (1100 if rate_aware else 250)
    assert (second.schedule(60) < first.schedule(first.steps - 1)) is rate_aware


def test_fine_tuning_gains_on_calibration_alone_at_coarse_steps(trained, sampler):
    """Against the same network's integers without it."""
    before = deployed_network(ARCH, trained.deployed_arrays())
    plain = IntegerNetwork(ARCH, quantise_trained(copy_of(trained), sampler))
    tuned = IntegerNetwork(ARCH, fine_tune(copy_of(trained), sampler, fine_tuning_plan(1500)))
    losses = [quantisation_loss_db(before, n, sampler) for n in (plain, tuned)]
    assert losses[1] < losses[0]


@pytest.mark.parametrize("weight", [0.0, 1e-7])
def test_fine_tuning_cut_in_two_ends_with_the_same_integers(trained, sampler, tmp_path, weight):
    plan = replace(fine_tuning_plan(100), steps=6)

    class Cut(Exception):
        pass

    def cut(step: int, quality_db: float) -> None:
        if step == 3:
            raise Cut

    tuned = partial(fine_tune, rate_weight=weight)
    whole = tuned(copy_of(trained), sampler, plan)
    with pytest.raises(Cut):
        tuned(copy_of(trained), sampler, plan, tmp_path / "f.ckpt", cut)
    seen: list[int] = []
    parted = tuned(
        copy_of(trained), sampler, plan, tmp_path / "f.ckpt", lambda s, q: seen.append(s)
    )
    assert seen == [4, 5, 6]
    assert whole.keys() == parted.keys()
    assert all(np.array_equal(whole[name], parted[name]) for name in whole)
    assert pack_integers(ARCH, whole) == pack_integers(ARCH, parted)


@pytest.mark.parametrize("weight", [0.0, 1e-7])
def test_steps_are_learned(trained, sampler, weight):
    network = copy_of(trained)
    start = calibrate(network, calibration_crops(sampler)).activations
    fine_tune(network, sampler, replace(fine_tuning_plan(100), steps=5), rate_weight=weight)
    layers = dict(rounded_convolutions(network))
    for name, step in start.items():
        assert not math.isclose(layers[name].step().item(), step, rel_tol=1e-6), name
    assert all(isinstance(m.weight_step, LearnedStep) is (weight > 0) for m in layers.values())


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
