"""The stage `fair`: prune so that every content group loses the same (BiFP).

    trace: the errors of each group while the unpruned network is trained by the same plan
    plan: |── masks and weights in turn ──|── the cut network trains on ──|
          |<────── the fairness term on the weights (fair_term.py) ──────>|

The trace doubles the server's work. Masks and weights are learned on two levels (bilevel.py), both
with the fairness term in their loss.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from sr.models import Network
from sr.shrink.bilevel import BiLevelScores, ChannelMasks, MaskPlan, ScorePlan
from sr.shrink.fair_term import Fairness, FairTerm, GroupedSampler, GroupTrace, grouped, held_out
from sr.shrink.stage import (
    Stage,
    StageError,
    StageWork,
    Term,
    budget_widths,
    check_chain,
    cut_network,
    open_channels,
)
from sr.training.branches import overfit_with_branches
from sr.training.data import CropSampler
from sr.training.loop import Companion, Companions, TrainingPlan, overfit, pixel_errors

HOLD_OUT_EVERY = 10  # patches of a group, kept from the weights while scores are learned on them
LEAST_MASK_STEPS = 60
FAIRNESS = Fairness()
SCORE_PLAN = ScorePlan()


class HeldOutLoss:
    """The upper level's loss: that of training, on crops that the weights do not see."""

    def __init__(self, sampler: GroupedSampler, plan: TrainingPlan, term: Companion) -> None:
        self.sampler, self.plan, self.term = sampler, plan, term

    def __call__(self, network: nn.Module, step: int) -> Tensor:
        assert isinstance(network, Network)
        batch = self.sampler.draw(self.plan.begin + step)
        errors = pixel_errors(network, batch)
        weights = self.plan.path_weights
        loss = torch.stack([weights[path] * batch.mean(e) for path, e in errors.items()]).sum()
        extra = self.term.extra_loss(batch, errors, step)
        return loss if extra is None else loss + extra

    def state_dict(self) -> dict[str, Any]:
        return self.term.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.term.load_state_dict(state)


def prune_masked(
    network: Network,
    work: StageWork,
    plans: tuple[TrainingPlan, TrainingPlan],
    scores: BiLevelScores,
    masking: tuple[CropSampler, Companion],
    settling: tuple[CropSampler, Companion],
) -> Network:
    """The cut network: `scores` rank channels while `masking` trains the weights on its crops by
    the first plan, `settling` trains what is left by the second."""
    graph, layers = open_channels(network)
    scores.attach(network, layers)
    steps = plans[0].steps
    masks = ChannelMasks(
        layers, scores, budget_widths(network, work.budget), MaskPlan(steps, steps // 4)
    )
    sampler, term = masking
    beside = Companions([term, masks])
    overfit(network, sampler, plans[0], work.checkpoint("fair-masks"), work.on_step, beside)
    small = cut_network(network, graph, masks.kept())
    sampler, term = settling
    saved = work.checkpoint("fair-settle")
    return overfit_with_branches(small, sampler, plans[1], work.seed, saved, work.on_step, term)


@dataclass(frozen=True)
class Fair(Stage):
    """Bi-level fair pruning of the trunk of a chain or an ESPCN.

    `mask_share` of the steps choose channels: a cut network needs the rest. The term on the weights
    is on from `fair_from` of the steps; before, it would be learned from what rates undo.
    """

    mask_share: float = 0.3
    fair_from: float = 0.5
    fairness: Fairness = FAIRNESS
    score_plan: ScorePlan = SCORE_PLAN

    name = "fair"
    shrinks = "channels of the trunk"

    def apply(self, network: Network, work: StageWork) -> Network:
        check_chain(network, self.name)
        plans = mask_plans(work.plan, self.mask_share)
        sampler, trace = fair_sampler(work), self.reference(network, work)
        lower, upper = held_out(sampler, HOLD_OUT_EVERY)
        begin = plans[0].steps // 4
        loss = HeldOutLoss(upper, plans[0], self.upper_term(trace, begin))
        scores = BiLevelScores(loss, replace(self.score_plan, begin=begin))
        active = round(self.fair_from * work.plan.steps)
        terms = [self.weight_term(trace, at, active) for at in (0, plans[0].steps)]
        return prune_masked(network, work, plans, scores, (lower, terms[0]), (sampler, terms[1]))

    def reference(self, network: Network, work: StageWork) -> Tensor:
        """The trace [steps, G] that drops are told against."""
        return unpruned_trace(network, work)

    def upper_term(self, trace: Tensor, begin: int) -> Companion:
        """The fairness term of the masks' loss."""
        return FairTerm(trace, self.fairness, begin)

    def weight_term(self, trace: Tensor, begin: int, active: int) -> Companion:
        """The fairness term on the weights."""
        return FairTerm(trace, self.fairness, begin, active)


def mask_plans(plan: TrainingPlan, share: float) -> tuple[TrainingPlan, TrainingPlan]:
    """The steps with masks and those after. Raises StageError where they are too few."""
    steps = round(share * plan.steps)
    if steps < LEAST_MASK_STEPS:
        raise StageError(
            f"--stages fair: {plan.steps} steps leave {steps} to choose channels in; raise --steps "
            f"to {round(LEAST_MASK_STEPS / share)}"
        )
    return plan.split(steps)


def fair_sampler(work: StageWork) -> GroupedSampler:
    """Crops of which a batch knows the work's groups.

    Raises StageError for work without groups and as `grouped` does.
    """
    if work.groups is None:
        raise StageError(
            "--stages fair: no content groups; give --groups a folder of masks or a file of boxes"
        )
    return grouped(work.sampler, work.groups)


def unpruned_trace(network: Network, work: StageWork) -> Tensor:
    """[steps, G]: the errors of each group while a copy of the network is trained by the stage's
    own plan, blind to groups. Raises StageError as `fair_sampler` does."""
    sampler = fair_sampler(work)
    trace = GroupTrace(sampler.count, work.plan.steps, FAIRNESS.memory)
    checkpoint = work.checkpoint("fair-reference")
    overfit(deepcopy(network), sampler, work.plan, checkpoint, work.on_step, trace)
    return trace.table


def fair_terms(
    network: Network, work: StageWork, fairness: Fairness, trace: Tensor | None = None
) -> tuple[StageWork, tuple[Term, ...]]:
    """Fairness for another stage: the work to give it, and its `terms` (on loss and channels).

        fair_work, terms = fair_terms(network, work, Fairness())
        Chex(terms=terms).apply(network, fair_work)

    Raises StageError as `fair_sampler` does.
    """
    sampler = fair_sampler(work)
    trace = trace if trace is not None else unpruned_trace(network, work)
    _, upper = held_out(sampler, HOLD_OUT_EVERY)
    scores = BiLevelScores(HeldOutLoss(upper, work.plan, FairTerm(trace, fairness)))
    return replace(work, sampler=sampler), (FairTerm(trace, fairness), scores)


@dataclass(frozen=True)
class FairlyShrunk(Stage):
    """Another stage, `make(terms=...)`, with fairness as a term of it; an unpruned reference is
    trained first."""

    stage: str
    make: Callable[..., Stage]

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"{self.stage},{Fair.name}"

    @property
    def shrinks(self) -> str:  # type: ignore[override]
        return self.make().shrinks

    def apply(self, network: Network, work: StageWork) -> Network:
        fair_work, terms = fair_terms(network, work, FAIRNESS)
        return self.make(terms=terms).apply(network, fair_work)
