"""CHEX (Hou et al., CVPR 2022) on its own kind of task: a ResNet on the CIFAR-10 subset.

    chex            explore for 72 % of the steps (sr/shrink/chex.py), cut, train on
    random regrow   the same, with channels given back at random
    L1 criterion    the same, the longest channels stay
    uniform         a thin network from scratch, no cheaper than chex's
    dense then L1   dense for half of the steps, cut to uniform's widths, train on
    dense           not pruned, for reference

All arms of a seed have the same number of steps, batches, rates and start. Two differences from
the paper's code: the first `interval` steps are dense, and momentum starts anew at the cut.

The control of regrowing draws with random numbers of its own: off channels lie so alike far from
the kept ones that the projection's chances differ by a factor of 1.1 to 1.3 only (width 16, 200
steps), and with the same numbers both draw the very same channels.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.reproduction import ReproduceOptions
from benchmarks.reproduction.classify import (
    BatchSampler,
    ClassifyPlan,
    evaluate,
    network_input,
    train_classifier,
)
from benchmarks.reproduction.datasets import TrainAndTest
from benchmarks.reproduction.datasets_cifar import load_cifar10_npz
from benchmarks.reproduction.pruning import (
    Beside,
    LaterSampler,
    Widths,
    cut,
    layers_of,
    longest_channels,
    split,
    time_ratio,
    uniform_widths,
)
from benchmarks.reproduction.resnet import ResNet, block_widths, count_macs
from benchmarks.reproduction.rows import Row, RowStore
from benchmarks.shrinking.controls import L1Exploration, RandomRegrow
from benchmarks.verdict import at_most, column_of, comparison, sample
from sr.shrink.channels import ChannelLayer
from sr.shrink.chex import LEAST_STEPS_BETWEEN, Allocator, Exploration, ExplorationPlan

CHEX, RANDOM, L1 = "chex", "chex, random regrow", "chex, L1 criterion"
UNIFORM, DENSE_L1, DENSE = "uniform", "dense then L1", "dense"
ABOVE_UNIFORM, BELOW_DENSE_L1 = 0.5, 0.3  # points of accuracy
VERSION = 1  # of what a row means: rows of another are made anew
OTHER_DRAWS = 1000  # added to the seed
TIME_HALVED = 0.6  # of the dense network's


@dataclass(frozen=True)
class Settings:
    """The size of the experiment.

    `sparsity`: the part of all channels that goes. `regrow_share`: the part of those that the
    first update gives back; 0.4 of 0.5 are the paper's 0.2 of all channels.
    """

    steps: int = 700
    depth: int = 8
    width: int = 32
    stem_stride: int = 2
    batch: int = 128
    rate: float = 0.1
    sparsity: float = 0.5
    floor: int = 8
    explore_share: float = 0.72
    interval: int = LEAST_STEPS_BETWEEN
    regrow_share: float = 0.4
    timed_batch: int = 32
    timed_rounds: int = 30

    @property
    def plan(self) -> ClassifyPlan:
        return ClassifyPlan(self.steps, self.rate)


QUICK = Settings(steps=170, width=16, timed_rounds=3)


def gamma_allocator(sparsity: float, floor: int) -> Allocator:
    """CHEX's widths (section 3.3): one threshold over the |gamma| of all layers' channels.

    Of all channels together the least `sparsity` (1 - share) go; a layer that would keep fewer
    than `floor` keeps `floor`, or all that it has.
    """

    def widths(layers: Sequence[ChannelLayer], share: float) -> Widths:
        factors = torch.cat([layer.scale.detach().abs() for layer in layers])
        gone = round(sparsity * (1 - share) * len(factors))
        stays = torch.ones(len(factors), dtype=torch.bool)
        stays[factors.argsort(stable=True)[:gone]] = False
        counts = [int(part.sum()) for part in stays.split([layer.channels for layer in layers])]
        return tuple(
            max(count, min(floor, layer.channels))
            for count, layer in zip(counts, layers, strict=True)
        )

    return widths


@dataclass(frozen=True)
class Trial:
    """One seed's data, networks and schedule, the same for all arms."""

    settings: Settings
    data: TrainAndTest
    seed: int

    @property
    def side_px(self) -> int:
        return int(self.data.train.images[np.array([0])].shape[1])

    @property
    def full_widths(self) -> Widths:
        return block_widths(self.settings.depth, self.settings.width)

    def network(self, widths: Widths | None = None) -> ResNet:
        s, classes = self.settings, len(self.data.train.classes)
        return ResNet(s.depth, s.width, classes, widths, stem_stride=s.stem_stride, seed=self.seed)

    def macs(self, widths: Widths) -> int:
        return count_macs(self.network(widths), (3, self.side_px, self.side_px))

    def sampler(self, begin: int = 0) -> BatchSampler:
        return LaterSampler(self.data.train, self.seed, self.settings.batch, begin=begin)


Arm = Callable[[Trial], ResNet]


def explored(trial: Trial, kind: type[Exploration], draws: int) -> ResNet:
    """CHEX, or a control of it: the cut network, trained to the end. `draws`: their own seed."""
    settings, network = trial.settings, trial.network()
    first, rest = split(settings.plan, round(settings.explore_share * settings.steps))
    exploration = kind(
        layers_of(network, trial.side_px),
        gamma_allocator(settings.sparsity, settings.floor),
        ExplorationPlan(first.steps, settings.interval, settings.regrow_share, draws),
    )
    train_classifier(network, trial.sampler(), first, Beside(exploration))
    network = cut(network, exploration.kept(), trial.side_px, trial.network)
    train_classifier(network, trial.sampler(first.steps), rest)
    return network


def from_scratch(trial: Trial, widths: Widths) -> ResNet:
    """A network of fixed widths, trained for all steps."""
    network = trial.network(widths)
    train_classifier(network, trial.sampler(), trial.settings.plan)
    return network


def dense_then_l1(trial: Trial, widths: Widths) -> ResNet:
    """Dense for half of the steps, then cut by L1 norm in each layer and trained on."""
    network = trial.network()
    first, rest = split(trial.settings.plan, trial.settings.steps // 2)
    train_classifier(network, trial.sampler(), first)
    kept = longest_channels(network, widths)
    network = cut(network, kept, trial.side_px, trial.network)
    train_classifier(network, trial.sampler(first.steps), rest)
    return network


def chex(trial: Trial) -> ResNet:
    return explored(trial, Exploration, trial.seed)


def randomly_regrown(trial: Trial) -> ResNet:
    return explored(trial, RandomRegrow, trial.seed + OTHER_DRAWS)


def chosen_by_l1(trial: Trial) -> ResNet:
    return explored(trial, L1Exploration, trial.seed)


EXPLORING: dict[str, Arm] = {CHEX: chex, RANDOM: randomly_regrown, L1: chosen_by_l1}


def arms_beside(trial: Trial, chex: Row) -> dict[str, Arm]:
    """The arms whose widths follow from what CHEX's network costs."""
    widths = uniform_widths(trial.full_widths, chex["macs"], trial.macs)
    return {
        UNIFORM: partial(from_scratch, widths=widths),
        DENSE_L1: partial(dense_then_l1, widths=widths),
        DENSE: partial(from_scratch, widths=trial.full_widths),
    }


def run(options: ReproduceOptions) -> dict[str, Any]:
    """Rows of all arms and seeds, and what they say about the paper's claims."""
    data = load_cifar10_npz(options.sets / "cifar10_subset.npz")
    return experiment(QUICK if options.quick else Settings(), data, options)


def experiment(settings: Settings, data: TrainAndTest, options: ReproduceOptions) -> dict[str, Any]:
    """The same on any images: measures the rows that `options.work` has not got yet."""
    store, version = RowStore(options.work), _version(data)
    rows = [
        row
        for seed in options.seeds
        for row in seed_rows(Trial(settings, data, seed), store, version)
    ]
    return {
        "settings": asdict(settings),
        "rows": rows,
        "table_by": ["arm"],
        "claims": claims(rows),
    }


def _version(data: TrainAndTest) -> str:
    """A digest of all images and labels."""
    digest = hashlib.sha256()
    for half in (data.train, data.test):
        digest.update(half.images[np.arange(len(half))].tobytes())
        digest.update(half.labels.tobytes())
    return digest.hexdigest()[:12]


def seed_rows(trial: Trial, store: RowStore, version: str) -> list[Row]:
    """CHEX and its controls first: the other arms' widths follow from CHEX's."""
    key = {"version": VERSION, **asdict(trial.settings), "seed": trial.seed, "data": version}

    def row(name: str, arm: Arm, matched: int | None) -> Row:
        own = {"arm": name, **key, "matched_macs": matched}
        return store.row(own, partial(measured, trial, name, arm))

    rows = [row(name, arm, None) for name, arm in EXPLORING.items()]
    return rows + [
        row(name, arm, None if name == DENSE else rows[0]["macs"])
        for name, arm in arms_beside(trial, rows[0]).items()
    ]


def measured(trial: Trial, name: str, arm: Arm) -> Row:
    """Train one arm and judge it: accuracy in percent of the test images."""
    start = time.process_time()
    network = arm(trial)
    seconds = time.process_time() - start
    macs, parameters = _size(trial, network)
    dense = trial.network()
    dense_macs, _ = _size(trial, dense)
    images = network_input(trial.data.test.images[np.arange(trial.settings.timed_batch)])
    return {
        "arm": name,
        "seed": trial.seed,
        "accuracy": 100 * evaluate(network, trial.data.test).accuracy,
        "macs": macs,
        "macs_ratio": macs / dense_macs,
        "parameters": parameters,
        "training_cpu_s": seconds,
        "time_ratio": time_ratio(network, dense, images, trial.settings.timed_rounds),
        "inner_widths": network.inner_widths,
    }


def _size(trial: Trial, network: ResNet) -> tuple[int, int]:
    return trial.macs(network.inner_widths), sum(p.numel() for p in network.parameters())


def claims(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The paper's claims. Points are of accuracy on the test images, seed by seed."""
    times, macs = (column_of(rows, CHEX, column) for column in ("time_ratio", "macs_ratio"))
    return [
        _gain(rows, UNIFORM, ABOVE_UNIFORM, "at least half a point above a uniform thin network"),
        _gain(rows, DENSE_L1, -BELOW_DENSE_L1, "at most 0.3 points below dense-then-L1"),
        _gain(rows, RANDOM, 0.0, "regrowing by projection is better than at random"),
        _gain(rows, L1, 0.0, "leverage scores are better than the L1 norm"),
        {
            "claim": "CHEX: with half of the channels gone, at most 0.6 of the dense time",
            "verdict": at_most(times, TIME_HALVED),
            "measured": {"time_ratio": sample(times), "macs_ratio": sample(macs)},
            "note": "PyTorch fp32 on one thread, BatchNorm folded, in turns with the dense network",
        },
    ]


def _gain(rows: Sequence[Row], control: str, least: float, words: str) -> dict[str, Any]:
    claim = comparison(f"CHEX: {words}", rows, (CHEX, control), "accuracy", least)
    macs = (sample(column_of(rows, arm, "macs_ratio")) for arm in (CHEX, control))
    return {**claim, "note": "macs {:.3f}, the control's {:.3f}".format(*(m["mean"] for m in macs))}
