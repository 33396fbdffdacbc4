"""The stage `uniform`: even widths within the budget from the first step, with branches that fold.

    budget ─► even widths, in the engine's blocks ─► overfit with branches ─► folded: a plain Chain

Nothing is pruned: the network has its final size from the start, so all steps train what is
deployed (Liu et al., "Rethinking the value of network pruning", ICLR 2019).
"""

from dataclasses import dataclass

from player.package.architecture import Architecture
from sr.models import Network, build_network
from sr.shrink.budget import Budget, BudgetError, Widths
from sr.shrink.stage import Stage, StageWork, check_chain, with_widths
from sr.training.branches import overfit_with_branches


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


def at_budget(network: Network, work: StageWork) -> Network:
    """`network` where it meets the budget, else a fresh one of its family with even widths that
    does. Raises BudgetError."""
    if work.budget.fits(network.arch):
        return network
    widths = uniform_widths(network.arch, work.budget, work.budget.rule.step)
    return build_network(with_widths(network.arch, widths), work.seed)


@dataclass(frozen=True)
class Uniform(Stage):
    """Even widths of a chain or an ESPCN, trained for all of the steps."""

    name = "uniform"
    shrinks = "channels of the trunk, all layers alike"

    def apply(self, network: Network, work: StageWork) -> Network:
        check_chain(network, self.name)
        small, saved = at_budget(network, work), work.checkpoint(self.name)
        return overfit_with_branches(small, work.sampler, work.plan, work.seed, saved, work.on_step)
