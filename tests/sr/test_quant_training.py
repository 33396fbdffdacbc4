"""Training as the integers that a network will be: rounding, steps, bits with a price."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from player.package.architecture import Architecture, convolutions
from player.package.coded_layers import encode_layers
from player.package.paths import HARD
from sr.models import deployed_network
from sr.packing import pack_integers
from sr.quant.calibrate import calibrate
from sr.quant.fake import (
    LargestSteps,
    LearnedStep,
    RoundedConvolution,
    RoundedHidden,
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
from sr.quant.quantise import quantise
from sr.quant.rate import coded_bits
from tests.sr.small_trained import ARCH, copy_of, fake_of


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
