"""The stage uniform: even widths within every kind of budget, from scratch, resumed to the bit."""

from dataclasses import replace

import pytest
import torch

from player.package.architecture import Architecture
from sr.models import build_network
from sr.shrink.budget import Budget, dense_bytes, hard_macs
from sr.shrink.uniform import Uniform

ARCH = Architecture("chain", 2, (16, 16, 16), (1, 3))


def steps_of_four(arch: Architecture) -> float:
    """Milliseconds, as a latency table tells them: a staircase."""
    return float(sum(-(-width // 4) for width in arch.widths))


@pytest.mark.parametrize("cost", [hard_macs, dense_bytes, steps_of_four])
def test_the_network_is_even_and_within_the_budget(network, work, cost):
    budget = Budget(0.6 * cost(ARCH), "units", lambda arch: float(cost(arch)), work.budget.rule)
    small = Uniform().apply(network, replace(work, budget=budget, plan=replace(work.plan, steps=4)))
    assert budget.fits(small.arch)
    assert max(small.arch.widths) - min(small.arch.widths) <= 4
    assert type(small) is type(build_network(ARCH))


def test_a_network_within_the_budget_keeps_its_widths(network, work):
    loose = replace(work, budget=replace(work.budget, limit=hard_macs(ARCH)))
    small = Uniform().apply(network, replace(loose, plan=replace(work.plan, steps=2)))
    assert small.arch == ARCH


def test_a_run_that_was_killed_ends_with_the_same_bits(network, work, tmp_path):
    short = replace(work, plan=replace(work.plan, steps=12))
    whole = Uniform().apply(network, short)

    def kill(done: int, quality_db: float) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Uniform().apply(build_network(ARCH), replace(short, folder=tmp_path, on_step=kill))
    resumed = Uniform().apply(build_network(ARCH), replace(short, folder=tmp_path))
    assert all(torch.equal(v, resumed.state_dict()[k]) for k, v in whole.state_dict().items())
