"""Overfitting one network: joint over its paths, bounded by steps, repeatable, resumable.

    crops -> residuals of every path (bf16) -> + anchor (fp32) -> squared error of each path
          -> weighted sum -> Muon (trunk) and Adam (the rest), warm-up and cosine

Squared error, because the product is judged by PSNR; the anchor stays in fp32, because bf16 has
fewer bits than a pixel.
"""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from player.package.weights import EASY, HARD
from sr.models.network import Network
from sr.training.data import Batch, CropSampler
from sr.training.muon import Muon

CHECKPOINT_EVERY_S = 5.0
WARM_UP_STEPS = 50

OnStep = Callable[[int, float], None]


@dataclass(frozen=True)
class TrainingPlan:
    """The work of one overfitting: `steps` batches, peak learning rates, loss weights.

    `muon_rate` None leaves everything to Adam. `path_weights`: how much each path's squared
    error counts; the easy path's teaches the shared trunk as well (deep supervision). What the
    choices are worth is measured in docs/training.md.
    """

    steps: int
    muon_rate: float | None = 0.02
    adam_rate: float = 4e-3
    path_weights: Mapping[int, float] = field(default_factory=lambda: {EASY: 0.5, HARD: 1.0})

    def schedule(self, step: int) -> float:
        """What the peak rates are multiplied by: linear warm-up, then cosine to zero."""
        cosine = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return min(1.0, (step + 1) / WARM_UP_STEPS) * cosine


class Optimisers:
    """Muon for the trunk's plain convolutions, Adam for what touches pixels and for biases."""

    def __init__(self, network: Network, plan: TrainingPlan) -> None:
        trunk, rest = trunk_and_rest(network)
        self._all: list[torch.optim.Optimizer] = []
        if trunk and plan.muon_rate is not None:
            self._all.append(Muon(trunk, plan.muon_rate))
        else:
            rest += trunk
        self._all.append(torch.optim.Adam(rest, plan.adam_rate, betas=(0.9, 0.99)))
        self._peaks = [optimiser.param_groups[0]["lr"] for optimiser in self._all]

    def step(self, loss: Tensor, factor: float) -> None:
        """Back-propagate and step, the peak rates multiplied by `factor`."""
        for optimiser, peak in zip(self._all, self._peaks, strict=True):
            optimiser.param_groups[0]["lr"] = peak * factor
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        for optimiser in self._all:
            optimiser.step()

    def state_dict(self) -> list[dict[str, Any]]:
        return [optimiser.state_dict() for optimiser in self._all]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        for optimiser, state in zip(self._all, states, strict=True):
            optimiser.load_state_dict(state)


def trunk_and_rest(network: Network) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Plain weights between hidden channels, and all others (first and last layers, biases).

    Weight normalisation (wdsr) splits a weight into length and direction: none of it is plain.
    """
    at_pixels = (*network.input_convolutions, *network.output_convolutions)
    trunk: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        owner, kind = name.rsplit(".", 1)
        (trunk if kind == "weight" and owner not in at_pixels else rest).append(parameter)
    return trunk, rest


def overfit(
    network: Network,
    sampler: CropSampler,
    plan: TrainingPlan,
    checkpoint: Path | None = None,
    on_step: OnStep | None = None,
) -> None:
    """Train `network` in place; with `checkpoint`, go on from it and leave it up to date.

    `on_step(steps done, dB)` reports the hard path's PSNR on the batch. A run that was killed
    and continued ends with the same bits as one that was not.
    """
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimisers = Optimisers(network, plan)
    done = _load(checkpoint, network, optimisers) if checkpoint else 0
    saved_at, between_steps = monotonic(), True
    try:
        for step in range(done, plan.steps):
            between_steps = False
            error = _train_step(network, optimisers, sampler.draw(step), plan, step)
            done, between_steps = step + 1, True
            if on_step:
                on_step(done, -10 * math.log10(max(error, 1e-10)))
            if checkpoint and monotonic() - saved_at > CHECKPOINT_EVERY_S:
                _save(checkpoint, network, optimisers, done)
                saved_at = monotonic()
    finally:
        # Cut within a step, some weights are a step ahead of others: the last checkpoint stands.
        if checkpoint and between_steps:
            _save(checkpoint, network, optimisers, done)


def _train_step(
    network: Network, optimisers: Optimisers, batch: Batch, plan: TrainingPlan, step: int
) -> float:
    """One step; returns the hard path's mean squared error in unit range."""
    errors = path_errors(network, batch)
    loss = torch.stack([plan.path_weights[path] * e for path, e in errors.items()]).sum()
    optimisers.step(loss, plan.schedule(step))
    return float(errors[HARD].detach())


def path_errors(network: Network, batch: Batch) -> dict[int, Tensor]:
    """The mean squared error of every path on a batch, as scalars with a gradient."""
    with torch.autocast("cpu", torch.bfloat16):
        residuals = network.residuals(batch.lr)
    detail = batch.hr - network.base(batch.lr, network.halo_px(HARD))
    return {
        path: F.mse_loss(F.pixel_shuffle(residual.float(), network.arch.scale), detail)
        for path, residual in residuals.items()
    }


def _save(path: Path, network: Network, optimisers: Optimisers, step: int) -> None:
    """Atomic: a kill leaves the checkpoint before."""
    part = path.with_suffix(".part")
    state = {"step": step, "network": network.state_dict(), "optimisers": optimisers.state_dict()}
    torch.save(state, part)
    os.replace(part, path)


def _load(path: Path, network: Network, optimisers: Optimisers) -> int:
    """The number of steps done; 0 where there is no checkpoint yet."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    network.load_state_dict(state["network"])
    optimisers.load_state_dict(state["optimisers"])
    return int(state["step"])
