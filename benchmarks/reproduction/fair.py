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

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.reproduction import ReproduceOptions
from benchmarks.reproduction.classify import evaluate
from benchmarks.reproduction.datasets_cifar import load_cifar10_npz
from benchmarks.reproduction.datasets_faces import load_faces
from benchmarks.reproduction.fair_prune import (
    FAIR_SHARE,
    Arm,
    Settings,
    Trial,
    accuracy_gap,
    at_once,
    bilevel,
    group_drops,
    prune,
    trial_rows,
)
from benchmarks.reproduction.fair_tasks import cifar_ground, faces_ground
from benchmarks.reproduction.resnet import ResNet, count_macs
from benchmarks.reproduction.rows import Row, RowStore
from benchmarks.verdict import all_of, at_least, at_most, column_of, differences, sample

L1, FINETUNED, BIFP = "L1", "L1, fair fine-tuning", "BiFP"
WITHOUT_MASKS, WITHOUT_WEIGHTS = "BiFP w/o m", "BiFP w/o w"
TWO_STAGE = 0.5  # of the steps before the second stage
ARMS = {
    L1: Arm(at_once, mask_share=TWO_STAGE),
    FINETUNED: Arm(at_once, fair_from=1, mask_share=TWO_STAGE),
    BIFP: Arm(bilevel(fair=True), fair_from=0),
    WITHOUT_MASKS: Arm(bilevel(fair=False), fair_from=0),
    WITHOUT_WEIGHTS: Arm(bilevel(fair=True)),
}
HELD_OUT = 0.3  # of the training images: scores are learned on them
WITHIN = 1.0  # points of accuracy
VERSION = 1
SETTINGS = {"cifar": Settings(), "faces": Settings(dense_steps=200, steps=200)}
QUICK = dict.fromkeys(SETTINGS, Settings(dense_steps=60, steps=80, width=8))


def measured(trial: Trial, dense: ResNet, arm: str) -> Row:
    """The row of an arm: both groups' accuracy in percent, gaps in points."""
    pruned = prune(trial, dense, ARMS[arm])
    got, before = (evaluate(n, trial.ground.test) for n in (pruned.network, dense))
    majority, minority = got.group_accuracy
    drops = group_drops(got, before)
    full = count_macs(trial.network(), trial.shape)
    return {
        "task": trial.ground.name,
        "arm": arm,
        "seed": trial.seed,
        "accuracy": 100 * got.accuracy,
        "majority": 100 * majority,
        "minority": 100 * minority,
        "dense_majority": 100 * before.group_accuracy[0],
        "dense_minority": 100 * before.group_accuracy[1],
        "accuracy_gap": accuracy_gap(got),
        "drop_gap": max(drops) - min(drops),
        "steps_to_fair": pruned.steps_to_fair,
        "macs_ratio": count_macs(pruned.network, trial.shape) / full,
    }


def run(options: ReproduceOptions) -> dict[str, Any]:
    """Rows of all tasks, arms and seeds, and what they say about the paper's claims."""
    settings, store = QUICK if options.quick else SETTINGS, RowStore(options.work)
    cifar = load_cifar10_npz(options.sets / "cifar10_subset.npz")
    faces = load_faces(options.sets / "faces_cmu" / "cmu_faces_120x128.npz")
    rows: list[Row] = []
    for seed in options.seeds:
        for data, ground_of in ((cifar, cifar_ground), (faces, faces_ground)):
            ground = ground_of(data, HELD_OUT, seed)
            trial = Trial(settings[ground.name], ground, seed)
            rows += trial_rows(trial, ARMS, measured, store, VERSION)
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
