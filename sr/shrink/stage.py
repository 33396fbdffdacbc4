"""A stage: one way to make a network smaller while it is overfitted.

    Network ──stage.apply(network, work)──► a smaller Network, ready to be quantised and deployed

A stage ends in fewer channels, or in exact zeros that the weights blob leaves out; never in a mask
that costs the phone as much as before. Its controls are stages too, so that every claim is a row
with the same work beside it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from player.package.architecture import INT8_ARCHITECTURES, Architecture
from sr.models import Network, build_network
from sr.shrink.budget import Budget, Widths, allocate
from sr.shrink.channels import (
    ChannelLayer,
    Traced,
    add_scales,
    channel_layers,
    couplings,
    cut_channels,
    fold_scales,
)
from sr.training.data import CropSampler
from sr.training.loop import Companion, OnStep, TrainingPlan

WidthsFor = Callable[[Sequence[Tensor], float], Sequence[int]]  # importances, share left -> widths


class StageError(ValueError):
    """A stage that cannot work on what it was given: what, where, what to do, in one line."""

    exit_code = 2


@dataclass(frozen=True)
class StageWork:
    """What a stage learns from, how long, and what its network may cost.

    `plan`: all of the stage's training. `groups` [T, gh, gw]: the content group of each of the
    sampler's patches, -1 for none. `folder`: where its checkpoints go; None keeps none.
    """

    sampler: CropSampler
    plan: TrainingPlan
    budget: Budget
    groups: NDArray[np.int64] | None = None
    folder: Path | None = None
    on_step: OnStep | None = None
    seed: int = 0

    def checkpoint(self, name: str) -> Path | None:
        """The file of a part of the stage."""
        return self.folder / f"{name}.ckpt" if self.folder else None


class Term(Companion):
    """What another stage may be given beside its own work: a term of the loss, a say in which
    channels stay. A term belongs to one `apply`: it remembers what it saw."""

    def attach(self, network: torch.nn.Module, layers: Sequence[ChannelLayer]) -> None:
        """The stage is about to train `network` and to choose among the channels of `layers`;
        without any, the choice is over."""

    def importance(self, layer: ChannelLayer) -> Tensor | None:
        """[C]: a factor for each channel's importance; None leaves it as it is."""
        return None


def attach(terms: Sequence[Term], network: torch.nn.Module, layers: Sequence[ChannelLayer]) -> None:
    """Attach all of the terms."""
    for term in terms:
        term.attach(network, layers)


def with_terms(worth: Tensor, terms: Sequence[Term], layer: ChannelLayer) -> Tensor:
    """What the channels of a layer are worth [C], times what the terms make of each."""
    found = [term.importance(layer) for term in terms]
    return torch.stack([worth, *(factor for factor in found if factor is not None)]).prod(dim=0)


class Stage(ABC):
    """`name` on the command line; `shrinks`: what becomes smaller, in words for the report."""

    name: str
    shrinks: str

    @abstractmethod
    def apply(self, network: Network, work: StageWork) -> Network:
        """Train `network` (unit range; may be changed) and return the smaller one.

        Raises StageError, and BudgetError where no network of the family meets the budget.
        """


def check_chain(network: Network, stage: str) -> None:
    """Raises StageError where the trunk's widths are not free."""
    if network.arch.name not in INT8_ARCHITECTURES:
        raise StageError(
            f"--stages {stage}: {network.arch.name} has one width for all its blocks; use "
            f"--backbone {' or '.join(INT8_ARCHITECTURES)}"
        )


def steps_in_intervals(stage: str, steps: int, share: float, interval: int) -> int:
    """`share` of the steps, as whole intervals. Raises StageError where there is room for none."""
    intervals = round(share * steps) // interval
    if intervals < 1:
        raise StageError(
            f"--stages {stage}: {steps} steps leave no room for an update every "
            f"{interval}: raise --steps to {round(interval / share)}"
        )
    return intervals * interval


def trunk_names(network: Network) -> tuple[str, ...]:
    """The convolutions whose outputs may go."""
    return tuple(f"trunk.{i}" for i in range(len(network.arch.widths)))


def traced(network: Network) -> Traced:
    """The network as the dependency graph takes it: every path's residual."""
    side = 2 * network.halo_px(network.arch.paths[-1]) + 8 * network.arch.units
    example = torch.zeros(1, 3, side, side)

    def residuals(model: torch.nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
        assert isinstance(model, Network)
        return list(model.residuals(x).values())

    return Traced(network, example, residuals, trunk_names(network))


def with_widths(arch: Architecture, widths: tuple[int, ...]) -> Architecture:
    """The same family, scale and exits."""
    return Architecture(arch.name, arch.scale, widths, arch.exits, arch.units)


def cost_of_widths(full: Architecture, budget: Budget) -> Callable[[Widths], float]:
    """What the budget counts, of the networks of this family with other widths."""
    return lambda widths: budget.cost(with_widths(full, widths))


def budget_widths(network: Network, budget: Budget) -> WidthsFor:
    """Widths from channels' importances, within the budget loosened by a share."""
    full = network.arch
    cost = cost_of_widths(full, budget)

    def widths(importance: Sequence[Tensor], share: float) -> Widths:
        listed = [layer.tolist() for layer in importance]
        return allocate(listed, cost, budget.loosened(share, full), budget.rule)

    return widths


def open_channels(network: Network) -> tuple[Traced, list[ChannelLayer]]:
    """Factors for the trunk's channels, in place; the graph to cut by, and the channels."""
    graph = traced(network)
    coupled = couplings(graph)  # before factors hide the convolutions from the graph
    add_scales(network, trunk_names(network))
    return graph, channel_layers(network, coupled)


def cut_network(network: Network, graph: Traced, kept: Mapping[str, Iterable[int]]) -> Network:
    """Factors folded, the trunk cut to the channels `kept`; the network is used up."""
    fold_scales(network)
    cut_channels(graph, kept)
    return rebuilt(network)


def rebuilt(network: Network) -> Network:
    """A network whose architecture says the widths that its convolutions have by now."""
    widths = tuple(len(network.get_submodule(n).weight) for n in trunk_names(network))  # type: ignore[arg-type]
    new = build_network(with_widths(network.arch, widths))
    new.load_state_dict(network.state_dict())
    return new
