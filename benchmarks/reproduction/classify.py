"""Training of a classifier that a pruning method looks over: repeatable by seed and step.

    images u8 -> crop and flip -> logits (bf16) -> cross-entropy (fp32) + the companion's loss
              -> gradients -> companion.after_backward -> SGD -> companion.after_step

The batch of a step is a function of seed and step alone, as in sr/training; so two arms of an
experiment with one seed see the same batches. Bits repeat on one thread of one machine.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.reproduction.datasets import Indices, LabelledImages, Pixels
from sr.models.precision import bf16_where_fast

EVALUATION_BATCH = 500


@dataclass(frozen=True)
class ClassifyPlan:
    """SGD with momentum (He et al. 2016, section 4.2); linear warm-up, then cosine to zero."""

    steps: int
    rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warm_up_steps: int = 50

    def rate_at(self, step: int) -> float:
        cosine = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return self.rate * min(1.0, (step + 1) / self.warm_up_steps) * cosine


@dataclass(frozen=True)
class Augmentation:
    """A random crop out of `pad_px` of zeros around, mirrored with `flip_chance`.

    Set `flip_chance` 0 where left and right are classes.
    """

    pad_px: int = 4
    flip_chance: float = 0.5

    def __call__(self, images: Pixels, rng: np.random.Generator) -> Pixels:
        n, h, w, _ = images.shape
        pad = self.pad_px
        padded = np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        top, left = rng.integers(0, 2 * pad + 1, (2, n, 1))
        columns = np.arange(w)[None].repeat(n, 0)
        mirrored = rng.random(n) < self.flip_chance
        columns[mirrored] = columns[mirrored, ::-1]
        rows = top + np.arange(h)
        return padded[np.arange(n)[:, None, None], rows[:, :, None], (left + columns)[:, None]]


AS_THEY_ARE = Augmentation(pad_px=0, flip_chance=0.0)


@dataclass(frozen=True)
class LabelledBatch:
    """`images` [B, C, H, W] float, `targets` [B], `groups` [B]."""

    images: Tensor
    targets: Tensor
    groups: Tensor


Order = Callable[[LabelledImages, int, int, int], Indices]
"""(data, batch, seed, step) -> which images the step sees, [batch]."""


def shuffled_order(data: LabelledImages, batch: int, seed: int, step: int) -> Indices:
    """Every image once an epoch; what is left at an epoch's end, under a batch, is not seen."""
    epoch, at = divmod(step, max(len(data) // batch, 1))
    return _permutation(len(data), seed, epoch)[at * batch : (at + 1) * batch]


@lru_cache(maxsize=2)
def _permutation(length: int, seed: int, epoch: int) -> Indices:
    return np.random.default_rng([seed, epoch]).permutation(length)


def even_groups_order(data: LabelledImages, batch: int, seed: int, step: int) -> Indices:
    """As many of each group, drawn with replacement: a fairness term needs both in every batch.

    Raises ValueError for a group without images.
    """
    rng = np.random.default_rng([seed, step])
    count = len(data.group_names)
    turns = (np.arange(batch) + step) % count
    drawn = np.empty(batch, np.int64)
    for group in range(count):
        members = np.flatnonzero(data.groups == group)
        drawn[turns == group] = rng.choice(members, int((turns == group).sum()))
    return drawn


@dataclass(frozen=True)
class BatchSampler:
    """The batches of one training run."""

    data: LabelledImages
    seed: int
    batch: int = 128
    augmentation: Augmentation = Augmentation()
    order: Order = shuffled_order

    def draw(self, step: int) -> LabelledBatch:
        """The batch of a step: a function of seed and step alone."""
        chosen = self.order(self.data, self.batch, self.seed, step)
        images = self.augmentation(
            self.data.images[chosen], np.random.default_rng([self.seed, step, 1])
        )
        targets, groups = self.data.labels[chosen], self.data.groups[chosen]
        return LabelledBatch(
            network_input(images), torch.from_numpy(targets), torch.from_numpy(groups)
        )


def network_input(images: Pixels) -> Tensor:
    """[N, H, W, C] u8 -> [N, C, H, W] float around zero with a deviation near one."""
    pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    return pixels.to(torch.float32, memory_format=torch.channels_last).sub_(127.5).div_(64)


class Companion(Protocol):
    """A method that works beside the training.

    `after_backward` may mask gradients; `after_step` follows the optimiser, and may mask
    weights and momentum (give both the optimiser of `sgd`).
    """

    def after_backward(self, step: int) -> None: ...

    def after_step(self, step: int) -> None: ...


@runtime_checkable
class WithExtraLoss(Protocol):
    """A companion that adds to the loss, from logits [B, K], targets [B] and groups [B].

    The loss is a scalar, or None where the step has none.
    """

    def extra_loss(
        self, logits: Tensor, targets: Tensor, groups: Tensor, step: int
    ) -> Tensor | None: ...


def sgd(network: nn.Module, plan: ClassifyPlan) -> torch.optim.SGD:
    """The optimiser of `train_classifier`, for callers whose companion needs its momentum."""
    return torch.optim.SGD(
        network.parameters(), plan.rate, plan.momentum, weight_decay=plan.weight_decay
    )


def train_classifier(
    network: nn.Module,
    sampler: BatchSampler,
    plan: ClassifyPlan,
    companion: Companion | None = None,
    optimiser: torch.optim.SGD | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> None:
    """Train `network` in place for `plan.steps`; `on_step(steps done, loss)` watches."""
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = optimiser or sgd(network, plan)
    for step in range(plan.steps):
        for group in optimiser.param_groups:
            group["lr"] = plan.rate_at(step)
        loss = _loss(network, sampler.draw(step), companion, step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if companion is not None:
            companion.after_backward(step)
        optimiser.step()
        if companion is not None:
            companion.after_step(step)
        if on_step is not None:
            on_step(step + 1, float(loss.detach()))


def _loss(
    network: nn.Module, batch: LabelledBatch, companion: Companion | None, step: int
) -> Tensor:
    logits = _logits(network, batch.images)
    loss = F.cross_entropy(logits, batch.targets)
    if isinstance(companion, WithExtraLoss):
        extra = companion.extra_loss(logits, batch.targets, batch.groups, step)
        loss = loss if extra is None else loss + extra
    return loss


def _logits(network: nn.Module, images: Tensor) -> Tensor:
    """[B, K] fp32, through bf16: half the time on a processor that has it."""
    with bf16_where_fast():
        logits: Tensor = network(images)
    return logits.float()


@dataclass(frozen=True)
class Evaluation:
    """Shares of right answers and the mean cross-entropy, over all images and in each group.

    A group without images has NaN for both.
    """

    accuracy: float
    loss: float
    group_accuracy: tuple[float, ...]
    group_loss: tuple[float, ...]


def evaluate(network: nn.Module, data: LabelledImages) -> Evaluation:
    """Judge a network on images as they are; leaves it in the mode it was in."""
    logits, targets = predict(network, data), torch.from_numpy(data.labels)
    right = (logits.argmax(1) == targets).float()
    losses = F.cross_entropy(logits, targets, reduction="none")
    members = [torch.from_numpy(data.groups == g) for g in range(len(data.group_names))]
    return Evaluation(
        float(right.mean()),
        float(losses.mean()),
        tuple(float(right[m].mean()) for m in members),
        tuple(float(losses[m].mean()) for m in members),
    )


@torch.no_grad()
def predict(network: nn.Module, data: LabelledImages) -> Tensor:
    """The logits [N, K] of all images, in evaluation mode."""
    was_training = network.training
    network.eval()
    chunks = np.array_split(np.arange(len(data)), max(1, -(-len(data) // EVALUATION_BATCH)))
    logits = [_logits(network, network_input(data.images[chunk])) for chunk in chunks]
    network.train(was_training)
    return torch.cat(logits)
