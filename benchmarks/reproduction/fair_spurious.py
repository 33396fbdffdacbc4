"""Fair pruning where a colour misleads: whether it spares the group that pruning harms most.

Animals are warm and vehicles cold, in all but a twentieth of the training images. A network that
loses its channels falls back on the colour, so that what pruning costs lies with the misled. Beside
BiFP stand the simplest remedy, groups drawn alike with no fairness term, and CHEX:

    L1              the least channels by magnitude go at once, fine-tuned
    L1, even        the same, groups drawn alike
    CHEX            channels explored, group-blind
    CHEX, even      the same, groups drawn alike
    BiFP            fairness on scores and weights (Dai et al., 2023)

Nothing was chosen on this task: settings are those of the task `cifar` (fair.py), CHEX's the
stage's own share of masks doubled, and updates every ten steps. BiFP's scores learn on held-out
images that no other arm has.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.reproduction import ReproduceOptions
from benchmarks.reproduction.classify import evaluate
from benchmarks.reproduction.datasets_cifar import load_cifar10_npz
from benchmarks.reproduction.fair import ARMS as PUBLISHED
from benchmarks.reproduction.fair import BIFP, HELD_OUT, L1
from benchmarks.reproduction.fair_prune import (
    Arm,
    Settings,
    Trial,
    exploring,
    group_drops,
    prune,
    trial_rows,
)
from benchmarks.reproduction.fair_tasks import spurious_ground
from benchmarks.reproduction.resnet import ResNet
from benchmarks.reproduction.rows import Row, RowStore
from benchmarks.verdict import all_of, at_least, at_most, differences, paired, sample

EVEN, CHEX, CHEX_EVEN = "L1, even", "CHEX", "CHEX, even"
CHEX_SHARE, CHEX_INTERVAL = 0.5, 10  # of the steps explored, and between updates
_EXPLORING = exploring(CHEX_INTERVAL)
ARMS = {
    L1: PUBLISHED[L1],
    EVEN: Arm(PUBLISHED[L1].choose, even=True, mask_share=PUBLISHED[L1].mask_share),
    CHEX: Arm(_EXPLORING, mask_share=CHEX_SHARE),
    CHEX_EVEN: Arm(_EXPLORING, even=True, mask_share=CHEX_SHARE),
    BIFP: PUBLISHED[BIFP],
}
VERSION = 1
SETTINGS = Settings(checked_every=100)
QUICK = Settings(dense_steps=60, steps=80, width=8, checked_every=40)
HALF, WITHIN = 0.5, 0.5  # of another's drop; points of accuracy


def run(options: ReproduceOptions) -> dict[str, Any]:
    """Rows of all arms and seeds. Raises InputError where CIFAR cannot be read."""
    settings, store = QUICK if options.quick else SETTINGS, RowStore(options.work)
    data = load_cifar10_npz(options.sets / "cifar10_subset.npz")
    rows: list[Row] = []
    for seed in options.seeds:
        ground = spurious_ground(data, HELD_OUT, seed)
        rows += trial_rows(Trial(settings, ground, seed), ARMS, measured, store, VERSION)
    return {
        "settings": asdict(settings),
        "rows": rows,
        "table_by": ["arm"],
        "claims": claims(rows),
    }


def measured(trial: Trial, dense: ResNet, arm: str) -> Row:
    """Accuracies in percent, drops below the dense network in points."""
    network = prune(trial, dense, ARMS[arm]).network
    got, before = (evaluate(each, trial.ground.test) for each in (network, dense))
    told, misled = group_drops(got, before)
    return {
        "arm": arm,
        "seed": trial.seed,
        "accuracy": 100 * got.accuracy,
        "dense_accuracy": 100 * before.accuracy,
        "as_told": 100 * got.group_accuracy[0],
        "misled": 100 * got.group_accuracy[1],
        "as_told_drop": told,
        "misled_drop": misled,
        "worst_drop": max(told, misled),
        "widening": misled - told,
    }


def claims(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What was asked of fair pruning here."""
    widening = [row["widening"] for row in rows if row["arm"] == L1]
    found = [
        {
            "claim": "pruning by L1 costs the misled more than the others",
            "verdict": at_least(widening),
            "measured": {"more, in points": sample(widening)},
        }
    ]
    for other in (L1, CHEX, EVEN, CHEX_EVEN):
        pairs = paired(rows, BIFP, other, "worst_drop")
        spared = [HALF * b - a for a, b in pairs]
        ours, theirs = zip(*pairs, strict=True)
        found.append(
            {
                "claim": f"BiFP: the worst group's drop at most half of that of {other}",
                # Where the other loses nothing, there is nothing to spare.
                "verdict": all_of(at_least(theirs), at_least(spared)),
                "measured": {BIFP: sample(ours), other: sample(theirs)},
            }
        )
        lost = [-d for d in differences(rows, BIFP, other, "accuracy")]
        found.append(
            {
                "claim": f"BiFP: at most {WITHIN:g} points less accurate than {other}",
                "verdict": at_most(lost, WITHIN),
                "measured": {"less, in points": sample(lost)},
            }
        )
    return found
