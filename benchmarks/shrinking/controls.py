"""What the stages are measured against: the same work without what a stage claims to be good for.

| control | for |
|---|---|
| `EvenWidths` | all stages: even widths from scratch, without branches or in other steps |
| `DenseThenL1`, `ChexRandomRegrow`, `ChexWithoutBranches` | chex |
| `SparseTrained`, `ChaseRandomChannels`, `ChaseOnceAtTheEnd` | chase |
| `TracedFair`, `FairWithoutMaskTerm`, `FairWithoutWeightTerm`, `MagnitudePruning` | fair |
| `CondenseRandom`, `CondenseFrequent`, `CondenseShared` | condense |

A control of a stage is a subclass that replaces the one decision in question, so that the product
has no switch for it. The parts without a stage in them serve `benchmarks/reproduction/` as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import ClassVar

import torch
from torch import Tensor, nn

from sr.models import Network, build_network
from sr.shrink.bilevel import BiLevelScores
from sr.shrink.channels import ChannelLayer, cut_channels
from sr.shrink.chase import ChannelRemoval, Chase, rising
from sr.shrink.chex import Chex, Exploration, drawn
from sr.shrink.condense import Condensation, Condense, LayerRecord
from sr.shrink.fair import (
    Fair,
    fair_sampler,
    mask_plans,
    prune_masked,
    unpruned_trace,
)
from sr.shrink.fair_term import Fairness, FairTerm
from sr.shrink.sparse import SparseTraining
from sr.shrink.stage import (
    Stage,
    StageWork,
    attach,
    check_chain,
    rebuilt,
    traced,
    trunk_names,
    with_widths,
)
from sr.shrink.uniform import even_widths, uniform_widths
from sr.training.branches import overfit_with_branches
from sr.training.data import CropSampler
from sr.training.loop import Companion, Companions, TrainingPlan, overfit

SHARED_ONLY: tuple[int, ...] = ()  # keeps no routed expert (CD-MoE-S)


def settle(
    network: Network, work: StageWork, plan: TrainingPlan, name: str, channels: int
) -> Network:
    """Train `network` as `plan` says, with branches of `channels` (0: none); returns it folded."""
    saved = work.checkpoint(name)
    if channels == 0:
        overfit(network, work.sampler, plan, saved, work.on_step)
        return network
    return overfit_with_branches(
        network, work.sampler, plan, work.seed, saved, work.on_step, channels=channels
    )


@dataclass(frozen=True)
class EvenWidths(Stage):
    """Even widths from the start, in multiples of `step` channels, with branches of `channels`.

    `mixed`: layers may be one step wider than others, so that more of the budget is used.
    """

    step: int = 4
    channels: int = 0
    mixed: bool = True

    name = "even widths"
    shrinks = "channels of the trunk, all layers alike"

    def apply(self, network: Network, work: StageWork) -> Network:
        check_chain(network, self.name)
        find = uniform_widths if self.mixed else even_widths
        widths = find(network.arch, work.budget, self.step)
        thin = build_network(with_widths(network.arch, widths), work.seed)
        return settle(thin, work, work.plan, self.name, self.channels)


@dataclass(frozen=True)
class DenseThenL1(Stage):
    """Train dense for `dense_share` of the steps, keep the channels of the largest L1 norms in even
    widths, train on at those widths (Li et al., ICLR 2017)."""

    dense_share: float = 0.5
    step: int = 4
    channels: int = 0

    name = "dense then L1"
    shrinks = "channels of the trunk, once"

    def apply(self, network: Network, work: StageWork) -> Network:
        check_chain(network, self.name)
        before, after = work.plan.split(round(self.dense_share * work.plan.steps))
        overfit(network, work.sampler, before, work.checkpoint("dense"), work.on_step)
        widths = uniform_widths(network.arch, work.budget, self.step)
        kept = {
            n: _largest(network, n, w) for n, w in zip(trunk_names(network), widths, strict=True)
        }
        cut_channels(traced(network), kept)
        return settle(rebuilt(network), work, after, "settle", self.channels)


def _largest(network: Network, name: str, count: int) -> list[int]:
    weight = network.get_submodule(name).get_parameter("weight").detach()
    norms: torch.Tensor = weight.abs().sum(dim=(1, 2, 3))
    return norms.topk(count).indices.tolist()


def at_random(columns: Tensor, kept: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Channels to give back, all alike; as `by_projection` of sr/shrink/chex.py."""
    return drawn(torch.ones(columns.shape[1]), kept, count, rng)


class RandomRegrow(Exploration):
    """What is given back is drawn at random."""

    def regrow(self, columns: Tensor, kept: Tensor, count: int, rng: torch.Generator) -> Tensor:
        return at_random(columns, kept, count, rng)


class L1Exploration(Exploration):
    """What stays has the largest L1 norm of its weights (Li et al., ICLR 2017)."""

    def worth(self, layer: ChannelLayer, count: int) -> Tensor:
        return layer.weight.detach().flatten(1).abs().sum(dim=1) * layer.scale.detach().abs()


class ChexRandomRegrow(Chex):
    """CHEX, regrown at random."""

    exploration: ClassVar[type[Exploration]] = RandomRegrow


class ChexWithoutBranches(Chex):
    """CHEX, the cut network trained on as it is."""

    def settled(self, small: Network, work: StageWork, after: TrainingPlan) -> Network:
        saved, beside = work.checkpoint("chex-settle"), Companions(self.terms)
        overfit(small, work.sampler, after, saved, work.on_step, beside)
        return small


def drawn_mask(weight: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """`count` weights, all alike: the papers' start (exactly so many instead of Bernoulli's)."""
    mask = torch.zeros(weight.numel(), dtype=torch.bool)
    mask[torch.randperm(weight.numel(), generator=rng)[:count]] = True
    return mask.reshape(weight.shape)


class RandomRemoval(ChannelRemoval):
    """Random channels go."""

    def worth(self, layer: ChannelLayer, rng: torch.Generator) -> Tensor:
        return torch.rand(layer.channels, generator=rng)


class NonzeroMeanRemoval(ChannelRemoval):
    """The paper's ablation: how large the non-zeros are, no matter how few."""

    def worth(self, layer: ChannelLayer, rng: torch.Generator) -> Tensor:
        weight = layer.weight.detach()
        return weight.abs().sum(dim=(1, 2, 3)) / (weight != 0).sum(dim=(1, 2, 3)).clamp_min(1)


@dataclass(frozen=True)
class RankedRemover:
    """The paper's: `share` of all channels go, the lowest of all layers first.

    Each layer keeps C (1 - share) `least`; what may not go there goes elsewhere.
    """

    share: float = 0.5
    least: float = 0.5

    def __call__(
        self, scores: Sequence[Tensor], on: Sequence[Tensor], left: float, rng: torch.Generator
    ) -> list[Tensor]:
        masks = [mask.clone() for mask in on]
        floors = [max(1, ceil(len(m) * (1 - self.share) * self.least)) for m in masks]
        channels = sum(len(mask) for mask in masks)
        excess = sum(int(m.sum()) for m in masks) - round(channels * (1 - self.share * (1 - left)))
        owners = torch.cat([torch.full((len(m),), i) for i, m in enumerate(masks)])
        places = torch.cat([torch.arange(len(m)) for m in masks])
        for at in rising(torch.cat(list(scores)), rng):
            layer, channel = int(owners[at]), int(places[at])
            if excess > 0 and masks[layer][channel] and int(masks[layer].sum()) > floors[layer]:
                masks[layer][channel] = False
                excess -= 1
        return masks


class ChaseRandomChannels(Chase):
    """Chase, channels drawn at random."""

    removal: ClassVar[type[ChannelRemoval]] = RandomRemoval


class ChaseOnceAtTheEnd(Chase):
    """Chase, all channels removed at once, at the step `remove_until`."""

    def first_removal(self, steps: int, removing: int) -> int:
        return removing


@dataclass(frozen=True)
class SparseTrained(Chase):
    """As many non-zeros in a network that keeps all its channels."""

    name = "sparse"
    shrinks = "bytes of weights"

    def apply(self, network: Network, work: StageWork) -> Network:
        check_chain(network, self.name)
        attach(self.terms, network, ())
        training: SparseTraining = self.sparse_training(network, work)
        beside = Companions([*self.terms, training])
        saved = work.checkpoint(self.name)
        overfit(network, work.sampler, work.plan, saved, work.on_step, beside)
        return network


@dataclass(frozen=True)
class TracedFair(Fair):
    """The stage, with a trace that is there already and serves all arms; None: its own."""

    trace: Tensor | None = None

    def reference(self, network: Network, work: StageWork) -> Tensor:
        return super().reference(network, work) if self.trace is None else self.trace


class FairWithoutMaskTerm(TracedFair):
    """No fairness in the masks' loss."""

    def upper_term(self, trace: Tensor, begin: int) -> Companion:
        return Companion()


class FairWithoutWeightTerm(TracedFair):
    """No fairness on the weights."""

    def weight_term(self, trace: Tensor, begin: int, active: int) -> Companion:
        return Companion()


class Magnitudes(BiLevelScores):
    """A channel is worth the length of its weights (L1 pruning's kind); nothing is learned."""

    def __init__(self) -> None:
        super().__init__(_NoLoss())

    def of(self, layers: Sequence[ChannelLayer]) -> list[Tensor]:
        return [layer.importance() for layer in layers]

    def learn(self, thetas: Sequence[Sequence[Tensor]], step: int) -> None:
        """Nothing."""


class _NoLoss(Companion):
    """An upper level that nobody asks."""

    def __call__(self, network: nn.Module, step: int) -> Tensor:
        return torch.zeros(())


@dataclass(frozen=True)
class MagnitudePruning(Stage):
    """The control that knows no groups: the least channels by magnitude (Li et al., ICLR 2017).

    With `finetune` a fairness term comes on for the last `finetune_share` of the steps: prune, then
    fine-tune fairly.
    """

    finetune: Fairness | None = None
    finetune_share: float = 0.5
    mask_share: float = 0.3
    trace: Tensor | None = None

    name = "magnitude"
    shrinks = "channels of the trunk"

    def apply(self, network: Network, work: StageWork) -> Network:
        check_chain(network, self.name)
        before, after = mask_plans(work.plan, self.mask_share)
        settling: tuple[CropSampler, Companion] = (work.sampler, Companion())
        if self.finetune:
            trace = self.trace if self.trace is not None else unpruned_trace(network, work)
            active = round((1 - self.finetune_share) * work.plan.steps)
            term = FairTerm(trace, self.finetune, before.steps, active)
            settling = (fair_sampler(work), term)
        masking = (work.sampler, Companion())
        return prune_masked(network, work, (before, after), Magnitudes(), masking, settling)


def random_experts(experts: int, keep: int, seed: int) -> tuple[int, ...]:
    """Control: `keep` different experts of `experts`, drawn with a seed."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randperm(experts, generator=generator)[:keep].tolist())


def frequent_experts(counts: Tensor, keep: int) -> tuple[int, ...]:
    """Control: the `keep` experts that most places selected, by `GateStatistics.counts` [E]."""
    return tuple(torch.argsort(counts, descending=True, stable=True)[:keep].tolist())


def random_layers(layers: Sequence[int], seed: int) -> tuple[int, ...]:
    """Control: the layers in an order drawn with a seed."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(layers[i] for i in torch.randperm(len(layers), generator=generator).tolist())


class RandomCondensation(Condensation):
    """Keeps random experts."""

    def choose(self, record: LayerRecord, seed: int) -> tuple[int, ...]:
        return random_experts(len(record.counts), self._plan.keep, seed)


class FrequentCondensation(Condensation):
    """Keeps the experts that most crops chose."""

    def choose(self, record: LayerRecord, seed: int) -> tuple[int, ...]:
        return frequent_experts(record.counts, self._plan.keep)


class SharedCondensation(Condensation):
    """Keeps the shared convolution alone."""

    def choose(self, record: LayerRecord, seed: int) -> tuple[int, ...]:
        return SHARED_ONLY


class CondenseRandom(Condense):
    """The stage, random experts kept instead of those by divergence."""

    condensation: ClassVar[type[Condensation]] = RandomCondensation


class CondenseFrequent(Condense):
    """The stage, the most frequent experts kept."""

    condensation: ClassVar[type[Condensation]] = FrequentCondensation


class CondenseShared(Condense):
    """The stage, no routed expert kept (CD-MoE-S)."""

    condensation: ClassVar[type[Condensation]] = SharedCondensation


CONDENSE_CONTROLS: dict[str, Stage] = {
    "dense": EvenWidths(step=16),  # the same widths from scratch, the same steps
    "random experts": CondenseRandom(),
    "frequent experts": CondenseFrequent(),
    "shared only": CondenseShared(),
}
