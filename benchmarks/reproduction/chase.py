"""Chase (Yin et al., "Dynamic sparsity is channel-level sparsity learner", NeurIPS 2023), small.

A ResNet on a subset of CIFAR-10, every arm with the same steps and the same number of non-zeros:

    sparse       dynamic sparse training, all channels stay (Chase with Sc = 0)
    chase S      the share S of the inner channels goes while it trains, lowest UMM first
    random       the same schedule, random channels
    one-shot     lowest UMM, but all at once when the exploration ends
    mask-wise    the paper's ablation: mean over the non-zeros instead of over the whole filter

and `dense`, which is not sparse at all. Channels go inside the blocks only, as in the paper.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.reproduction import ReproduceOptions
from benchmarks.reproduction.classify import (
    BatchSampler,
    ClassifyPlan,
    evaluate,
    train_classifier,
)
from benchmarks.reproduction.datasets import TrainAndTest
from benchmarks.reproduction.datasets_cifar import load_cifar10_npz
from benchmarks.reproduction.pruning import time_ratio
from benchmarks.reproduction.resnet import ResNet, count_macs
from benchmarks.reproduction.rows import Row, RowStore
from benchmarks.shrinking.controls import (
    NonzeroMeanRemoval,
    RandomRemoval,
    RankedRemover,
    drawn_mask,
)
from benchmarks.verdict import at_least, at_most, column_of, comparison, sample
from sr.shrink.channels import Traced, channel_layers, couplings, cut_channels
from sr.shrink.chase import ChannelRemoval, RemovalPlan
from sr.shrink.sparse import SparsePlan, SparseTraining, SparseWeights

SHAPE = (3, 32, 32)
VERSION = 1  # of what a row means: rows of another are made anew
EXTRA_SHARE = 0.05  # the soft memory bound
AMENABLE = 0.5  # a channel is sparse-amenable below this share of its layer's mean density
HISTOGRAM_ENDS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
LATENCY_BATCH, LATENCY_ROUNDS = 64, 31
POINT = 0.01
LATENCY_LIMIT = 0.75
LEAST_AMENABLE = 0.05  # of the channels


@dataclass(frozen=True)
class Settings:
    """The task and the schedule, the same for all arms; shares are of the steps.

    `least`: the floor of a layer (the paper's beta for ResNet-50 on CIFAR).
    """

    steps: int = 1000
    batch: int = 64
    depth: int = 14
    width: int = 16
    stem_stride: int = 2
    density: float = 0.2
    interval: int = 20
    averaged: int = 4
    explore_share: float = 0.8
    settle_share: float = 0.9
    least: float = 0.5


QUICK = Settings(steps=60, interval=6, averaged=2)


@dataclass(frozen=True)
class Arm:
    """Which share of channels goes, by what, and between which shares of the steps.

    The paper removes until 0.8 of 160 epochs; here there are under 10 to recover in.
    """

    removed: float = 0.0
    removal: type[ChannelRemoval] = ChannelRemoval
    first: float = 0.0
    last: float = 0.5


DENSE, SPARSE, CHASE, MILDER = "dense", "sparse", "chase 0.5", "chase 0.3"
RANDOM, ONE_SHOT, MASK_WISE = "random 0.5", "one-shot 0.5", "mask-wise 0.5"
SPARSE_ARMS: Mapping[str, Arm] = {
    SPARSE: Arm(),
    CHASE: Arm(0.5),
    MILDER: Arm(0.3),
    RANDOM: Arm(0.5, RandomRemoval),
    ONE_SHOT: Arm(0.5, first=0.8, last=0.8),
    MASK_WISE: Arm(0.5, NonzeroMeanRemoval),
}


@dataclass(frozen=True)
class Hooks:
    """The part of a companion that a classifier's training calls; it has no other loss."""

    removal: ChannelRemoval

    def after_backward(self, step: int) -> None:
        self.removal.after_backward(step)

    def after_step(self, step: int) -> None:
        self.removal.after_step(step)


def run(options: ReproduceOptions) -> dict[str, Any]:
    """All arms over all seeds. Raises InputError where the subset cannot be read."""
    settings = QUICK if options.quick else Settings()
    data = load_cifar10_npz(options.sets / "cifar10_subset.npz")
    store = RowStore(options.work)
    rows = [
        store.row(_key(settings, name, seed), partial(_row, settings, name, seed, data))
        for seed in options.seeds
        for name in (DENSE, *SPARSE_ARMS)
    ]
    return {
        "settings": asdict(settings) | {"histogram_ends": HISTOGRAM_ENDS},
        "table_by": ["arm"],
        "rows": rows,
        "claims": claims(rows),
    }


def _key(settings: Settings, name: str, seed: int) -> dict[str, Any]:
    arm = SPARSE_ARMS.get(name, Arm())
    schedule = {"removed": arm.removed, "first": arm.first, "last": arm.last}
    return {"version": VERSION, "arm": name, "seed": seed, **schedule, **asdict(settings)}


def _row(settings: Settings, name: str, seed: int, data: TrainAndTest) -> dict[str, Any]:
    network = _network(settings, seed)
    removal = _removal(network, settings, SPARSE_ARMS[name], seed) if name != DENSE else None
    train_classifier(
        network,
        BatchSampler(data.train, seed, settings.batch),
        ClassifyPlan(settings.steps),
        Hooks(removal) if removal else None,
    )
    found = _amenable(removal) if removal else {}
    if removal:
        cut_channels(_traced(network), removal.kept())
    return {
        "arm": name,
        "seed": seed,
        "accuracy": evaluate(network, data.test).accuracy,
        "inner_widths": network.inner_widths,
        "non_zeros": sum(int((w != 0).sum()) for w in _block_weights(network)),
        "macs_ratio": count_macs(network, SHAPE) / count_macs(_network(settings, seed), SHAPE),
        "latency_ratio": _latency_ratio(network, _network(settings, seed)),
        **found,
    }


def _network(settings: Settings, seed: int) -> ResNet:
    return ResNet(settings.depth, settings.width, stem_stride=settings.stem_stride, seed=seed)


def _traced(network: ResNet) -> Traced:
    example = torch.zeros(1, *SHAPE)
    return Traced(network, example, lambda model, x: model(x), network.prunable)


def _block_weights(network: ResNet) -> list[nn.Parameter]:
    """What is sparse: all convolutions but the stem."""
    modules = network.blocks.modules()
    return [m.get_parameter("weight") for m in modules if isinstance(m, nn.Conv2d)]


def _removal(network: ResNet, settings: Settings, arm: Arm, seed: int) -> ChannelRemoval:
    weights = _block_weights(network)
    size = sum(weight.numel() for weight in weights)
    nonzeros, extra = round(settings.density * size), round(EXTRA_SHARE * size)
    plan = SparsePlan(
        settings.steps,
        nonzeros,
        extra,
        settings.interval,
        settings.averaged,
        settings.explore_share,
        settings.settle_share,
    )
    removal = RemovalPlan(
        round(arm.first * settings.steps),
        round(arm.last * settings.steps),
        settings.interval,
        RankedRemover(arm.removed, settings.least),
        seed,
    )
    training = SparseTraining(SparseWeights.start(weights, nonzeros, seed, drawn_mask), plan)
    return arm.removal(channel_layers(network, couplings(_traced(network))), training, removal)


def _amenable(removal: ChannelRemoval) -> dict[str, Any]:
    """How uneven the density of the channels that are left is, within their layers."""
    pairs = zip(removal.layers, removal.on, strict=True)
    ratios = torch.cat([_density_ratios(layer.weight, on) for layer, on in pairs])
    ends = torch.tensor(HISTOGRAM_ENDS)
    counts = torch.bincount(torch.bucketize(ratios, ends), minlength=len(ends) + 1)
    return {
        "amenable_share": float((ratios < AMENABLE).float().mean()),
        "density_histogram": (counts / len(ratios)).tolist(),
    }


def _density_ratios(weight: Tensor, on: Tensor) -> Tensor:
    """[C]: each live channel's density over the mean density of its layer's."""
    densities = (weight.detach()[on] != 0).float().mean(dim=(1, 2, 3))
    return densities / densities.mean()


def _latency_ratio(network: ResNet, full: ResNet) -> float:
    """The time of the network over that of the unpruned one, BatchNorm folded in both."""
    x = torch.zeros(LATENCY_BATCH, *SHAPE).contiguous(memory_format=torch.channels_last)
    return time_ratio(network, full, x, LATENCY_ROUNDS)


WITHIN_A_POINT = "within 1 point of sparse training without removal"


def claims(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What the paper says, seed by seed."""
    latency, macs = (column_of(rows, CHASE, column) for column in ("latency_ratio", "macs_ratio"))
    amenable = column_of(rows, SPARSE, "amenable_share")

    def better(words: str, control: str, least: float = 0.0) -> dict[str, Any]:
        return comparison(words, rows, (CHASE, control), "accuracy", least)

    return [
        better(f"half of the channels gone: {WITHIN_A_POINT}", SPARSE, -POINT),
        better("UMM removes better channels than chance", RANDOM),
        better("removal while training is better than once at the end", ONE_SHOT),
        better("UMM is better than the mean of the non-zeros alone", MASK_WISE),
        {
            "claim": "the cut network takes less than 0.75 of the full one's time",
            "verdict": at_most(latency, LATENCY_LIMIT),
            "measured": {"latency_ratio": sample(latency), "macs_ratio": sample(macs)},
        },
        {
            "claim": "sparse training leaves some channels under half of their layer's density",
            "verdict": at_least(amenable, LEAST_AMENABLE),
            "measured": {"share": sample(amenable)},
            "note": "the paper: up to 0.6 of the channels, of larger networks trained for longer",
        },
    ]
