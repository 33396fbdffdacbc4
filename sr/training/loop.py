"""Overfitting one network: joint over its paths, bounded by steps, repeatable, resumable.

    crops -> residuals of every path (bf16*) -> + anchor (fp32) -> squared error of each path
          -> weighted sum -> Muon (trunk) and Adam (the rest), warm-up and cosine

Squared error, because the product is judged by PSNR: of RGB, or of luma and chroma, 6:1:1.
(*) fp32 on a processor that does not compute in bf16.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from player.package.paths import EASY, HARD
from sr.models.network import Network
from sr.models.precision import bf16_where_fast
from sr.training.checkpoint import load_state, save_state
from sr.training.data import Batch, CropSampler
from sr.training.losses import CONTRAST, contrast_errors, squared_errors
from sr.training.muon import Muon

CHECKPOINT_EVERY_S = 5.0
WARM_UP_STEPS = 50

OnStep = Callable[[int, float], None]
PixelErrors = Mapping[int, Tensor]  # of each path: the squared error at each unit, [N, c/u, c/u]


class Companion:
    """What shapes a network while it is overfitted: masks, more terms of the loss. This one does
    nothing; a subclass overrides what it needs. `step` is the number of steps done before."""

    def extra_loss(self, batch: Batch, errors: PixelErrors, step: int) -> Tensor | None:
        """A term to add to the loss."""
        return None

    def after_backward(self, step: int) -> None:
        """Gradients are there and not used yet."""

    def after_step(self, step: int) -> None:
        """Parameters have just moved."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must keep."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`'s."""


class Companions(Companion):
    """Several companions, one after another."""

    def __init__(self, members: Sequence[Companion]) -> None:
        self.members = tuple(members)

    def extra_loss(self, batch: Batch, errors: PixelErrors, step: int) -> Tensor | None:
        terms = [member.extra_loss(batch, errors, step) for member in self.members]
        given = [term for term in terms if term is not None]
        return torch.stack(given).sum() if given else None

    def after_backward(self, step: int) -> None:
        for member in self.members:
            member.after_backward(step)

    def after_step(self, step: int) -> None:
        for member in self.members:
            member.after_step(step)

    def state_dict(self) -> dict[str, Any]:
        return {"members": [member.state_dict() for member in self.members]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for member, saved in zip(self.members, state["members"], strict=True):
            member.load_state_dict(saved)


@dataclass(frozen=True)
class TrainingPlan:
    """The work of one overfitting: `steps` batches, peak learning rates, loss weights.

    `muon_rate` None leaves everything to Adam. `path_weights`: how much each path's squared
    error counts; the easy path's teaches the shared trunk as well (deep supervision). `loss`: one
    of LOSSES (losses.py). What the choices are worth is measured in docs/training.md. A plan may be
    a part of a longer one, that begins after `begin` steps of `whole`: crops and rates go on where
    the part before left them.
    """

    steps: int
    muon_rate: float | None = 0.02
    adam_rate: float = 4e-3
    path_weights: Mapping[int, float] = field(default_factory=lambda: {EASY: 0.5, HARD: 1.0})
    begin: int = 0
    whole: int | None = None
    loss: str = "rgb"

    def schedule(self, step: int) -> float:
        """What the peak rates are multiplied by: linear warm-up, then cosine to zero."""
        share = (self.begin + step) / (self.whole or self.steps)
        cosine = 0.5 * (1 + math.cos(math.pi * share))
        # `step` and not `share`: each part warms up anew, as its optimisers are new.
        return min(1.0, (step + 1) / WARM_UP_STEPS) * cosine

    def split(self, step: int) -> tuple["TrainingPlan", "TrainingPlan"]:
        """The part of the first `step` steps, and the rest."""
        whole = self.whole or self.steps
        # `whole` stays, so that the rest goes on along the same cosine.
        rest = replace(self, steps=self.steps - step, begin=self.begin + step, whole=whole)
        return replace(self, steps=step, whole=whole), rest


class Optimisers:
    """Muon for the trunk's plain convolutions, Adam for what touches pixels and for biases."""

    def __init__(self, network: Network, plan: TrainingPlan) -> None:
        trunk, rest = trunk_and_rest(network)
        self._all: list[torch.optim.Optimizer] = []
        if trunk and plan.muon_rate is not None:
            self._all.append(Muon(trunk, plan.muon_rate))
        else:
            rest += trunk
        self._all.append(torch.optim.Adam(rest, plan.adam_rate, betas=(0.9, 0.99), fused=True))
        self._peaks = [optimiser.param_groups[0]["lr"] for optimiser in self._all]

    def backward(self, loss: Tensor) -> None:
        """New gradients in place of the old."""
        for optimiser in self._all:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()

    def step(self, factor: float) -> None:
        """Step along the gradients, the peak rates multiplied by `factor`."""
        for optimiser, peak in zip(self._all, self._peaks, strict=True):
            # From the peak and the step alone: a run that goes on has the same rates.
            optimiser.param_groups[0]["lr"] = peak * factor
            optimiser.step()

    def state_dict(self) -> list[dict[str, Any]]:
        return [optimiser.state_dict() for optimiser in self._all]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        for optimiser, state in zip(self._all, states, strict=True):
            optimiser.load_state_dict(state)


def trunk_and_rest(network: Network) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Convolutions' weights between hidden channels, and all others (at pixels, biases, routers).

    The two factors of an expert (sr/models/moe.py) are such weights. Weight normalisation (wdsr)
    splits a weight into length and direction: neither is one.
    """
    at_pixels = (*network.input_convolutions, *network.output_convolutions)
    trunk: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        owner, kind = name.rsplit(".", 1)
        hidden = kind == "weight" and parameter.dim() == 4 and owner not in at_pixels
        (trunk if hidden else rest).append(parameter)
    return trunk, rest


def overfit(
    network: Network,
    sampler: CropSampler,
    plan: TrainingPlan,
    checkpoint: Path | None = None,
    on_step: OnStep | None = None,
    companion: Companion | None = None,
) -> None:
    """Train `network` in place; with `checkpoint`, go on from it and leave it up to date.

    `on_step(steps done, dB)` reports the hard path's PSNR on the batch. A run that was killed
    and continued ends with the same bits as one that was not.
    """
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimisers, companion = Optimisers(network, plan), companion or Companion()
    run = _Run(network, optimisers, companion)
    done = run.load(checkpoint) if checkpoint else 0
    saved_at, between_steps = monotonic(), True
    try:
        for step in range(done, plan.steps):
            between_steps = False
            error = run.step(sampler.draw(plan.begin + step), plan, step)
            done, between_steps = step + 1, True
            if on_step:
                on_step(plan.begin + done, -10 * math.log10(max(error, 1e-10)))
            if checkpoint and monotonic() - saved_at > CHECKPOINT_EVERY_S:
                run.save(checkpoint, done)
                saved_at = monotonic()
    finally:
        # Cut within a step, some weights are a step ahead of others: the last checkpoint stands.
        if checkpoint and between_steps:
            run.save(checkpoint, done)


@dataclass(frozen=True)
class _Run:
    """What moves in an overfitting, and its checkpoint."""

    network: Network
    optimisers: Optimisers
    companion: Companion

    def step(self, batch: Batch, plan: TrainingPlan, step: int) -> float:
        """One step; returns the hard path's mean error in unit range."""
        errors = pixel_errors(self.network, batch, plan.loss)
        loss = torch.stack(
            [plan.path_weights[path] * batch.mean(e) for path, e in errors.items()]
        ).sum()
        if (extra := self.companion.extra_loss(batch, errors, step)) is not None:
            loss = loss + extra
        self.optimisers.backward(loss)
        self.companion.after_backward(step)
        self.optimisers.step(plan.schedule(step))
        self.companion.after_step(step)
        return float(errors[HARD].detach().mean())

    def save(self, path: Path, step: int) -> None:
        """Atomic: a kill leaves the checkpoint before."""
        state = {
            "step": step,
            "network": self.network.state_dict(),
            "optimisers": self.optimisers.state_dict(),
            "companion": self.companion.state_dict(),
        }
        save_state(path, state)

    def load(self, path: Path) -> int:
        """The number of steps done; 0 where there is no checkpoint yet."""
        if (state := load_state(path)) is None:
            return 0
        self.network.load_state_dict(state["network"])
        self.optimisers.load_state_dict(state["optimisers"])
        self.companion.load_state_dict(state["companion"])
        return int(state["step"])


def pixel_errors(network: Network, batch: Batch, loss: str = "rgb") -> dict[int, Tensor]:
    """The squared error of every path at every unit of every crop [N, c/u, c/u], with a gradient:
    the mean over the pixels that come of it, and over colours as `loss` weights them; with
    "contrast" a share of the crop's lost contrast in each."""
    with bf16_where_fast():
        residuals = network.residuals(batch.lr)
    # In fp32: bf16 has fewer bits than a pixel, and most of a pixel is anchor.
    base = network.base(batch.lr, network.halo_px(HARD))
    detail = batch.hr - base
    # The target is unshuffled once, instead of a shuffle for every path; its errors lie at
    # units.
    units = network.arch.hr_units
    wanted = F.pixel_unshuffle(detail, units)
    errors = {path: squared_errors(r.float() - wanted, loss) for path, r in residuals.items()}
    if loss == CONTRAST:
        shown = F.pixel_unshuffle(base, units)
        for path, r in residuals.items():
            errors[path] = errors[path] + contrast_errors(r.float() + shown, wanted + shown, units)
    return errors
