"""What the arms of a pruning experiment on the ResNet share: training in two parts, cuts, times.

part 1 of the steps ── cut ──► rebuilt from its inner widths ── part 2 of the same schedule
"""

import copy
import statistics
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from benchmarks.harness import interleave
from benchmarks.reproduction.classify import BatchSampler, ClassifyPlan, LabelledBatch
from benchmarks.reproduction.resnet import Block, ResNet
from sr.shrink.channels import ChannelLayer, Traced, channel_layers, couplings, cut_channels
from sr.training.loop import Companion

Widths = tuple[int, ...]
WARM_UP_RUNS = 3
UNIFORM_STEPS = 128  # how finely the one share of uniform widths is searched


@dataclass(frozen=True)
class PlanPart(ClassifyPlan):
    """`steps` out of `whole`, after `begin` of them: the rates go on where the part before ended.

    The momentum does not: each part starts with an optimiser of its own.
    """

    begin: int = 0
    whole: int = 0

    def rate_at(self, step: int) -> float:
        whole = ClassifyPlan(
            self.whole, self.rate, self.momentum, self.weight_decay, self.warm_up_steps
        )
        return whole.rate_at(self.begin + step)


def split(plan: ClassifyPlan, at: int) -> tuple[PlanPart, PlanPart]:
    """The first `at` steps of a plan, and the others."""
    settings = asdict(plan)
    del settings["steps"]
    return (
        PlanPart(at, **settings, begin=0, whole=plan.steps),
        PlanPart(plan.steps - at, **settings, begin=at, whole=plan.steps),
    )


@dataclass(frozen=True)
class LaterSampler(BatchSampler):
    """The batches after the first `begin`."""

    begin: int = 0

    def draw(self, step: int) -> LabelledBatch:
        return super().draw(self.begin + step)


class Beside:
    """A companion of sr/training, beside a classifier: its hooks but for the loss, which is over
    crops there."""

    def __init__(self, companion: Companion) -> None:
        self._companion = companion

    def after_backward(self, step: int) -> None:
        self._companion.after_backward(step)

    def after_step(self, step: int) -> None:
        self._companion.after_step(step)


def traced(network: ResNet, side_px: int) -> Traced:
    """The network as the dependency graph takes it; leaves it in evaluation mode, so that the
    example does not count in the statistics of its BatchNorms."""
    example = torch.zeros(1, network.conv.in_channels, side_px, side_px)
    return Traced(network.eval(), example, _call, network.prunable)


def _call(network: nn.Module, images: Tensor) -> Tensor:
    logits: Tensor = network(images)
    return logits


def layers_of(network: ResNet, side_px: int) -> list[ChannelLayer]:
    """The channels that may go, with BatchNorm's gamma as their factors."""
    return channel_layers(network, couplings(traced(network, side_px)))


def cut(
    network: ResNet,
    kept: Mapping[str, Iterable[int]],
    side_px: int,
    build: Callable[[Widths], ResNet],
) -> ResNet:
    """What `build` makes of the widths left, with the kept channels' parameters.

    `network` itself is cut on the way.
    """
    cut_channels(traced(network, side_px), kept)
    rebuilt = build(network.inner_widths)
    rebuilt.load_state_dict(network.state_dict())
    return rebuilt


def longest_channels(network: ResNet, widths: Widths) -> dict[str, list[int]]:
    """Each layer's channels of the largest L1 norm (Li et al., ICLR 2017), in rising order."""
    kept = {}
    for name, width in zip(network.prunable, widths, strict=True):
        weight = network.get_parameter(f"{name}.weight").detach()
        kept[name] = sorted(weight.flatten(1).abs().sum(1).topk(width).indices.tolist())
    return kept


def uniform_widths(full: Widths, macs: int, macs_of: Callable[[Widths], int]) -> Widths:
    """The least widths of one share of the full ones, rounded, that cost `macs` or more."""

    def widths(n: int) -> Widths:
        return tuple(max(1, round(width * n / UNIFORM_STEPS)) for width in full)

    shares = range(1, UNIFORM_STEPS)
    return widths(1 + bisect_left(shares, macs, key=lambda n: macs_of(widths(n))))


class Metered:
    """A network on the same images again and again; keeps the processor seconds of each run.

    On one thread they are the time it takes, but for the turns that other programs have: on a
    shared machine those come in slices as long as a run, and made of 0.65 anything from 0.3 to 0.9.
    """

    def __init__(self, network: nn.Module, images: Tensor) -> None:
        self._network, self._images = network, images
        self.samples_s: list[float] = []

    def __call__(self) -> None:
        start = time.process_time()
        self._network(self._images)
        self.samples_s.append(time.process_time() - start)


def time_ratio(network: ResNet, dense: ResNet, images: Tensor, rounds: int) -> float:
    """The median time of a network over that of the dense one, BatchNorm folded, in turns."""
    ours, theirs = (Metered(folded(each), images) for each in (network, dense))
    with torch.inference_mode():
        interleave({"cut": ours, "dense": theirs}, rounds, WARM_UP_RUNS)
    medians = [statistics.median(m.samples_s[WARM_UP_RUNS:]) for m in (ours, theirs)]
    return medians[0] / medians[1]


def folded(network: ResNet) -> ResNet:
    """A copy for inference: every BatchNorm folded into the convolution before it."""
    network = copy.deepcopy(network).eval()
    _fold(network, "conv", "bn")
    for block in network.blocks:
        assert isinstance(block, Block)
        _fold(block, "conv1", "bn1")
        _fold(block, "conv2", "bn2")
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _fold(module: nn.Module, convolution: str, norm: str) -> None:
    plain, scaled = module.get_submodule(convolution), module.get_submodule(norm)
    assert isinstance(plain, nn.Conv2d) and isinstance(scaled, nn.BatchNorm2d)
    module.set_submodule(convolution, fuse_conv_bn_eval(plain, scaled))
    module.set_submodule(norm, nn.Identity())
