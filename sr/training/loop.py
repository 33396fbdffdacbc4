"""Overfitting one network: joint over its paths, bounded by steps, repeatable, resumable.

    crops -> residuals of every path (bf16) -> + anchor (fp32) -> squared error of each path
          -> weighted sum -> Adam, warm-up and cosine

Squared error, because the product is judged by PSNR; the anchor stays in fp32, because bf16 has
fewer bits than a pixel.
"""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import torch
import torch.nn.functional as F
from torch import Tensor

from player.package.weights import EASY, HARD
from sr.models.network import Network
from sr.training.data import Batch, CropSampler

CHECKPOINT_EVERY_S = 20.0
WARM_UP_STEPS = 50

OnStep = Callable[[int, float], None]


@dataclass(frozen=True)
class TrainingPlan:
    """The work of one overfitting: `steps` batches, the peak learning rate, loss weights.

    `path_weights`: how much each path's squared error counts. The easy path's error teaches
    the shared trunk as well (deep supervision); measured in docs/training.md.
    """

    steps: int
    peak_rate: float = 4e-3
    path_weights: Mapping[int, float] = field(default_factory=lambda: {EASY: 0.5, HARD: 1.0})

    def rate(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, then cosine to zero."""
        cosine = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return self.peak_rate * min(1.0, (step + 1) / WARM_UP_STEPS) * cosine


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
    optimiser = torch.optim.Adam(network.parameters(), lr=plan.peak_rate, betas=(0.9, 0.99))
    start = _load(checkpoint, network, optimiser) if checkpoint else 0
    saved_at = monotonic()
    try:
        for step in range(start, plan.steps):
            errors = _train_step(network, optimiser, sampler.draw(step), plan, step)
            start = step + 1
            if on_step:
                on_step(start, -10 * math.log10(max(errors, 1e-10)))
            if checkpoint and monotonic() - saved_at > CHECKPOINT_EVERY_S:
                _save(checkpoint, network, optimiser, start)
                saved_at = monotonic()
    finally:
        if checkpoint:
            _save(checkpoint, network, optimiser, start)


def _train_step(
    network: Network,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    plan: TrainingPlan,
    step: int,
) -> float:
    """One step; returns the hard path's mean squared error in unit range."""
    for group in optimiser.param_groups:
        group["lr"] = plan.rate(step)
    errors = path_errors(network, batch)
    loss = torch.stack([plan.path_weights[path] * e for path, e in errors.items()]).sum()
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
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


def _save(path: Path, network: Network, optimiser: torch.optim.Optimizer, step: int) -> None:
    """Atomic: a kill leaves the checkpoint before."""
    part = path.with_suffix(".part")
    state = {"step": step, "network": network.state_dict(), "optimiser": optimiser.state_dict()}
    torch.save(state, part)
    os.replace(part, path)


def _load(path: Path, network: Network, optimiser: torch.optim.Optimizer) -> int:
    """The number of steps done; 0 where there is no checkpoint yet."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])
