"""A network that ships, adapted to a film: its integers, and changes of them that are learned.

    shipped integers + changes, rounded --> convolutions of codes --> squared error --.
                           '--> bits -------------------------- x rate weight ---------+--> Adam

What changes is what a film pays few bytes for: of each output the multiplier and the bias, as in
FiLM (Perez et al., AAAI 2018) and CAFM (Liu et al., "Overfitting the Data", ICCV 2021), and those
weights whose change lowers the error by more than its bits would elsewhere. Rounding is the
identity going backward, as in fake.py. All changes are parameters of one Adam, which moves all
alike: each is held in parts of a pace.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from player.package.architecture import Tensors
from player.package.coded_changes import change_precision
from player.package.integers import (
    GRID_PLACES,
    MANTISSA_BITS,
    MAX_WEIGHT,
    SUM_LIMIT,
    bias_units,
    grid_places,
    largest_sums,
    multipliers_at,
)
from player.package.paths import EASY, HARD
from player.package.weights import WeightsBlob
from sr.models import build_network
from sr.models.network import PIXEL_MAX, Network
from sr.quant.fake import round_activations, rounded
from sr.quant.quantise import DETAIL_STEP, source_of
from sr.quant.rate import coded_bits, flat_bits
from sr.training.data import Batch, CropSampler
from sr.training.loop import Companion, OnStep, PixelErrors, TrainingPlan, overfit

# At its peak Adam moves a change by so much a step: biases by units, multipliers by places of the
# grid, weights by times of WEIGHT_STEPS.
BIAS_PACE, PLACE_PACE, WEIGHT_PACE = 1.6, 0.8, 0.1
WEIGHT_STEPS = 8  # of the network that ships: so finely need no changes be said
EASY_SHARE = 0.15  # of the easy path's error: its exit is one more to pay for
RETOUCHED = 0.3  # of that, for a network that was adapted already
ADAPTING_SEED = 505  # added: crops that no other training draws


class AdaptedConvolution(nn.Module):
    """A last convolution: codes [N, I, H, W] -> residuals in unit range."""

    weight: Tensor
    bias: Tensor
    multiplier: Tensor

    def __init__(self, name: str, base: Tensors, scalars: bool = False) -> None:
        super().__init__()
        for kind in ("weight", "bias", "multiplier"):
            # Not in checkpoints: they ship.
            value = torch.from_numpy(base[f"{name}.{kind}"].astype(np.float32))
            self.register_buffer(kind, value, persistent=False)
        self._precision = change_precision(name)
        self._places = np.array(grid_places(name, base[f"{name}.multiplier"]))
        weight = nn.Parameter(torch.zeros_like(self.weight), requires_grad=not scalars)
        self.paced_weight = weight
        self.paced_bias = nn.Parameter(torch.zeros_like(self.bias))
        self.paced_place = nn.Parameter(torch.zeros_like(self.multiplier))

    def changes(self) -> dict[str, Tensor]:
        """Not rounded: of weights [O, I, k, k] in times of WEIGHT_STEPS, biases [O] in units,
        multipliers [O] in places of the grid."""
        weight = self.paced_weight * WEIGHT_PACE
        least, most = (self.weight.sub(end).div(-WEIGHT_STEPS) for end in (-MAX_WEIGHT, MAX_WEIGHT))
        places = torch.from_numpy(self._places)
        return {
            "weight": torch.minimum(torch.maximum(weight, least.ceil()), most.floor()),
            "bias": self.paced_bias * BIAS_PACE,
            "place": (self.paced_place * PLACE_PACE).clamp(-places, GRID_PLACES - 1 - places),
        }

    def forward(self, x: Tensor) -> Tensor:
        return self.codes(x) * (DETAIL_STEP / PIXEL_MAX)

    def codes(self, x: Tensor) -> Tensor:
        """Codes [N, I, H, W] -> the output in its own steps, not rounded."""
        with torch.autocast("cpu", enabled=False):
            changes = self.changes()
            # The value is on the grid, the gradient that of an octave's even steps.
            wanted = self.multiplier * torch.exp2(changes["place"] / (1 << MANTISSA_BITS))
            exact = self._multiplier(changes)
            multiplier = wanted * (torch.from_numpy(exact) / wanted.detach())
            units = torch.from_numpy(bias_units(exact, self._precision))
            moved = self.weight + WEIGHT_STEPS * rounded(changes["weight"])
            kernel = moved * multiplier.reshape(-1, 1, 1, 1)
            bias = (self.bias + rounded(changes["bias"]) * units) * multiplier
        return F.conv2d(x, kernel, bias)

    def _multiplier(self, changes: Mapping[str, Tensor]) -> NDArray[np.float32]:
        moved = changes["place"].detach().round().numpy().astype(int)
        return multipliers_at((self._places + moved).tolist())

    def integers(self) -> dict[str, NDArray[Any]]:
        """Weight, bias and multiplier as they are packed."""
        with torch.no_grad():
            changes = self.changes()
        multiplier = self._multiplier(changes)
        moved = {kind: c.round().numpy().astype(np.int64) for kind, c in changes.items()}
        weight = self.weight.numpy().astype(np.int64) + WEIGHT_STEPS * moved["weight"]
        before = self.bias.numpy().astype(np.int64)
        bias = before + moved["bias"] * bias_units(multiplier, self._precision)
        # An output whose sums would reach 2^24 keeps what it had.
        beyond = largest_sums(weight, bias) >= SUM_LIMIT
        weight[beyond], bias[beyond] = self.weight.numpy()[beyond], before[beyond]
        return {
            "weight": weight.astype(np.int8),
            "bias": bias.astype(np.int32),
            "multiplier": multiplier,
        }

    def start_from(self, name: str, tensors: Tensors) -> None:
        """Go on from the integers of a network that was adapted before."""
        multiplier = tensors[f"{name}.multiplier"]
        units = bias_units(multiplier, self._precision)
        weight = (tensors[f"{name}.weight"] - self.weight.numpy()) / WEIGHT_STEPS
        bias = (tensors[f"{name}.bias"] - self.bias.numpy()) / units
        place = np.array(grid_places(name, multiplier)) - self._places
        with torch.no_grad():
            self.paced_weight.copy_(torch.from_numpy(weight / WEIGHT_PACE))
            self.paced_bias.copy_(torch.from_numpy(bias / BIAS_PACE))
            self.paced_place.copy_(torch.from_numpy(place / PLACE_PACE))


class AdaptedHidden(AdaptedConvolution):
    """Its output is codes."""

    def forward(self, x: Tensor) -> Tensor:
        return round_activations(self.codes(x))


class AdaptedFirst(AdaptedHidden):
    """The convolution that reads pixels, in unit range."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * PIXEL_MAX)


def adaptable_network(
    base: WeightsBlob, start: Tensors | None = None, scalars: bool = False
) -> Network:
    """The network of an int8 blob whose changes are its parameters; at first there are none, or
    those that make the integers `start` of it. `scalars`: multipliers and biases alone change."""
    network = build_network(base.arch)
    for name, module in [*network.named_modules()]:
        if not isinstance(module, nn.Conv2d):
            continue
        hidden = AdaptedHidden if source_of(base.arch, name) else AdaptedFirst
        kind = hidden if name.startswith("trunk.") else AdaptedConvolution
        layer = kind(name, base.tensors, scalars)
        if start is not None:
            layer.start_from(name, start)
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, layer)
    return network


def adapted_convolutions(network: Network) -> Iterator[tuple[str, AdaptedConvolution]]:
    """Those of `adaptable_network`, by name."""
    for name, module in network.named_modules():
        if isinstance(module, AdaptedConvolution):
            yield name, module


class ChangeTerm(Companion):
    """The bits of all changes, at `rate_weight` of loss for each."""

    def __init__(self, network: Network, rate_weight: float) -> None:
        self._layers = [layer for _, layer in adapted_convolutions(network)]
        self.rate_weight = rate_weight

    def extra_loss(self, batch: Batch, errors: PixelErrors, step: int) -> Tensor | None:
        bits = []
        for layer in self._layers:
            changes = layer.changes()
            bits.append(coded_bits(changes["weight"]))
            bits += [flat_bits(changes[kind]) for kind in ("bias", "place")]
        return self.rate_weight * torch.stack(bits).sum()


def adapting_plan(steps: int, again: bool = False) -> TrainingPlan:
    """The training of changes that gets so many steps; `again`: of some that are there."""
    rate = RETOUCHED if again else 1.0
    return TrainingPlan(
        steps, muon_rate=None, adam_rate=rate, path_weights={EASY: EASY_SHARE, HARD: 1.0}
    )


def adapt(
    base: WeightsBlob,
    sampler: CropSampler,
    plan: TrainingPlan,
    rate_weight: float = 0.0,
    start: Tensors | None = None,
    checkpoint: Path | None = None,
    on_step: OnStep | None = None,
    scalars: bool = False,
) -> dict[str, NDArray[Any]]:
    """The integers of an int8 network after its changes were trained as `plan` says.

    `rate_weight`: what a bit of them costs, as squared error of the sampler's crops. With
    `checkpoint`, goes on from it, as `overfit` does. `scalars`: weights stay as they are.
    """
    network = adaptable_network(base, start, scalars)
    own = replace(sampler, seed=sampler.seed + ADAPTING_SEED)
    companion = ChangeTerm(network, rate_weight) if rate_weight > 0 else None
    overfit(network, own, plan, checkpoint, on_step, companion)
    layers = {name: layer.integers() for name, layer in adapted_convolutions(network)}
    return {f"{n}.{kind}": value for n, layer in layers.items() for kind, value in layer.items()}
