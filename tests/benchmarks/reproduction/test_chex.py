"""CHEX on a ResNet, small: the allocator, the cuts, matched MACs, the schedule, rows, claims."""

import numpy as np
import pytest
import torch
from torch import nn

import benchmarks.reproduction.chex as chex
from benchmarks.reproduction import ReproduceOptions
from benchmarks.reproduction.chex import (
    CHEX,
    DENSE,
    DENSE_L1,
    EXPLORING,
    L1,
    RANDOM,
    UNIFORM,
    Settings,
    Trial,
    claims,
    dense_then_l1,
    experiment,
    gamma_allocator,
)
from benchmarks.reproduction.classify import BatchSampler, ClassifyPlan
from benchmarks.reproduction.datasets import LabelledImages, TrainAndTest, ungrouped
from benchmarks.reproduction.pruning import (
    LaterSampler,
    cut,
    folded,
    layers_of,
    longest_channels,
    split,
    time_ratio,
    uniform_widths,
)
from benchmarks.reproduction.resnet import ResNet
from benchmarks.shrinking.controls import L1Exploration, RandomRegrow
from sr.shrink.channels import ChannelLayer
from sr.shrink.chex import Exploration

TINY = Settings(
    steps=12, width=8, stem_stride=1, batch=16, interval=3, floor=2, timed_batch=2, timed_rounds=1
)
ARMS = [*EXPLORING, UNIFORM, DENSE_L1, DENSE]


def stripes(count: int, seed: int) -> LabelledImages:
    """Noise with stripes across (class 0) or down (class 1)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    pictures = rng.integers(60, 196, (count, 8, 8, 3), np.uint8)
    pictures[labels == 0, ::4] += 50
    pictures[labels == 1, :, ::4] += 50
    return ungrouped(pictures, labels, ("across", "down"))


@pytest.fixture(scope="module")
def data() -> TrainAndTest:
    return TrainAndTest(stripes(64, 0), stripes(20, 1))


def layer(factors: np.ndarray) -> ChannelLayer:
    scale = nn.Parameter(torch.from_numpy(factors))
    weight = nn.Parameter(torch.ones(len(factors), 1, 1, 1))
    return ChannelLayer("any", weight, scale, (weight, scale), ())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_widths_are_those_above_one_quantile_of_all_factors(seed, share):
    rng = np.random.default_rng(seed)
    factors = [rng.normal(0, scale, n) for scale, n in ((0.5, 8), (1.0, 24), (0.7, 48))]
    gone = 0.5 * (1 - share)
    flat = np.sort(np.abs(np.concatenate(factors)))
    threshold = flat[round(gone * len(flat))]
    expected = [max(4, int((np.abs(f) >= threshold).sum())) for f in factors]
    widths = gamma_allocator(0.5, floor=4)([layer(f) for f in factors], share)
    assert list(widths) == expected
    assert share < 1 or widths == (8, 24, 48)


def test_a_layer_of_low_factors_keeps_its_floor_and_no_more_than_it_has():
    layers = [layer(np.full(n, value)) for n, value in ((3, 0.1), (10, 0.2), (20, 1.0))]
    assert gamma_allocator(0.5, floor=4)(layers, 0.0) == (3, 4, 17)
    assert gamma_allocator(0.3, floor=4)(layers, 0.0) == (3, 4, 20)


def test_cutting_off_channels_changes_no_answer(data):
    """The cut and folded network says what the masked one says, in its smaller form."""
    trial = Trial(TINY, data, 0)
    network, images = trial.network(), torch.randn(5, 3, 8, 8)
    network.train()
    for _ in range(3):
        network(images)
    kept = {name: list(range(1, 2 * i + 4)) for i, name in enumerate(network.prunable)}
    layers = layers_of(network, 8)
    with torch.no_grad():
        for part in layers:
            off = sorted(set(range(part.channels)) - set(kept[part.name]))
            for row in part.rows:
                row[off] = 0
        expected = network.eval()(images)
    small = cut(network, kept, 8, trial.network)
    with torch.no_grad():
        assert small.inner_widths == (3, 5, 7)
        torch.testing.assert_close(small.eval()(images), expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(folded(small)(images), expected, atol=1e-4, rtol=1e-4)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded(small).modules())


def test_the_longest_channels_are_kept():
    network = ResNet(8, width=8)
    weights = [network.get_parameter(f"{name}.weight") for name in network.prunable]
    with torch.no_grad():
        for weight in weights:
            weight[[1, 6]] *= 9
    assert list(longest_channels(network, (2, 2, 2)).values()) == [[1, 6]] * 3


@pytest.mark.parametrize("widths", [(2, 9, 17), (8, 3, 30), (1, 1, 1), (8, 16, 32)])
def test_uniform_costs_no_less_and_one_notch_less_would(data, widths):
    trial = Trial(TINY, data, 0)
    macs = trial.macs(widths)
    uniform = uniform_widths(trial.full_widths, macs, trial.macs)
    assert macs <= trial.macs(uniform)
    assert all(
        abs(w - max(1, full * uniform[-1] / 32)) <= 0.5 + full / 64
        for w, full in zip(uniform, trial.full_widths, strict=True)
    )
    less = tuple(max(1, round(full * (uniform[-1] - 1) / 32)) for full in trial.full_widths)
    assert less == uniform == (1, 1, 1) or trial.macs(less) < macs


def test_two_parts_are_the_whole_schedule(data):
    plan = ClassifyPlan(20, rate=0.3, warm_up_steps=4)
    first, rest = split(plan, 13)
    rates = [part.rate_at(step) for part in (first, rest) for step in range(part.steps)]
    assert rates == [plan.rate_at(step) for step in range(20)]
    whole, later = BatchSampler(data.train, 3, 16), LaterSampler(data.train, 3, 16, begin=13)
    for step in (0, 4):
        assert torch.equal(later.draw(step).images, whole.draw(13 + step).images)


def test_exploring_ends_in_a_cut_network_that_trained_on(data, monkeypatch):
    """Trained parts, their steps, and widths: dense before the cut, half of the channels after."""
    seen = []
    train = chex.train_classifier

    def watched(network, sampler, plan, companion=None):
        train(network, sampler, plan, companion)
        live = [int((p.flatten(1).abs().sum(1) > 0).sum()) for p in _weights(network)]
        seen.append((plan.steps, network.inner_widths, live))

    monkeypatch.setattr(chex, "train_classifier", watched)
    network = EXPLORING[CHEX](Trial(TINY, data, 0))
    (explored, before, live), (rest, after, all_live) = seen
    assert (explored, rest) == (9, 3) and before == (8, 16, 32)
    assert live == all_live == list(after) == list(network.inner_widths)
    assert sum(after) == 28


def _weights(network: ResNet) -> list[nn.Parameter]:
    return [network.get_parameter(f"{name}.weight") for name in network.prunable]


def test_the_exploring_arms_differ_in_one_thing(data, monkeypatch):
    """Criterion, regrowing, and the random numbers that would hide its difference."""
    asked = []
    monkeypatch.setattr(chex, "explored", lambda trial, *of: asked.append(of))
    for arm in EXPLORING.values():
        arm(Trial(TINY, data, 3))
    ours, random, l1 = asked
    assert ours == (Exploration, 3) and l1 == (L1Exploration, 3)
    assert random[0] is RandomRegrow and random[1] not in range(100)


def test_dense_then_l1_is_dense_first_and_then_of_the_given_widths(data, monkeypatch):
    seen = []
    monkeypatch.setattr(
        chex,
        "train_classifier",
        lambda network, sampler, plan: seen.append((plan.steps, network.inner_widths)),
    )
    trial = Trial(TINY, data, 0)
    network, start = dense_then_l1(trial, (2, 3, 4)), trial.network()
    assert seen == [(6, (8, 16, 32)), (6, (2, 3, 4))]
    longest = longest_channels(start, (2, 3, 4))["blocks.0.conv1"]
    assert torch.equal(network.blocks[0].conv1.weight, start.blocks[0].conv1.weight[longest])


class Killed(BaseException):
    """As a signal would: nothing catches it."""


def test_rows_are_of_all_arms_and_resume(data, tmp_path, monkeypatch):
    options = ReproduceOptions((0, 1), False, tmp_path, tmp_path)
    made, measure = [], chex.measured

    def watched(trial, name, arm):
        made.append((name, trial.seed))
        if len(made) == 5:
            raise Killed
        return measure(trial, name, arm)

    monkeypatch.setattr(chex, "measured", watched)
    with pytest.raises(Killed):
        experiment(TINY, data, options)
    result = experiment(TINY, data, options)
    wanted = [(arm, seed) for seed in (0, 1) for arm in ARMS]
    assert [(row["arm"], row["seed"]) for row in result["rows"]] == wanted
    assert made == wanted[:5] + wanted[4:]
    assert experiment(TINY, data, options) == result and len(made) == 13
    _check_rows(result["rows"])
    other = TrainAndTest(data.train, stripes(20, 2))
    with pytest.raises(AssertionError, match="made anew"):
        monkeypatch.setattr(chex, "measured", _refuse)
        experiment(TINY, other, options)


def _refuse(*_: object) -> None:
    raise AssertionError("made anew")


def _check_rows(rows: list[dict]) -> None:
    for seed in (0, 1):
        row = {r["arm"]: r for r in rows if r["seed"] == seed}
        assert row[CHEX]["macs"] <= row[UNIFORM]["macs"] < row[DENSE]["macs"]
        assert row[UNIFORM]["inner_widths"] == row[DENSE_L1]["inner_widths"]
        assert row[DENSE]["inner_widths"] == [8, 16, 32] and row[DENSE]["macs_ratio"] == 1
        for arm in EXPLORING:
            network = ResNet(8, 8, 2, row[arm]["inner_widths"])
            assert row[arm]["parameters"] == sum(p.numel() for p in network.parameters())
            assert sum(row[arm]["inner_widths"]) == 28


def rows_of(accuracy: dict[str, tuple[float, float]], time: float) -> list[dict]:
    return [
        {"arm": arm, "seed": s, "accuracy": a, "macs_ratio": 0.5, "time_ratio": time}
        for arm, both in accuracy.items()
        for s, a in enumerate(both)
    ]


def test_claims_are_judged_seed_by_seed():
    accuracy = {
        CHEX: (60.0, 62.0), UNIFORM: (60.0, 60.9), DENSE_L1: (61.0, 61.5),
        RANDOM: (60.5, 61.6), L1: (60.0, 62.0), DENSE: (63.0, 63.0),
    }  # fmt: skip
    made = claims(rows_of(accuracy, 0.6))
    assert [claim["verdict"] for claim in made] == ["tie"] * 5  # 0.05 ± 0.55 points
    gain = made[0]["measured"]["difference"]
    assert gain["mean"] == pytest.approx(0.55) and gain["runs"] == 2
    error = np.std([0, 1.1], ddof=1) / 2**0.5
    assert gain["standard_error"] == pytest.approx(error, rel=1e-3)
    accuracy[CHEX] = (62.0, 62.9)
    made = claims(rows_of(accuracy, 0.59))
    assert [claim["verdict"] for claim in made] == ["holds"] * 5
    accuracy[CHEX] = (59.0, 59.9)
    made = claims(rows_of(accuracy, 0.61))
    assert [claim["verdict"] for claim in made] == ["reversed"] * 5


def test_a_narrow_network_takes_less_time_than_a_wide_one():
    wide, narrow = ResNet(8, 32), ResNet(8, 32, inner_widths=(2, 2, 2))
    images = torch.randn(4, 3, 32, 32)
    assert time_ratio(narrow, wide, images, rounds=3) < 0.8
    assert time_ratio(wide, narrow, images, rounds=3) > 1.25
