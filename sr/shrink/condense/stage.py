"""The stage `condense`: a mixture of experts while it is overfitted, plain convolutions in the end.

    budget ─► even widths ─► MoeChain ─► overfit, condensed on the way ─► folded: a plain Chain

The widths come first: experts cost the server time and the phone nothing, so the network starts at
the size that the phone gets. What experts add over the dense network of that size is the claim;
`CONTROLS` has it and the others.
"""

from dataclasses import dataclass, field

from sr.models import Network, build_network
from sr.models.moe import ExpertPlan, moe_chain
from sr.shrink.budget import ENGINE_WIDTHS
from sr.shrink.condense.chain import (
    CALIBRATION_BATCHES,
    Chooser,
    Condensation,
    CondensingPlan,
    by_chance,
    by_divergence,
    by_frequency,
    calibration,
    none_kept,
)
from sr.shrink.controls import Uniform, uniform_widths
from sr.shrink.settle import EXPANSION_CHANNELS
from sr.shrink.stage import Stage, StageError, StageWork, check_chain, with_widths
from sr.training.loop import overfit


def at_budget(network: Network, work: StageWork, step: int | None = None) -> Network:
    """`network` where it meets the budget, else a fresh one of its family that does: even widths in
    multiples of `step` channels, or of the budget's own step.

    Raises BudgetError.
    """
    if work.budget.fits(network.arch):
        return network
    widths = uniform_widths(network.arch, work.budget, step or work.budget.rule.step)
    return build_network(with_widths(network.arch, widths), work.seed)


@dataclass(frozen=True)
class Condense(Stage):
    """CD-MoE on the trunk of a chain.

    After `routed_share` of the steps the layers condense one by one, `interval_share` of the steps
    apart; the rest trains what is left. Widths go in multiples of `step`; None: of the budget's
    own.
    """

    experts: ExpertPlan = field(default_factory=ExpertPlan)
    keep: int = 6
    step: int | None = None
    routed_share: float = 0.1
    interval_share: float = 0.02
    fade_share: float = 0.0
    balance: float = 0.01
    calibrated: int = CALIBRATION_BATCHES
    choose: Chooser = by_divergence

    name = "condense"
    shrinks = "routed experts into the trunk's convolutions"

    def apply(self, network: Network, work: StageWork) -> Network:
        self.check(network)
        moe = moe_chain(at_budget(network, work, self.step), self.experts, work.seed)
        plan = self.condensing(work, len(moe.layers))
        condensation = Condensation(moe, calibration(work.sampler, self.calibrated), plan)
        checkpoint = work.checkpoint(self.name)
        overfit(moe, work.sampler, work.plan, checkpoint, work.on_step, condensation)
        return moe.folded()

    def check(self, network: Network) -> None:
        """Raises StageError where the network cannot have experts, or none would be kept."""
        check_chain(network, self.name)
        if network.arch.name != "chain" or len(network.arch.widths) < 2:
            raise StageError(
                f"--stages {self.name}: {network.arch.name} with {len(network.arch.widths)} "
                "convolutions in its trunk has no form with experts: use --backbone chain"
            )
        if not 0 < self.keep <= self.experts.experts:
            raise StageError(
                f"--stages {self.name}: keep {self.keep} of {self.experts.experts} experts; "
                "keep at least 1 and at most all"
            )

    def condensing(self, work: StageWork, layers: int) -> CondensingPlan:
        """The shares as steps. Raises StageError where the last layer would condense too late."""
        steps = work.plan.steps
        begin, interval, fade = (
            round(share * steps)
            for share in (self.routed_share, self.interval_share, self.fade_share)
        )
        begin = max(begin, 1)
        if (last := begin + (layers - 1) * interval + fade) > steps:
            raise StageError(
                f"--stages {self.name}: the last layer would be condensed after {last} of {steps} "
                "steps: lower routed_share, interval_share or fade_share"
            )
        return CondensingPlan(
            begin, interval, fade, self.keep, self.choose, self.balance, work.seed
        )


CONTROLS: dict[str, Stage] = {
    "dense": Uniform(step=ENGINE_WIDTHS.step),  # the same widths from scratch, the same steps
    "one expert, always on": Uniform(ENGINE_WIDTHS.step, EXPANSION_CHANNELS),  # nothing is routed
    "random experts": Condense(choose=by_chance),  # kept by chance instead of by divergence
    "frequent experts": Condense(choose=by_frequency),  # those that most crops chose
    "shared only": Condense(choose=none_kept),  # CD-MoE-S: no routed expert kept
}
