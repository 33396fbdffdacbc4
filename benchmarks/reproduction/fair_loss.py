"""Fairness as a classifier's loss: equal drops of accuracy, by the same penalty as the stage's."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.reproduction.classify import BatchSampler, predict
from benchmarks.reproduction.datasets import LabelledImages
from sr.shrink.fair_term import Fairness, Spread, group_means

UNIT = 10.0  # a drop of 0.1 in accuracy counts as much as one of 1 dB does in sr/shrink
SHARPNESS = 2.0  # of the sigmoid that stands for "right"


class AccuracyTerm:
    """The fairness term of a classifier: the penalty on drops of (soft) accuracy."""

    def __init__(self, dense: Tensor, fairness: Fairness) -> None:
        self._dense, self._spread = dense, Spread(len(dense), fairness)

    def __call__(self, logits: Tensor, targets: Tensor, groups: Tensor) -> Tensor:
        drops = UNIT * (self._dense - soft_accuracy(logits, targets, groups, len(self._dense)))
        return self._spread.loss(drops)


def soft_accuracy(logits: Tensor, targets: Tensor, groups: Tensor, count: int) -> Tensor:
    """[G]: the mean over a group of sigmoid(margin of the right class)."""
    right = logits.gather(1, targets[:, None])[:, 0]
    others = logits.scatter(1, targets[:, None], float("-inf")).amax(dim=1)
    return group_means(torch.sigmoid(SHARPNESS * (right - others)), groups, count)


def data_accuracy(network: nn.Module, data: LabelledImages) -> Tensor:
    """[G]: `soft_accuracy` over all images."""
    targets, groups = torch.from_numpy(data.labels), torch.from_numpy(data.groups)
    return soft_accuracy(predict(network, data), targets, groups, len(data.group_names))


class UpperLoss:
    """The upper level's loss: cross-entropy and fairness on held-out images, groups even."""

    def __init__(self, sampler: BatchSampler, term: AccuracyTerm | None) -> None:
        self._sampler, self._term = sampler, term

    def __call__(self, network: nn.Module, step: int) -> Tensor:
        batch = self._sampler.draw(step)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(batch.images)
        logits = logits.float()
        loss = F.cross_entropy(logits, batch.targets)
        fair = self._term(logits, batch.targets, batch.groups) if self._term else 0.0
        return loss + fair

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing: a row that was stopped is made anew."""
