"""The stage chex and its controls: within the budget, smaller for good, better than their start."""

from dataclasses import replace

import pytest
import torch

from benchmarks.shrinking.controls import DenseThenL1, EvenWidths
from player.package.architecture import Architecture
from player.package.paths import HARD
from sr.models import build_network
from sr.packing import pack_network
from sr.shrink.channels import add_scales, channel_layers, couplings
from sr.shrink.chex import Chex, budget_allocator
from sr.shrink.stage import StageError, traced, with_widths
from sr.shrink.uniform import uniform_widths
from sr.training.branches import with_branches
from sr.training.loop import TrainingPlan, pixel_errors

FULL = Architecture("chain", 2, (16, 16, 16), (1, 3))
STAGES = [Chex(explore_share=0.5), EvenWidths(), EvenWidths(channels=8), DenseThenL1(channels=8)]


@pytest.mark.parametrize("stage", STAGES, ids=lambda s: s.name)
def test_a_stage_ends_in_a_plain_network_within_the_budget_that_has_learned(stage, network, work):
    before = pixel_errors(network, work.sampler.draw(999))[HARD].mean()
    small = stage.apply(network, work)
    assert work.budget.fits(small.arch)
    assert all(width % 4 == 0 for width in small.arch.widths)
    assert type(small) is type(build_network(network.arch))
    assert [type(m) for m in small.get_submodule("trunk")] == [torch.nn.Conv2d] * 3
    assert pixel_errors(small, work.sampler.draw(999))[HARD].mean() < 0.8 * before
    pack_network(small)


def test_the_allocation_follows_what_channels_are_worth(network, half_budget):
    coupled = couplings(traced(network))
    add_scales(network, ("trunk.0", "trunk.1", "trunk.2"))
    layers = channel_layers(network, coupled)
    layers[1].scale.data.fill_(1e-3)
    allocate = budget_allocator(network, half_budget)
    assert allocate(layers, 0.0)[1] == min(allocate(layers, 0.0))
    assert allocate(layers, 1.0) == (16, 16, 16)


def test_an_expansion_changes_nothing_before_it_is_trained_and_folds_exactly(network):
    x = torch.rand(1, 3, 20, 20)
    wide = with_branches(network, 8, seed=0)
    torch.testing.assert_close(wide(x), network(x), atol=1e-6, rtol=0)
    for layer in wide.layers.values():
        torch.nn.init.normal_(layer.up.weight, std=0.1)
    torch.testing.assert_close(wide.folded()(x), wide(x), atol=1e-5, rtol=0)


def test_uniform_widths_are_even_and_as_wide_as_fits(half_budget):
    budget = half_budget
    widths = uniform_widths(FULL, budget, 4)
    assert budget.fits(with_widths(FULL, widths))
    assert max(widths) - min(widths) <= 4
    wider = [tuple(w + 4 if i == j else w for j, w in enumerate(widths)) for i in range(3)]
    assert all(max(w) > min(widths) + 4 or not budget.fits(with_widths(FULL, w)) for w in wider)


def test_too_few_steps_are_refused_with_how_many_it_takes(network, work):
    with pytest.raises(StageError, match="raise --steps to 300"):
        Chex().apply(network, replace(work, plan=TrainingPlan(100)))


def test_wdsr_has_no_free_widths(work):
    wdsr = build_network(Architecture("wdsr", 2, (8, 16, 2), (2,)))
    with pytest.raises(StageError, match="one width for all its blocks"):
        Chex().apply(wdsr, work)
