"""Fair pruning: the penalty and its sign, the implicit gradient, masks, resuming, the stage."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.shrinking.controls import (
    FairWithoutMaskTerm,
    FairWithoutWeightTerm,
    MagnitudePruning,
    Magnitudes,
    TracedFair,
)
from player.package.architecture import Architecture
from player.package.paths import EASY, HARD
from sr.models import build_network
from sr.shrink import fair_term
from sr.shrink.bilevel import (
    BiLevelScores,
    ChannelMasks,
    MaskPlan,
    ScorePlan,
    implicit_gradient,
    top_k,
)
from sr.shrink.budget import Budget, WidthRule, hard_macs
from sr.shrink.channels import ChannelLayer
from sr.shrink.chex import Chex
from sr.shrink.fair import fair_terms
from sr.shrink.fair_term import (
    Fairness,
    FairTerm,
    GroupTrace,
    Spread,
    above_mean,
    group_means,
)
from sr.shrink.stage import StageError, StageWork
from sr.training.data import Batch, CropSampler, TrainingSet
from sr.training.loop import TrainingPlan

ARCH = Architecture("chain", 2, (8, 8, 8), (1, 3))


def test_the_penalty_is_zero_if_and_only_if_drops_are_equal():
    assert float(above_mean(torch.full((3,), 0.4))) == pytest.approx(0, abs=1e-6)
    for drops in ([0.5, 0.4, 0.4], [0.4, 0.4, 0.3], [0.0, -0.2, 1.0]):
        assert float(above_mean(torch.tensor(drops))) > 1e-4


def test_nothing_rewards_making_a_group_worse():
    """No drop's increase lowers the penalty, whose mean is a target that does not move."""
    drops = torch.tensor([0.7, 0.1, 0.3], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(above_mean(drops), drops)
    excess = 0.7 - 1.1 / 3
    assert gradient.tolist() == pytest.approx([2 * excess, 0.0, 0.0])


def test_group_means_tell_groups_apart_by_pixel():
    """-1 belongs to none; a group that is not shown has none."""
    errors = torch.tensor([[[4e-3, 2e-3], [1.0, 5e-3]]])
    means = group_means(errors, torch.tensor([[[0, 0], [-1, 2]]]), 3)
    assert means[0].item() == pytest.approx(3e-3)
    assert means[1].isnan()
    assert means[2].item() == pytest.approx(5e-3)


def error_batch(groups: list[int]) -> Batch:
    nothing = torch.zeros(1)
    return Batch(nothing, nothing, torch.tensor(groups))


def test_a_drop_is_of_running_errors_at_the_same_step_and_so_is_its_slope(monkeypatch):
    monkeypatch.setattr(fair_term, "above_mean", torch.sum)
    trace = torch.tensor([[4e-3], [1e-3]])
    term = FairTerm(trace, Fairness(weight=1.0, memory=0.5))
    for error in (8e-3, 2e-3):
        now = torch.tensor([error], requires_grad=True)
        loss = term.extra_loss(error_batch([0]), {HARD: now}, 0)
    running = (0.25 * 8e-3 + 0.5 * 2e-3) / 0.75
    drops = [10 * math.log10(8e-3 / 4e-3), 10 * math.log10(running / 1e-3)]
    remembered = (0.25 * drops[0] + 0.5 * drops[1]) / 0.75
    assert loss.item() == pytest.approx(1e-3 * remembered, rel=1e-4)
    loss.backward()
    assert now.grad.item() == pytest.approx(1e-3 * 10 / math.log(10) / running, rel=1e-4)


def test_a_trace_holds_the_running_errors_of_each_step():
    trace = GroupTrace(2, 3, memory=0.5)
    for step, error in enumerate((4e-3, 1e-3)):
        batch, errors = error_batch([0, 1]), torch.tensor([error, 2e-3])
        assert trace.extra_loss(batch, {HARD: errors}, step) is None
    assert trace.table[0].tolist() == pytest.approx([4e-3, 2e-3])
    assert trace.table[1].tolist() == pytest.approx([(0.25 * 4e-3 + 0.5 * 1e-3) / 0.75, 2e-3])


def test_remembered_drops_average_noise_and_keep_the_steps_gradient():
    rng = torch.Generator().manual_seed(0)
    spread = Spread(2, Fairness(1.0, memory=0.9))
    for _ in range(200):
        noisy = torch.tensor([1.0, 3.0]) + 0.5 * torch.randn(2, generator=rng)
        noisy.requires_grad_()
        loss = spread.loss(noisy)
    means = spread.means()
    assert torch.allclose(means, torch.tensor([1.0, 3.0]), atol=0.35)
    (gradient,) = torch.autograd.grad(loss, noisy)
    assert gradient.tolist() == pytest.approx([0.0, float(means[1] - means[0])])
    spread.loss(torch.tensor([1.0, float("nan")]))
    assert spread.means()[1] == means[1]


def test_the_term_raises_the_gradient_of_the_group_that_lost_more_only():
    trace = torch.tensor([[2e-3, 1e-3]])
    term = FairTerm(trace, Fairness(weight=1.0, memory=0.0))
    errors = torch.tensor([4e-3, 1.1e-3], requires_grad=True)
    loss = term.extra_loss(error_batch([0, 1]), {EASY: errors * 0, HARD: errors}, 0)
    loss.backward()
    assert errors.grad[0] > 0
    assert errors.grad[1] == 0


def test_a_missing_group_in_a_batch_makes_no_nan():
    term = FairTerm(torch.full((1, 3), 1e-3), Fairness(memory=0.5))
    errors = torch.tensor([4e-3, 1e-3], requires_grad=True)
    term.extra_loss(error_batch([0, 2]), {HARD: errors}, 0).backward()
    assert torch.isfinite(errors.grad).all()


def test_before_it_is_active_a_term_only_watches():
    term = FairTerm(torch.full((9, 2), 1e-3), Fairness(), begin=3, active=5)
    errors = torch.tensor([4e-3, 1e-3], requires_grad=True)
    found = [term.extra_loss(error_batch([0, 1]), {HARD: errors}, step) for step in range(3)]
    assert [loss is None for loss in found] == [True, True, False]


def test_the_implicit_gradient_is_the_exact_one_on_a_quadratic():
    """Lower level: min over theta of b.(m theta) + gamma / 2 |theta|^2, so theta* = -m b / gamma.

    Upper level: L = b.z at z = m theta*, hence L(m) = -m^2 b^2 / gamma; its slope at m = 1 is
    -2 b^2 / gamma, which is what (theta* - g / gamma) g gives with g = b.
    """
    gamma = 3.0
    b = torch.randn(4, 5, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    mask = torch.ones(5, dtype=torch.float64, requires_grad=True)
    m = mask[None, :, None, None]
    upper = (b * (m * (-m * b / gamma))).sum()
    (exact,) = torch.autograd.grad(upper, mask)
    got = implicit_gradient(-b / gamma, b, gamma)
    assert torch.allclose(got, exact)


def test_top_k_is_of_the_highest():
    assert top_k(torch.tensor([0.1, 0.9, 0.5, 0.2]), 2).tolist() == [False, True, True, False]


class TwoLayers(nn.Module):
    """x [N, 3, ...] -> 6 channels, ReLU -> 2; the readers are `last`."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 2, 1)
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, x):
        return self.last(self.first(x).relu())

    def layer(self) -> ChannelLayer:
        rows = (self.first.weight, self.first.bias)
        return ChannelLayer("first", self.first.weight, self.scale, rows, (self.last.weight,))


class SquaredLoss:
    """An upper level: distance from a target, on the same input at every step."""

    def __init__(self, target: torch.Tensor) -> None:
        self.x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(2))
        self.target = target

    def __call__(self, network: nn.Module, step: int) -> torch.Tensor:
        return (network(self.x) - self.target).square().mean()

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def test_scores_follow_the_masks_gradient_straight_through_for_off_channels_too():
    """With gamma huge, the score's slope is dL/dm by finite differences of the mask itself."""
    network = TwoLayers()
    loss = SquaredLoss(torch.ones(2, 2, 6, 6))
    theta = network.last.weight.detach().clone()
    mask = torch.tensor([1.0, 1, 1, 1, 0, 0])

    def at(m):
        with torch.no_grad():
            network.last.weight.copy_(theta * m[None, :, None, None])
            return float(loss(network, 0))

    slopes = []
    for c in range(6):
        step = torch.zeros(6)
        step[c] = 1e-2
        slopes.append((at(mask + step) - at(mask - step)) / 2e-2)
    at(mask)
    scores = BiLevelScores(loss, ScorePlan(gamma=1e12))
    scores.attach(network, [network.layer()])
    (got,) = scores.gradients([[theta]], 0)
    assert torch.allclose(got, torch.tensor(slopes), rtol=1e-2, atol=1e-4)
    assert got[4:].abs().min() > 1e-5


def masks_of(network: TwoLayers, scores) -> ChannelMasks:
    scores.attach(network, [network.layer()])
    plan = MaskPlan(steps=12, begin=2, raises=2, interval=1)
    return ChannelMasks([network.layer()], scores, lambda s, share: [3 + round(3 * share)], plan)


def test_off_channels_are_read_by_nobody_and_wait():
    network = TwoLayers()
    masks = masks_of(network, Magnitudes())
    optimiser = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    loss, before = SquaredLoss(torch.ones(2, 2, 6, 6)), None
    for step in range(12):
        optimiser.zero_grad()
        loss(network, step).backward()
        masks.after_backward(step)
        optimiser.step()
        masks.after_step(step)
        if step == 2:
            before = (masks.on[0].clone(), masks.thetas[0][0].clone())
    on = masks.on[0]
    assert int(on.sum()) == 3
    assert (network.last.weight[:, ~on] == 0).all()
    assert (network.last.weight[:, on] != 0).all()
    always_off = ~before[0] & ~on
    assert torch.equal(masks.thetas[0][0][:, always_off], before[1][:, always_off])
    assert masks.kept() == {"first": on.nonzero().flatten().tolist()}


@pytest.mark.parametrize(("rate", "comes_back"), [(0.0, False), (0.1, True)])
def test_a_needed_channel_comes_back_when_scores_learn(rate, comes_back):
    """The upper level misses a channel that was masked: its score rises until it is on."""
    network = TwoLayers()
    with torch.no_grad():
        network.last.weight.fill_(0.2)
        network.last.weight[:, 5] = 1.0
    loss = SquaredLoss(torch.zeros(()))
    loss.target = network(loss.x).detach()
    scores = BiLevelScores(loss, ScorePlan(rate=rate, gamma=1e6))
    masks = masks_of(network, scores)
    scores.scores = [torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5, 0.05])]
    masks.on[0][3:] = False
    for step in range(1, 12):
        masks.after_step(step)
    assert bool(masks.on[0][5]) is comes_back


def test_the_sparsity_is_raised_in_steps_and_ends_early_enough():
    plan = MaskPlan(steps=450, begin=110, raises=5)
    shares = [round(plan.share_left(step), 6) for step in range(110, 450)]
    assert shares == sorted(shares, reverse=True)
    assert sorted(set(shares), reverse=True) == [0.8, 0.6, 0.4, 0.2, 0.0]
    assert shares.count(0.0) >= 100
    assert not plan.is_due(100)


@pytest.fixture
def work() -> StageWork:
    """A noisy half (group 0) and a smooth half (group 1) of frames."""
    rng = np.random.default_rng(0)
    hr = rng.integers(0, 256, (8, 120, 200, 3), np.uint8)
    hr[4:] = 120 + hr[4:] // 16
    margin = (3, 3)
    lr = np.pad(hr[:, ::2, ::2], ((0, 0), margin, margin, (0, 0)), "edge")
    data = TrainingSet(lr, hr, 2, 3)
    groups = np.zeros((8, 2, 3), np.int64)
    groups[4:] = 1
    sampler = CropSampler(data, np.ones((8, 2, 3)), (54, 48), 2, 7)
    full = hard_macs(ARCH)
    budget = Budget(0.6 * full, "MACs", hard_macs, WidthRule(4, 4))
    return StageWork(sampler, TrainingPlan(24), budget, groups)


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch):
    monkeypatch.setattr("sr.shrink.fair.LEAST_MASK_STEPS", 8)


def tensors(network) -> list[torch.Tensor]:
    return [value for _, value in sorted(network.deployed_tensors().items())]


def same(one, other) -> bool:
    return one.arch == other.arch and all(
        torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True)
    )


TRACE = torch.tensor([[0.02, 0.001]]).expand(24, 2)  # errors of the two groups at every step


def fair(kind: type[TracedFair] = TracedFair, trace=TRACE) -> TracedFair:
    fast = ScorePlan(rate=0.2)  # steps are few
    return kind(mask_share=0.5, fairness=Fairness(weight=50.0), score_plan=fast, trace=trace)


def test_the_stage_ends_in_a_sliced_network_within_the_budget(work):
    small = fair().apply(build_network(ARCH, 0), work)
    assert work.budget.fits(small.arch)
    assert sum(small.arch.widths) < sum(ARCH.widths)
    for i, width in enumerate(small.arch.widths):
        assert small.trunk[i].out_channels == width
        assert type(small.trunk[i]) is nn.Conv2d
    assert torch.isfinite(small(torch.zeros(1, 3, 20, 20))).all()


def test_arms_without_a_term_differ_from_the_stage(work):
    whole = fair().apply(build_network(ARCH, 0), work)
    assert same(whole, fair().apply(build_network(ARCH, 0), work))
    controls = fair(FairWithoutWeightTerm), fair(FairWithoutMaskTerm)
    for control in (*controls, MagnitudePruning(mask_share=0.5)):
        other = control.apply(build_network(ARCH, 0), work)
        assert work.budget.fits(other.arch)
        assert not same(whole, other)


def test_fine_tuning_begins_where_it_says(work):
    blind = MagnitudePruning(mask_share=0.5, trace=TRACE)
    later = replace(blind, finetune=Fairness(5.0), finetune_share=0.25)
    networks = [arm.apply(build_network(ARCH, 0), work) for arm in (blind, later)]
    assert networks[0].arch == networks[1].arch
    assert not same(*networks)


def test_a_stopped_stage_goes_on_to_the_same_bits(work, tmp_path):
    whole = fair().apply(build_network(ARCH, 0), work)

    def stop(done: int, _: float) -> None:
        stops.append(done)
        if len(stops) in (7, 21):
            raise KeyboardInterrupt

    stops: list[int] = []
    stopping = replace(work, folder=tmp_path, on_step=stop)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            fair().apply(build_network(ARCH, 0), stopping)
    assert same(whole, fair().apply(build_network(ARCH, 0), stopping))


def test_a_trace_that_is_not_given_is_trained_by_the_same_plan(work, tmp_path):
    small = fair(trace=None).apply(build_network(ARCH, 0), replace(work, folder=tmp_path))
    state = torch.load(tmp_path / "fair-reference.ckpt", weights_only=True)
    assert state["step"] == work.plan.steps
    assert work.budget.fits(small.arch)


def test_it_is_a_term_of_chex(work):
    chex = Chex(explore_share=0.5, interval=6)
    network = build_network(ARCH, 0)
    fair_work, terms = fair_terms(network, work, Fairness(5.0), TRACE)
    both = replace(chex, terms=terms).apply(network, fair_work)
    blind = chex.apply(build_network(ARCH, 0), fair_work)
    assert work.budget.fits(both.arch)
    assert not same(both, blind)


def test_work_without_groups_and_too_few_steps_are_refused(work):
    with pytest.raises(StageError, match="no content groups"):
        fair().apply(build_network(ARCH, 0), replace(work, groups=None))
    with pytest.raises(StageError, match="raise --steps to"):
        fair().apply(build_network(ARCH, 0), replace(work, plan=TrainingPlan(10)))
    with pytest.raises(StageError, match="one group"):
        fair().apply(build_network(ARCH, 0), replace(work, groups=work.groups * 0))
