"""Fairness as a classifier's loss: equal accuracy, by the same penalty as the stage's."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.reproduction.classify import BatchSampler
from sr.models.precision import bf16_where_fast
from sr.shrink.fair_term import Fairness, Spread, group_means

UNIT = 10.0  # 0.1 in accuracy counts as much as 1 dB does in sr/shrink
SHARPNESS = 2.0  # of the sigmoid that stands for "right"


class AccuracyTerm:
    """Performance fairness (BiFP, definition 1): the penalty on what groups lack of all right."""

    def __init__(self, groups: int, fairness: Fairness) -> None:
        self._spread = Spread(groups, fairness)

    def __call__(self, logits: Tensor, targets: Tensor, groups: Tensor) -> Tensor:
        right = soft_accuracy(logits, targets, groups, len(self._spread.sums))
        return self._spread.loss(UNIT * (1 - right))


def soft_accuracy(logits: Tensor, targets: Tensor, groups: Tensor, count: int) -> Tensor:
    """[G]: the mean over a group of sigmoid(margin of the right class)."""
    right = logits.gather(1, targets[:, None])[:, 0]
    others = logits.scatter(1, targets[:, None], float("-inf")).amax(dim=1)
    return group_means(torch.sigmoid(SHARPNESS * (right - others)), groups, count)


class UpperLoss:
    """The upper level's loss: cross-entropy and fairness on held-out images, groups even."""

    def __init__(self, sampler: BatchSampler, term: AccuracyTerm | None) -> None:
        self._sampler, self._term = sampler, term

    def __call__(self, network: nn.Module, step: int) -> Tensor:
        batch = self._sampler.draw(step)
        with bf16_where_fast():
            logits = network(batch.images)
        logits = logits.float()
        loss = F.cross_entropy(logits, batch.targets)
        fair = self._term(logits, batch.targets, batch.groups) if self._term else 0.0
        return loss + fair

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing: a row that was stopped is made anew."""
