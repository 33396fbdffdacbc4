"""Pruning a classifier whose data have two groups: what arms of the fair experiments share.

    dense network ──► masks for the first part of the steps ──► cut ──► the rest of the steps

Every arm ends at the same widths after the same number of steps. Arms differ in what chooses the
channels, in when a fairness term is on the weights, and in how often groups are drawn.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Protocol

import numpy as np
from torch import Tensor

from benchmarks.reproduction.classify import (
    AS_THEY_ARE,
    BatchSampler,
    ClassifyPlan,
    Evaluation,
    evaluate,
    even_groups_order,
    shuffled_order,
    train_classifier,
)
from benchmarks.reproduction.fair_loss import AccuracyTerm, UpperLoss
from benchmarks.reproduction.fair_tasks import Ground, digest
from benchmarks.reproduction.pruning import LaterSampler, Widths, cut, layers_of, split
from benchmarks.reproduction.resnet import ResNet, block_widths
from benchmarks.reproduction.rows import Row, RowStore
from benchmarks.shrinking.controls import Magnitudes
from sr.shrink.bilevel import BiLevelScores, ChannelMasks, MaskPlan, ScorePlan
from sr.shrink.channels import ChannelLayer
from sr.shrink.chex import Exploration, ExplorationPlan
from sr.shrink.fair_term import Fairness

FAIR_SHARE, LEAST_GAP = 0.75, 2.0  # fair: this share of the dense network's gap, or few points


@dataclass(frozen=True)
class Settings:
    """The size of the experiment. `kept`: the share of each block's inner channels that stays.
    `mask_share` of the steps are under masks, but for arms with a share of their own."""

    dense_steps: int = 500
    steps: int = 500
    depth: int = 8
    width: int = 16
    stem_stride: int = 2
    batch: int = 64
    rate: float = 0.05
    kept: float = 0.1
    mask_share: float = 0.25
    fairness: float = 1.0
    score_rate: float = 0.005
    checked_every: int = 25


@dataclass(frozen=True)
class Trial:
    """A task and a seed: what is the same for all arms."""

    settings: Settings
    ground: Ground
    seed: int

    @property
    def shape(self) -> tuple[int, int, int]:
        _, h, w, c = self.ground.test.images[np.array([0])].shape
        return c, h, w

    def network(self, widths: Sequence[int] | None = None) -> ResNet:
        s, classes = self.settings, len(self.ground.test.classes)
        channels, *_ = self.shape
        return ResNet(s.depth, s.width, classes, widths, channels, s.stem_stride, self.seed)

    @property
    def widths(self) -> Widths:
        """Of the pruned networks."""
        full = block_widths(self.settings.depth, self.settings.width)
        return tuple(max(1, round(self.settings.kept * width)) for width in full)

    def widths_with(self, share: float) -> list[int]:
        """The same with a share 0..1 of what is to be removed left in."""
        full = block_widths(self.settings.depth, self.settings.width)
        return [round(k + share * (w - k)) for k, w in zip(self.widths, full, strict=True)]

    def sampler(self, even: bool, begin: int = 0) -> BatchSampler:
        order = even_groups_order if even else shuffled_order
        data, batch = self.ground.lower, self.settings.batch
        return LaterSampler(data, self.seed, batch, self.ground.augmentation, order, begin)

    def term(self) -> AccuracyTerm:
        """Fairness on the weights or on the scores; it remembers, so each has its own."""
        return AccuracyTerm(len(self.ground.test.group_names), Fairness(self.settings.fairness))


class Masks(Protocol):
    """What switches channels off while a network is trained."""

    def after_backward(self, step: int) -> None: ...

    def after_step(self, step: int) -> None: ...

    def kept(self) -> dict[str, list[int]]:
        """Of each layer, the channels that are on."""
        ...


Choice = tuple[Masks, int]  # and after how many steps no more than the kept channels are on
Choose = Callable[[Trial, ResNet, int], Choice]  # trial, the network to be pruned, steps


@dataclass(frozen=True)
class Arm:
    """`choose`: the channels. `fair_from`: the part of the training, masks (0) or after the cut
    (1), from which the term is on the weights; 2 is never. Groups are drawn alike where the term
    is, and where they are drawn `even` anyway. `mask_share` of the steps, where not the settings'.
    """

    choose: Choose
    fair_from: int = 2
    even: bool = False
    mask_share: float | None = None


def at_once(trial: Trial, network: ResNet, steps: int) -> Choice:
    """The least channels by magnitude go after the first step (Li et al., ICLR 2017)."""
    return _masked(trial, network, Magnitudes(), MaskPlan(steps, begin=1, raises=1, interval=steps))


def bilevel(fair: bool) -> Choose:
    """Scores that learn on held-out images, with the fairness term or without."""

    def choose(trial: Trial, network: ResNet, steps: int) -> Choice:
        settings, upper = trial.settings, trial.ground.upper
        term = trial.term() if fair else None
        sampler = BatchSampler(
            upper, trial.seed + 1, settings.batch, AS_THEY_ARE, order=even_groups_order
        )
        scores = BiLevelScores(UpperLoss(sampler, term), ScorePlan(settings.score_rate))
        return _masked(trial, network, scores, MaskPlan(steps, begin=steps // 6))

    return choose


def _masked(trial: Trial, network: ResNet, scores: BiLevelScores, plan: MaskPlan) -> Choice:
    layers = layers_of(network, trial.shape[1])
    scores.attach(network, layers)
    masks = ChannelMasks(layers, scores, lambda _, share: trial.widths_with(share), plan)
    return masks, next(s for s in range(plan.begin, plan.steps) if not plan.share_left(s))


def exploring(interval: int) -> Choose:
    """CHEX: channels are given back at every update but the last."""

    def choose(trial: Trial, network: ResNet, steps: int) -> Choice:
        def widths(layers: Sequence[ChannelLayer], share: float) -> Sequence[int]:
            return trial.widths_with(share)

        layers = layers_of(network, trial.shape[1])
        return Exploration(layers, widths, ExplorationPlan(steps, interval, seed=trial.seed)), steps

    return choose


@dataclass(frozen=True)
class Beside:
    """What looks over a classifier's training: masks, and a term of the loss."""

    masks: Masks | None
    term: AccuracyTerm | None

    def extra_loss(
        self, logits: Tensor, targets: Tensor, groups: Tensor, step: int
    ) -> Tensor | None:
        return self.term(logits, targets, groups) if self.term else None

    def after_backward(self, step: int) -> None:
        if self.masks:
            self.masks.after_backward(step)

    def after_step(self, step: int) -> None:
        if self.masks:
            self.masks.after_step(step)


def trained_dense(trial: Trial) -> ResNet:
    """The unpruned network that all arms of a trial begin with and are compared to."""
    network = trial.network()
    plan = ClassifyPlan(trial.settings.dense_steps, 2 * trial.settings.rate)
    train_classifier(network, trial.sampler(even=False), plan)
    return network


Measure = Callable[[Trial, ResNet, str], Row]  # trial, the unpruned network, an arm's name


def trial_rows(
    trial: Trial, arms: Iterable[str], measured: Measure, store: RowStore, version: int
) -> list[Row]:
    """The rows of all arms; the dense network is trained where one is still to be made."""
    dense: list[ResNet] = []

    def make(arm: str) -> Row:
        if not dense:
            dense.append(trained_dense(trial))
        return measured(trial, dense[0], arm)

    key = {"version": version, "task": trial.ground.name, "seed": trial.seed}
    key |= {**asdict(trial.settings), "data": digest(trial.ground)}
    return [store.row({"arm": arm, **key}, partial(make, arm)) for arm in arms]


@dataclass(frozen=True)
class Pruned:
    """A pruned network, and after how many steps it was fair and stayed so to the end; None
    where it was not: |A+ - A-| within FAIR_SHARE of the dense network's."""

    network: ResNet
    steps_to_fair: int | None


def prune(trial: Trial, dense: ResNet, arm: Arm) -> Pruned:
    """Masks for the first part of the steps, then the cut network trains on."""
    settings, side = trial.settings, trial.shape[1]
    share = settings.mask_share if arm.mask_share is None else arm.mask_share
    parts = split(ClassifyPlan(settings.steps, settings.rate), round(share * settings.steps))
    network, term = copy.deepcopy(dense), trial.term() if arm.fair_from < len(parts) else None
    masks, sparse_from = arm.choose(trial, network, parts[0].steps)
    watch = FairWatch(trial, dense, sparse_from)
    for number, part in enumerate(parts):
        if number == 1:
            network = cut(network, masks.kept(), side, trial.network)
        fair = number >= arm.fair_from
        sampler = trial.sampler(fair or arm.even, part.begin)
        beside = Beside(None if number else masks, term if fair else None)
        train_classifier(network, sampler, part, beside, on_step=watch.at(network, part.begin))
    return Pruned(network, watch.since)


class FairWatch:
    """Notes, every so many steps, whether the groups' test accuracies are close.

    What is not as sparse yet as it will be does not count.
    """

    def __init__(self, trial: Trial, dense: ResNet, sparse_from: int) -> None:
        self._trial, self._dense = trial, evaluate(dense, trial.ground.test)
        self._sparse_from = sparse_from
        self.since: int | None = None

    def at(self, network: ResNet, begin: int) -> Callable[[int, float], None]:
        """What `train_classifier` calls after each step of the part after `begin`."""

        def on_step(done: int, loss: float) -> None:
            step = begin + done
            if step >= self._sparse_from and step % self._trial.settings.checked_every == 0:
                self._note(network, step)

        return on_step

    def _note(self, network: ResNet, step: int) -> None:
        now = evaluate(network, self._trial.ground.test)
        most = max(LEAST_GAP, FAIR_SHARE * accuracy_gap(self._dense))
        self.since = (self.since or step) if accuracy_gap(now) <= most else None


def accuracy_gap(judged: Evaluation) -> float:
    """|A+ - A-| in points."""
    return 100 * (max(judged.group_accuracy) - min(judged.group_accuracy))


def group_drops(pruned: Evaluation, dense: Evaluation) -> list[float]:
    """What pruning cost each group, in points."""
    pairs = zip(pruned.group_accuracy, dense.group_accuracy, strict=True)
    return [100 * (before - now) for now, before in pairs]
