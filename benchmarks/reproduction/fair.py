"""Fair pruning by bi-level optimisation (BiFP) on its own kind of task: a group that is rare.

    cifar    animals against vehicles; 15 % of the training images blurred and of little contrast
    faces    where a face looks (4 poses), in people never seen; a fifth of them with sunglasses

A dense network is trained once a seed; every arm prunes it to the same widths and trains for the
same number of steps:

    L1                      the least channels by magnitude (Li et al., ICLR 2017), fine-tuned
    L1, fair fine-tuning    the same, with the fairness term on the weights in the second half
    BiFP                    fairness on both levels: channel scores and weights in alternation
    BiFP w/o m              the term on the weights only
    BiFP w/o w              the term on the scores only

Fairness here is performance fairness, |A+ - A-| of the groups' shares of right answers (the
paper's F_A), with a sigmoid of the margin for the step function in the loss (the paper leaves that
open). What pruning costs each group, R = A(dense) - A(pruned), and |R+ - R-| are in the rows too.
"""

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from benchmarks.reproduction import ReproduceOptions
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
from benchmarks.reproduction.datasets_cifar import load_cifar10_npz
from benchmarks.reproduction.datasets_faces import load_faces
from benchmarks.reproduction.fair_loss import AccuracyTerm, UpperLoss
from benchmarks.reproduction.fair_tasks import Ground, cifar_ground, digest, faces_ground
from benchmarks.reproduction.pruning import LaterSampler, cut, layers_of, split
from benchmarks.reproduction.resnet import ResNet, block_widths, count_macs
from benchmarks.reproduction.rows import Row, RowStore
from benchmarks.shrinking.controls import Magnitudes
from benchmarks.verdict import all_of, at_least, at_most, column_of, differences, sample
from sr.shrink.bilevel import BiLevelScores, ChannelMasks, MaskPlan, ScorePlan
from sr.shrink.fair_term import Fairness

L1, FINETUNED, BIFP = "L1", "L1, fair fine-tuning", "BiFP"
WITHOUT_MASKS, WITHOUT_WEIGHTS = "BiFP w/o m", "BiFP w/o w"
ARMS = (L1, FINETUNED, BIFP, WITHOUT_MASKS, WITHOUT_WEIGHTS)
TWO_STAGE, FAIR_FROM_START = (L1, FINETUNED), (BIFP, WITHOUT_MASKS)
GROUP_BLIND = (L1, WITHOUT_WEIGHTS)  # in their weights
HELD_OUT = 0.3  # of the training images: scores are learned on them
WITHIN = 1.0  # points of accuracy
FAIR_SHARE, LEAST_GAP = 0.75, 2.0  # fair: this share of the dense network's gap, or few points
VERSION = 1


@dataclass(frozen=True)
class Settings:
    """The size of the experiment. `kept`: the share of each block's inner channels that stays."""

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


SETTINGS = {"cifar": Settings(), "faces": Settings(dense_steps=200, steps=200)}
QUICK = dict.fromkeys(SETTINGS, Settings(dense_steps=60, steps=80, width=8))


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
    def widths(self) -> tuple[int, ...]:
        """Of the pruned networks."""
        full = block_widths(self.settings.depth, self.settings.width)
        return tuple(max(1, round(self.settings.kept * width)) for width in full)

    def sampler(self, even: bool, begin: int = 0) -> BatchSampler:
        order = even_groups_order if even else shuffled_order
        data, batch = self.ground.lower, self.settings.batch
        return LaterSampler(data, self.seed, batch, self.ground.augmentation, order, begin)


@dataclass(frozen=True)
class Beside:
    """What looks over a classifier's training: masks, and a term of the loss."""

    masks: ChannelMasks | None
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


@dataclass(frozen=True)
class Pruned:
    """A pruned network, and after how many steps it was fair and stayed so to the end; None
    where it was not: |A+ - A-| within FAIR_SHARE of the dense network's."""

    network: ResNet
    steps_to_fair: int | None


def prune(trial: Trial, dense: ResNet, arm: str) -> Pruned:
    """One arm. Masks for the first part of the steps, then the cut network trains on."""
    settings = trial.settings
    first, rest = split(ClassifyPlan(settings.steps, settings.rate), _mask_steps(settings, arm))
    network = copy.deepcopy(dense)
    side = trial.shape[1]
    scores = _scores(trial, arm)
    layers = layers_of(network, side)
    scores.attach(network, layers)
    mask_plan = _mask_plan(first.steps, arm)
    masks = ChannelMasks(layers, scores, _widths(trial), mask_plan)
    watch = FairWatch(trial, dense, mask_plan)
    even, term = arm in FAIR_FROM_START, _term(trial, arm)
    train_classifier(
        network,
        trial.sampler(even),
        first,
        Beside(masks, term if even else None),
        on_step=watch.at(network, 0),
    )
    small = cut(network, masks.kept(), side, trial.network)
    beside = Beside(None, term)
    sampler = trial.sampler(term is not None, first.steps)
    train_classifier(small, sampler, rest, beside, on_step=watch.at(small, first.steps))
    return Pruned(small, watch.since)


def _mask_steps(settings: Settings, arm: str) -> int:
    """The first part of the steps: of the two-stage arms, the first stage."""
    return round((0.5 if arm in TWO_STAGE else settings.mask_share) * settings.steps)


def _term(trial: Trial, arm: str) -> AccuracyTerm | None:
    if arm in GROUP_BLIND:
        return None
    return AccuracyTerm(len(trial.ground.test.group_names), Fairness(trial.settings.fairness))


def _scores(trial: Trial, arm: str) -> BiLevelScores:
    settings, upper = trial.settings, trial.ground.upper
    if arm in TWO_STAGE:
        return Magnitudes()
    term = None
    if arm != WITHOUT_MASKS:
        term = AccuracyTerm(len(upper.group_names), Fairness(settings.fairness))
    sampler = BatchSampler(
        upper, trial.seed + 1, settings.batch, AS_THEY_ARE, order=even_groups_order
    )
    return BiLevelScores(UpperLoss(sampler, term), ScorePlan(settings.score_rate))


def _mask_plan(steps: int, arm: str) -> MaskPlan:
    """The L1 arms prune at once, as the two-stage baselines do."""
    if arm in TWO_STAGE:
        return MaskPlan(steps, begin=1, raises=1, interval=steps)
    return MaskPlan(steps, begin=steps // 6)


def _widths(trial: Trial) -> Any:
    """The same share of each layer, whatever the scores."""
    full = block_widths(trial.settings.depth, trial.settings.width)

    def widths(scores: Sequence[Tensor], share: float) -> list[int]:
        return [round(k + share * (w - k)) for k, w in zip(trial.widths, full, strict=True)]

    return widths


class FairWatch:
    """Notes, every so many steps, whether the groups' test accuracies are close.

    What is not as sparse yet as it will be does not count.
    """

    def __init__(self, trial: Trial, dense: ResNet, plan: MaskPlan) -> None:
        self._trial, self._dense = trial, evaluate(dense, trial.ground.test)
        self._sparse_from = next(s for s in range(plan.begin, plan.steps) if not plan.share_left(s))
        self.since: int | None = None

    def at(self, network: ResNet, begin: int) -> Any:
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


def drop_gap(pruned: Evaluation, dense: Evaluation) -> float:
    """|R+ - R-| in points."""
    drops = [d - p for d, p in zip(dense.group_accuracy, pruned.group_accuracy, strict=True)]
    return 100 * (max(drops) - min(drops))


def measured(trial: Trial, dense: ResNet, arm: str) -> Row:
    """The row of an arm: both groups' accuracy in percent, gaps in points."""
    pruned = prune(trial, dense, arm)
    got, before = (evaluate(n, trial.ground.test) for n in (pruned.network, dense))
    names = trial.ground.test.group_names
    groups = dict(zip(names, got.group_accuracy, strict=True))
    full = count_macs(trial.network(), trial.shape)
    return {
        "task": trial.ground.name,
        "arm": arm,
        "seed": trial.seed,
        "accuracy": 100 * got.accuracy,
        "majority": 100 * groups[names[0]],
        "minority": 100 * groups[names[1]],
        "dense_majority": 100 * before.group_accuracy[0],
        "dense_minority": 100 * before.group_accuracy[1],
        "accuracy_gap": accuracy_gap(got),
        "drop_gap": drop_gap(got, before),
        "steps_to_fair": pruned.steps_to_fair,
        "macs_ratio": count_macs(pruned.network, trial.shape) / full,
    }


def trial_rows(trial: Trial, store: RowStore) -> list[Row]:
    """The rows of all arms; the dense network is trained where one is still to be made."""
    dense: list[ResNet] = []

    def make(arm: str) -> Row:
        if not dense:
            dense.append(trained_dense(trial))
        return measured(trial, dense[0], arm)

    key = {"version": VERSION, "task": trial.ground.name, "seed": trial.seed}
    key |= {**asdict(trial.settings), "data": digest(trial.ground)}
    return [store.row({"arm": arm, **key}, partial(make, arm)) for arm in ARMS]


def run(options: ReproduceOptions) -> dict[str, Any]:
    """Rows of all tasks, arms and seeds, and what they say about the paper's claims."""
    settings, store = QUICK if options.quick else SETTINGS, RowStore(options.work)
    cifar = load_cifar10_npz(options.sets / "cifar10_subset.npz")
    faces = load_faces(options.sets / "faces_cmu" / "cmu_faces_120x128.npz")
    rows: list[Row] = []
    for seed in options.seeds:
        for data, ground_of in ((cifar, cifar_ground), (faces, faces_ground)):
            ground = ground_of(data, HELD_OUT, seed)
            rows += trial_rows(Trial(settings[ground.name], ground, seed), store)
    return {
        "settings": {task: asdict(each) for task, each in settings.items()},
        "rows": rows,
        "table_by": ["task", "arm"],
        "claims": claims(rows),
    }


def claims(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The paper's claims on each task, seed by seed."""
    tasks = dict.fromkeys(row["task"] for row in rows)
    return [c for task in tasks for c in _claims([r for r in rows if r["task"] == task], task)]


def _claims(rows: Sequence[Row], task: str) -> list[dict[str, Any]]:
    def over(arm: str, other: str, column: str) -> list[float]:
        return differences(rows, arm, other, column)

    def beside(*columns: str) -> dict[str, Any]:
        return {
            column: {arm: sample(column_of(rows, arm, column)) for arm in ARMS}
            for column in columns
        }

    terms = (over(arm, BIFP, "accuracy_gap") for arm in (WITHOUT_MASKS, WITHOUT_WEIGHTS))
    return [
        {
            "claim": f"{task}: BiFP's gap of accuracy is below L1's, accuracy within a point",
            "verdict": all_of(
                at_most(over(BIFP, L1, "accuracy_gap")),
                at_least(over(BIFP, L1, "accuracy"), -WITHIN),
            ),
            "measured": beside("accuracy_gap", "accuracy", "drop_gap"),
        },
        {
            "claim": f"{task}: the minority gains by it, not only the gap",
            "verdict": at_least(over(BIFP, L1, "minority")),
            "measured": beside("minority", "majority"),
        },
        {
            "claim": f"{task}: without either term the gap is larger",
            "verdict": all_of(*(at_least(gap) for gap in terms)),
            "measured": beside("accuracy_gap"),
        },
        _sooner(rows, task),
    ]


def _sooner(rows: Sequence[Row], task: str) -> dict[str, Any]:
    """A network that is wrong everywhere is fair as well, so the accuracy counts."""
    steps = {arm: [r["steps_to_fair"] for r in rows if r["arm"] == arm] for arm in ARMS}
    # One that never is fair counts as a step later than the last that is: the least that it can be.
    never = 1 + max((n for each in steps.values() for n in each if n is not None), default=0)
    known = [{**row, "steps_to_fair": row["steps_to_fair"] or never} for row in rows]
    return {
        "claim": f"{task}: BiFP is fair, and stays so, in fewer steps than two-stage pruning, "
        "accuracy within a point",
        "verdict": all_of(
            at_most(differences(known, BIFP, FINETUNED, "steps_to_fair")),
            at_least(differences(rows, BIFP, FINETUNED, "accuracy"), -WITHIN),
        ),
        "measured": steps,
        "note": f"steps until the gap is {FAIR_SHARE} of the dense network's to the end; "
        "nothing where they never are",
    }
