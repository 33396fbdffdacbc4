"""The stage `fair`: prune so that every content group loses the same; and its controls.

    trace: the errors of each group while the unpruned network is trained by the same plan
    plan: |── masks and weights in turn (fair_masks.py) ──|── the cut network trains on ──|
          |<───────────────── the fairness term on the weights (fair_term.py) ────────────────>|

A trace that is not given doubles the server's work. One that is there already serves all arms of a
comparison.
"""

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from sr.models import Network
from sr.shrink.channels import add_scales, channel_layers, couplings, cut_channels, fold_scales
from sr.shrink.fair_masks import (
    BiLevelScores,
    ChannelMasks,
    Magnitudes,
    MaskPlan,
    ScorePlan,
    Scores,
)
from sr.shrink.fair_term import Fairness, FairTerm, GroupTrace
from sr.shrink.groups import GroupedSampler, grouped, held_out
from sr.shrink.settle import EXPANSION_CHANNELS, settle
from sr.shrink.stage import (
    Stage,
    StageError,
    StageWork,
    Term,
    budget_widths,
    check_chain,
    rebuilt,
    traced,
    trunk_names,
)
from sr.training.data import CropSampler
from sr.training.loop import Companion, Companions, TrainingPlan, overfit, pixel_errors

HOLD_OUT_EVERY = 10  # patches of a group, kept from the weights while scores are learned on them
LEAST_MASK_STEPS = 60
FAIRNESS, SCORE_PLAN = Fairness(), ScorePlan()


class HeldOutLoss:
    """The upper level's loss: that of training, on crops that the weights do not see."""

    def __init__(
        self,
        sampler: GroupedSampler,
        plan: TrainingPlan,
        trace: Tensor,
        fairness: Fairness | None,
        begin: int = 0,
    ) -> None:
        self.sampler, self.plan = sampler, plan
        self.term = FairTerm(trace, fairness, begin) if fairness else Companion()

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


@dataclass(frozen=True)
class MaskedPruning:
    """What the stage and its controls share. `scores` rank channels while `masking` trains the
    weights on its crops; `settling` trains what is left."""

    scores: Scores
    masking: tuple[CropSampler, Companion]
    settling: tuple[CropSampler, Companion]

    def run(
        self, network: Network, work: StageWork, plans: tuple[TrainingPlan, TrainingPlan]
    ) -> Network:
        """The cut network, trained by the second plan."""
        graph = traced(network)
        coupled = couplings(graph)
        add_scales(network, trunk_names(network))
        layers = channel_layers(network, coupled)
        self.scores.attach(network, layers)
        steps = plans[0].steps
        masks = ChannelMasks(
            layers, self.scores, budget_widths(network, work.budget), MaskPlan(steps, steps // 4)
        )
        sampler, term = self.masking
        beside = Companions([term, masks])
        overfit(network, sampler, plans[0], work.checkpoint("fair-masks"), work.on_step, beside)
        fold_scales(network)
        cut_channels(graph, masks.kept())
        sampler, term = self.settling
        settling = replace(work, sampler=sampler)
        return settle(rebuilt(network), settling, plans[1], "fair-settle", EXPANSION_CHANNELS, term)


@dataclass(frozen=True)
class Fair(Stage):
    """Bi-level fair pruning of the trunk of a chain or an ESPCN.

    `weights`, `masks`: the fairness terms of the two levels; None is a control. `mask_share` of
    the steps choose channels: a cut network needs the rest. The term on the weights is on from
    `fair_from` of the steps; before, it would be learned from what rates undo. `trace`: the
    unpruned network's; None trains one by the stage's whole plan before.
    """

    weights: Fairness | None = FAIRNESS
    masks: Fairness | None = FAIRNESS
    mask_share: float = 0.3
    fair_from: float = 0.5
    score_plan: ScorePlan = SCORE_PLAN
    trace: Tensor | None = None

    name = "fair"
    shrinks = "channels of the trunk"

    def apply(self, network: Network, work: StageWork) -> Network:
        check_chain(network, self.name)
        plans = mask_plans(work.plan, self.mask_share)
        sampler = fair_sampler(work)
        trace = self.trace if self.trace is not None else unpruned_trace(network, work)
        lower, upper = held_out(sampler, HOLD_OUT_EVERY)
        begin = plans[0].steps // 4
        loss = HeldOutLoss(upper, plans[0], trace, self.masks, begin)
        scores = BiLevelScores(loss, replace(self.score_plan, begin=begin))
        active = round(self.fair_from * work.plan.steps)
        terms = [weight_term(trace, self.weights, at, active) for at in (0, plans[0].steps)]
        pruning = MaskedPruning(scores, (lower, terms[0]), (sampler, terms[1]))
        return pruning.run(network, work, plans)


@dataclass(frozen=True)
class MagnitudePruning(Stage):
    """The control that knows no groups: the least channels by magnitude (Li et al., ICLR 2017).

    With `finetune` a fairness term comes on for the last `finetune_share` of the steps: prune, then
    fine-tune fairly.
    """

    finetune: Fairness | None = None
    finetune_share: float = 0.5
    mask_share: float = 0.3
    trace: Tensor | None = None

    name = "magnitude"
    shrinks = "channels of the trunk"

    def apply(self, network: Network, work: StageWork) -> Network:
        check_chain(network, self.name)
        before, after = mask_plans(work.plan, self.mask_share)
        settling: tuple[CropSampler, Companion] = (work.sampler, Companion())
        if self.finetune:
            trace = self.trace if self.trace is not None else unpruned_trace(network, work)
            active = round((1 - self.finetune_share) * work.plan.steps)
            term = FairTerm(trace, self.finetune, before.steps, active)
            settling = (fair_sampler(work), term)
        pruning = MaskedPruning(Magnitudes(), (work.sampler, Companion()), settling)
        return pruning.run(network, work, (before, after))


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


def weight_term(trace: Tensor, fairness: Fairness | None, begin: int, active: int) -> Companion:
    """The term on the weights, or none."""
    return FairTerm(trace, fairness, begin, active) if fairness else Companion()


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
    scores = BiLevelScores(HeldOutLoss(upper, work.plan, trace, fairness))
    return replace(work, sampler=sampler), (FairTerm(trace, fairness), scores)
