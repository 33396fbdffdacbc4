"""Which channels stay, learned on two levels: weights below, scores of channels above (BiFP).

    lower level   weights theta:  a training step with the masked network, m * theta
    upper level   scores m [0,1]: a step along the implicit gradient on held-out data
                  (one step each in turn)
    between       the k channels of highest score stay on; k falls in steps to the budget

A mask multiplies the weights that *read* a channel, not those that make it: behind a ReLU an off
channel's own weights get no gradient and the channel could never come back, but what it would
add is still computed, and so is the gradient of the weights that would read it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sr.shrink.channels import ChannelLayer, kept_channels
from sr.shrink.stage import Term, WidthsFor

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
