"""Tri-Level E-ViT (training-time sparsity of examples, tokens and attention links), small.

A small vision transformer on a part of the CIFAR-10 subset. Every arm has the same epochs but for
`dense, same work`, which has all data for as many operations as `tri-level`:

    examples      20 % held out; every few epochs the least forgotten change places with others
    tokens        at three blocks the patches that the class token attends to least are dropped
    links         from those blocks on, each group of queries sees half of the blocks of keys
    tri-level     all three

and the controls: a random 80 % that stays, the most forgotten removed, random tokens. What differs
from the paper: links are chosen in blocks, so that they save work, and afresh at each of the three
blocks; DeiT's mixing of images is left out, so that right and wrong are of one image.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from benchmarks.reproduction import ReproduceOptions
from benchmarks.reproduction.datasets import Indices, TrainAndTest
from benchmarks.reproduction.datasets_cifar import load_cifar10_npz
from benchmarks.reproduction.rows import Row, RowStore
from benchmarks.reproduction.selection.forgetting import (
    HELD_OUT_SHARE,
    SWAPPED_SHARE,
    ForgettingLedger,
    Order,
    hold_out,
    least_forgotten,
    most_forgotten,
    swap,
)
from benchmarks.reproduction.vit.tokens import (
    AtRandom,
    Blocks,
    Schedule,
    Score,
    Sparsity,
    by_class_token,
)
from benchmarks.reproduction.vit_classify import (
    Picked,
    Task,
    Vit,
    VitPlan,
    VitSettings,
    accuracy,
    build_vit,
    shuffled,
    train_vit,
)
from benchmarks.verdict import all_of, at_most, comparison, paired, sample

VERSION = 1  # of what a row means: rows of another are made anew
POINT = 0.005
MOST_TIME = 0.88


@dataclass(frozen=True)
class Settings(VitSettings):
    """The task and the schedules, in epochs; the paper's are 300, 10, 100 and 30 of 12 blocks
    that choose at 3, 6 and 9."""

    tokens: float = 0.9
    links: float = 0.5
    warm_up: int = 1
    decay: int = 4
    period: int = 3


QUICK = Settings(images=600, epochs=3, depth=4, at=(1, 2), warm_up=0, decay=1, period=1)


def _attention(seed: int) -> Score:
    return by_class_token


@dataclass(frozen=True)
class Arm:
    """What is sparse: examples (`held` of them are out, `order` says which leave; None: the same
    ones stay out), tokens and links."""

    held: float = 0.0
    order: Order | None = None
    tokens: bool = False
    links: bool = False
    score: Callable[[int], Score] = _attention


DENSE, EXAMPLES, TOKENS, LINKS = "dense", "examples", "tokens", "links"
TRI_LEVEL, SAME_WORK = "tri-level", "dense, same work"
STATIC, MOST, RANDOM = "random 80 %", "most forgotten removed", "random tokens"
ARMS: Mapping[str, Arm] = {
    DENSE: Arm(),
    EXAMPLES: Arm(HELD_OUT_SHARE, least_forgotten),
    TOKENS: Arm(tokens=True),
    LINKS: Arm(links=True),
    TRI_LEVEL: Arm(HELD_OUT_SHARE, least_forgotten, tokens=True, links=True),
    SAME_WORK: Arm(),
    STATIC: Arm(HELD_OUT_SHARE),
    MOST: Arm(HELD_OUT_SHARE, most_forgotten),
    RANDOM: Arm(tokens=True, score=AtRandom),
}


def run(options: ReproduceOptions) -> dict[str, Any]:
    """All arms over all seeds. Raises InputError where the subset cannot be read."""
    settings = QUICK if options.quick else Settings()
    data = part_of(load_cifar10_npz(options.sets / "cifar10_subset.npz"), settings.images)
    store = RowStore(options.work)
    rows = [
        store.row(_key(settings, name, seed), partial(_row, settings, name, seed, data))
        for seed in options.seeds
        for name in ARMS
    ]
    return {
        "settings": asdict(settings),
        "table_by": ["arm"],
        "rows": rows,
        "claims": claims(rows),
    }


def part_of(data: TrainAndTest, images: int) -> TrainAndTest:
    """So many of the training half, drawn once for all seeds (the file is sorted by class), and the
    whole test half."""
    drawn = np.random.default_rng(0).permutation(len(data.train))[:images]
    return replace(data, train=data.train.take(drawn))


def _key(settings: Settings, name: str, seed: int) -> dict[str, Any]:
    return {"version": VERSION, "arm": name, "seed": seed, **asdict(settings)}


def _row(settings: Settings, name: str, seed: int, data: TrainAndTest) -> dict[str, Any]:
    arm, vit = ARMS[name], build_vit(settings.size, len(data.train.classes), seed)
    examples = Examples(arm, settings, len(data.train), seed)
    target = target_of(arm, settings, seed)
    steps = examples.epoch_steps * settings.epochs
    if name == SAME_WORK:
        steps = same_work_steps(vit, settings, len(data.train))
    effort = train_vit(
        vit,
        Task(data.train, seed),
        VitPlan(steps, settings.batch, settings.rate),
        shuffled(examples.pool, settings.batch, seed, examples.epoch_steps),
        _pick(settings, target, examples.epoch_steps),
        examples.visited,
    )
    at_target = accuracy(vit, data.test, lambda *_: Picked(sparsity=target))
    dense = accuracy(vit, data.test)
    return {
        "arm": name,
        "seed": seed,
        "accuracy": at_target,
        "accuracy_dense": dense,
        "steps": steps,
        **effort.to_row(),
    }


def target_of(arm: Arm, settings: Settings, seed: int) -> Sparsity | None:
    """What the schedule ends with; None where all tokens and links stay."""
    if not (arm.tokens or arm.links):
        return None
    return Sparsity(
        settings.at,
        settings.tokens if arm.tokens else 1.0,
        settings.links if arm.links else 1.0,
        arm.score(seed),
        Blocks(),
    )


def _sparsity(
    settings: Settings, target: Sparsity | None, epoch_steps: int, step: int
) -> Sparsity | None:
    if target is None:
        return None
    schedule = Schedule(settings.warm_up * epoch_steps, settings.decay * epoch_steps)
    return schedule.at(step, target)


def _pick(
    settings: Settings, target: Sparsity | None, epoch_steps: int
) -> Callable[[int, Indices, Tensor], Picked]:
    def pick(step: int, chosen: Indices, images: Tensor) -> Picked:
        return Picked(sparsity=_sparsity(settings, target, epoch_steps, step))

    return pick


def same_work_steps(vit: Vit, settings: Settings, images: int) -> int:
    """How many dense steps have the operations of the tri-level arm's."""
    arm = ARMS[TRI_LEVEL]
    epoch_steps = Examples(arm, settings, images, 0).epoch_steps
    target = target_of(arm, settings, 0)
    flops = sum(
        vit.training_flops(sparsity=_sparsity(settings, target, epoch_steps, step))
        for step in range(epoch_steps * settings.epochs)
    )
    return round(flops / vit.training_flops())


class Examples:
    """The example level: which images an epoch is drawn from, and what became of them."""

    def __init__(self, arm: Arm, settings: Settings, count: int, seed: int) -> None:
        self._arm, self._period = arm, settings.period
        self._rng = np.random.default_rng([seed, 2])
        self.held_out = (
            hold_out(count, arm.held, self._rng) if arm.held else np.zeros(count, np.bool_)
        )
        self.epoch_steps = max(1, int((~self.held_out).sum()) // settings.batch)
        self._ledger = ForgettingLedger(count)

    def pool(self, epoch: int) -> Indices:
        """The images of the epoch that is trained now."""
        return np.flatnonzero(~self.held_out)

    def visited(self, step: int, chosen: Indices, right: Tensor) -> None:
        """Keep what came out; at a period's end, swap."""
        if self._arm.order is None:
            return
        self._ledger.record(chosen, right.numpy())
        if (step + 1) % (self._period * self.epoch_steps) == 0:
            number, counts = round(SWAPPED_SHARE * self.held_out.size), self._ledger.counts
            self.held_out = swap(self.held_out, counts, number, self._arm.order, self._rng)
            self._ledger.reset()


def claims(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What the paper says, seed by seed."""

    def above(words: str, ours: str, other: str) -> dict[str, Any]:
        return comparison(words, rows, (ours, other), "accuracy")

    def of_dense(arm: str, column: str) -> list[float]:
        return [a / b for a, b in paired(rows, arm, DENSE, column)]

    time, work = (of_dense(TRI_LEVEL, column) for column in ("seconds", "gflops"))
    links = {"operations": of_dense(LINKS, "gflops"), "time": of_dense(LINKS, "seconds")}
    near = comparison(
        "tri-level: within half a point of dense, in at most 0.88 of its time",
        rows,
        (TRI_LEVEL, DENSE),
        "accuracy",
        -POINT,
    )
    cost = {"time": sample(time), "operations": sample(work)}
    return [
        {
            **near,
            "verdict": all_of(near["verdict"], at_most(time, MOST_TIME)),
            "measured": {**near["measured"], **cost},
        },
        above("the least forgotten are a better choice than none", EXAMPLES, STATIC),
        above("the most forgotten are missed more", EXAMPLES, MOST),
        above("attention chooses better tokens than chance", TOKENS, RANDOM),
        above("better than all data at the same operations", TRI_LEVEL, SAME_WORK),
        {
            "claim": "links save operations, and time",
            "verdict": all_of(*(at_most(each, 1.0) for each in links.values())),
            "measured": {name: sample(each) for name, each in links.items()},
        },
    ]
