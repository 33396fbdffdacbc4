"""The stage `fair`: prune so that every content group loses the same (BiFP).

    trace: the errors of each group while the unpruned network is trained by the same plan
    plan: |── masks and weights in turn ──|── the cut network trains on ──|
          |<────── the fairness term on the weights (fair_term.py) ──────>|

The trace doubles the server's work. Masks and weights are learned on two levels:

    lower level   weights theta:  a training step with the masked network, m * theta
    upper level   scores m [0,1]: a step along the implicit gradient on held-out data
                  (both with the fairness term in their loss, one step each in turn)
    between       the k channels of highest score stay on; k falls in steps to the budget

A mask multiplies the weights that *read* a channel, not those that make it: behind a ReLU an off
channel's own weights get no gradient and the channel could never come back, but what it would
add is still computed, and so is the gradient of the weights that would read it.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sr.models import Network
from sr.shrink.channels import ChannelLayer, kept_channels
from sr.shrink.fair_term import Fairness, FairTerm, GroupedSampler, GroupTrace, grouped, held_out
from sr.shrink.stage import (
    Stage,
    StageError,
    StageWork,
    Term,
    WidthsFor,
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
SCORE_AT_START = 0.5


class Upper(Protocol):
    """The upper level's loss on held-out data at a step."""

    def __call__(self, network: nn.Module, step: int) -> Tensor: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def implicit_gradient(theta: Tensor, gradient: Tensor, gamma: float) -> Tensor:
    """[C]: dl/dm of each channel, from weights theta [O, C, ...] and g = dl/dz at z = m theta.

    (theta - g / gamma) g summed over a channel's weights: how the loss follows the mask directly,
    and by way of the weights that the lower level will then have learned. Zhang et al., "Advancing
    model pruning via bi-level optimization" (BiP), NeurIPS 2022, section 4: exact for a lower
    level with a regulariser gamma / 2 |theta|^2 whose loss is linear near its solution.
    """
    product = (theta - gradient / gamma) * gradient
    return product.sum(dim=[d for d in range(product.dim()) if d != 1])


@dataclass(frozen=True)
class ScorePlan:
    """`rate`: of the scores' steps, in units of a gradient's root mean square. `begin`: the step
    at which scores start to move, from `SCORE_AT_START` all alike."""

    rate: float = 0.0005
    gamma: float = 10.0
    begin: int = 0


class BiLevelScores(Term):
    """The upper level. `scores` [C] in [0,1] for each layer: factors of the channels' importance.

    Scores that have not moved thus rank channels by magnitude. As a term of another stage it
    watches that stage's own channels.
    """

    def __init__(self, upper: Upper, plan: ScorePlan = ScorePlan()) -> None:
        self.upper, self.plan = upper, plan
        self.scores: list[Tensor] = []
        self._network: nn.Module | None = None
        self._layers: Sequence[ChannelLayer] = ()

    def attach(self, network: nn.Module, layers: Sequence[ChannelLayer]) -> None:
        self._network, self._layers = network, layers
        self.scores = [torch.full((layer.channels,), SCORE_AT_START) for layer in layers]

    def after_step(self, step: int) -> None:
        self.learn([layer.columns for layer in self._layers], step)

    def importance(self, layer: ChannelLayer) -> Tensor | None:
        return self.scores[[each.name for each in self._layers].index(layer.name)]

    def of(self, layers: Sequence[ChannelLayer]) -> list[Tensor]:
        return [s * layer.importance() for s, layer in zip(self.scores, layers, strict=True)]

    def learn(self, thetas: Sequence[Sequence[Tensor]], step: int) -> None:
        """One step of the upper level, at the network as it is masked now."""
        if step < self.plan.begin or not self._layers:
            return
        # Straight through the choice of the k highest: the mask's gradient moves the scores. Only
        # their order counts. Their common movement is left out, so that none sticks at 0 or 1
        # together with all others.
        gradients = self.gradients(thetas, step)
        everything = torch.cat(gradients)
        size = everything.square().mean().sqrt() + 1e-12
        for score, gradient in zip(self.scores, gradients, strict=True):
            score.sub_(self.plan.rate * (gradient - everything.mean()) / size).clamp_(0, 1)

    def gradients(self, thetas: Sequence[Sequence[Tensor]], step: int) -> list[Tensor]:
        """dl/dm [C] of each layer on held-out data."""
        assert self._network is not None
        columns = [column for layer in self._layers for column in layer.columns]
        found = iter(torch.autograd.grad(self.upper(self._network, step), columns))
        return [
            torch.stack(
                [implicit_gradient(t.detach(), next(found), self.plan.gamma) for t in of_layer]
            ).sum(0)
            for of_layer in thetas
        ]

    def state_dict(self) -> dict[str, Any]:
        return {"scores": self.scores, "upper": self.upper.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.scores = state["scores"]
        self.upper.load_state_dict(state["upper"])


@dataclass(frozen=True)
class MaskPlan:
    """Masks for `steps` steps: all channels on until `begin`, then `raises` steps of sparsity.

    The last is reached with a raise's time left. Masks follow the scores every `interval` steps.
    """

    steps: int
    begin: int
    raises: int = 5
    interval: int = 10

    def share_left(self, step: int) -> float:
        """Of what is to be removed, the share that is still there after `step` steps."""
        every = max(1, (self.steps - self.begin) // (self.raises + 1))
        return max(0.0, 1 - ((step - self.begin) // every + 1) / self.raises)

    def is_due(self, step: int) -> bool:
        """Whether masks are chosen anew after `step` steps."""
        raised = self.share_left(step) < self.share_left(step - 1)
        at_interval = (step - self.begin) % self.interval == 0
        return self.begin <= step < self.steps and (raised or at_interval)


@dataclass
class ChannelMasks(Term):
    """The lower level's masks: off channels are read by nobody, their weights wait.

    `widths_for(scores, share)` says how many channels each layer keeps.
    """

    layers: Sequence[ChannelLayer]
    scores: BiLevelScores
    widths_for: WidthsFor
    plan: MaskPlan
    on: list[Tensor] = field(init=False)
    thetas: list[list[Tensor]] = field(init=False)

    def __post_init__(self) -> None:
        self.on = [torch.ones(layer.channels, dtype=torch.bool) for layer in self.layers]
        self.thetas = [[c.detach().clone() for c in layer.columns] for layer in self.layers]

    def after_backward(self, step: int) -> None:
        """dl/dtheta = m dl/dz: nothing for weights that are masked."""
        for layer, on in zip(self.layers, self.on, strict=True):
            for column in layer.columns:
                if column.grad is not None:
                    column.grad[:, ~on] = 0

    def after_step(self, step: int) -> None:
        self._keep()
        self._apply()
        self.scores.learn(self.thetas, step)
        if self.plan.is_due(step + 1):
            self._choose(step + 1)
            self._apply()

    def _choose(self, done: int) -> None:
        """The hard top k of the scores, of all weights as they are without a mask."""
        with torch.no_grad():
            for layer, kept in zip(self.layers, self.thetas, strict=True):
                for column, theta in zip(layer.columns, kept, strict=True):
                    column.copy_(theta)
        scores = self.scores.of(self.layers)
        widths = self.widths_for(scores, self.plan.share_left(done))
        for on, score, width in zip(self.on, scores, widths, strict=True):
            on[:] = top_k(score, width)

    @torch.no_grad()
    def _keep(self) -> None:
        """What the step made of the weights that are on."""
        for layer, on, kept in zip(self.layers, self.on, self.thetas, strict=True):
            for column, theta in zip(layer.columns, kept, strict=True):
                theta[:, on] = column[:, on]

    @torch.no_grad()
    def _apply(self) -> None:
        """z = m theta."""
        for layer, on, kept in zip(self.layers, self.on, self.thetas, strict=True):
            for column, theta in zip(layer.columns, kept, strict=True):
                column[:, on] = theta[:, on]
                column[:, ~on] = 0

    def kept(self) -> dict[str, list[int]]:
        """For each layer's convolution the channels that are on."""
        return kept_channels(self.layers, self.on)

    def state_dict(self) -> dict[str, Any]:
        return {"on": self.on, "thetas": self.thetas, "scores": self.scores.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.on, self.thetas = state["on"], state["thetas"]
        self.scores.load_state_dict(state["scores"])


def top_k(scores: Tensor, k: int) -> Tensor:
    """[C] of bool: the k highest."""
    mask = torch.zeros(len(scores), dtype=torch.bool)
    mask[scores.topk(k).indices] = True
    return mask


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
    score_plan: ScorePlan = ScorePlan()

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
