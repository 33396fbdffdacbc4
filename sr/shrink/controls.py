"""What stages are measured against: the same work without what the stage claims to be good for.

| control | for |
|---|---|
| `Uniform` | all stages: a network of even widths within the same budget, trained as long |
| `DenseThenL1` | chex: train dense, cut once by the L1 norm, train on (Li et al., ICLR 2017) |
"""

from dataclasses import dataclass

import torch

from player.package.architecture import Architecture
from sr.models import Network, build_network
from sr.shrink.allocate import BudgetError, Widths
from sr.shrink.budget import Budget
from sr.shrink.channels import cut_channels
from sr.shrink.settle import settle
from sr.shrink.stage import Stage, StageWork, check_chain, rebuilt, traced, trunk_names, with_widths
from sr.training.loop import overfit


def even_widths(full: Architecture, budget: Budget, step: int) -> Widths:
    """The largest width in steps that all layers can have. Raises BudgetError."""
    count = len(full.widths)
    fitting = [
        w for w in range(step, max(full.widths) + 1, step) if _fits(full, (w,) * count, budget)
    ]
    if not fitting:
        raise BudgetError(budget.limit, budget.cost(with_widths(full, (step,) * count)))
    return (fitting[-1],) * count


def uniform_widths(full: Architecture, budget: Budget, step: int) -> Widths:
    """Even widths, and as many layers as still fit a step wider: first, third, ...

    Raises BudgetError.
    """
    widths, count = even_widths(full, budget, step), len(full.widths)
    for i in (*range(0, count, 2), *range(1, count, 2)):
        wider = (*widths[:i], widths[i] + step, *widths[i + 1 :])
        widths = wider if _fits(full, wider, budget) else widths
    return widths


def _fits(full: Architecture, widths: Widths, budget: Budget) -> bool:
    return max(widths) <= max(full.widths) and budget.fits(with_widths(full, widths))


@dataclass(frozen=True)
class Uniform(Stage):
    """Even widths from the start, in multiples of `step` channels; `expansion` as in `settle`.

    `mixed`: layers may be one step wider than others, so that more of the budget is used.
    """

    step: int = 4
    expansion: int = 0
    mixed: bool = True

    name = "uniform"
    shrinks = "channels of the trunk, all layers alike"

    def apply(self, network: Network, work: StageWork) -> Network:
        check_chain(network, self.name)
        find = uniform_widths if self.mixed else even_widths
        widths = find(network.arch, work.budget, self.step)
        thin = build_network(with_widths(network.arch, widths), work.seed)
        return settle(thin, work, work.plan, self.name, self.expansion)


@dataclass(frozen=True)
class DenseThenL1(Stage):
    """Train dense for `dense_share` of the steps, keep the channels of the largest L1 norms in even
    widths, train on at those widths."""

    dense_share: float = 0.5
    step: int = 4
    expansion: int = 0

    name = "dense then L1"
    shrinks = "channels of the trunk, once"

    def apply(self, network: Network, work: StageWork) -> Network:
        check_chain(network, self.name)
        before, after = work.plan.split(round(self.dense_share * work.plan.steps))
        overfit(network, work.sampler, before, work.checkpoint("dense"), work.on_step)
        widths = uniform_widths(network.arch, work.budget, self.step)
        kept = {
            n: _largest(network, n, w) for n, w in zip(trunk_names(network), widths, strict=True)
        }
        cut_channels(traced(network), kept)
        return settle(rebuilt(network), work, after, "settle", self.expansion)


def _largest(network: Network, name: str, count: int) -> list[int]:
    weight = network.get_submodule(name).get_parameter("weight").detach()
    norms: torch.Tensor = weight.abs().sum(dim=(1, 2, 3))
    return norms.topk(count).indices.tolist()
