"""A network that trains as the integers that it will be: rounded going forward, smooth going back.

    weight -> / step, rounded, -127..127, x multiplier \\
    codes 0..255 -------------------------------------- conv -> + bias -> rounded, 0..255 -> codes

Hidden values are the codes themselves, so that bf16 holds them exactly and the fine-tuning runs as
fast as the overfitting. Multipliers lie on the grid of coded blobs and biases are whole units, as
they will be packed. Rounding has no useful gradient, so it is taken for the identity
(straight-through; Bengio et al., 2013), cut to zero where a value is clamped. The step of each
trunk convolution's output is learned with the weights, as a logarithm (LSQ, Esser et al., ICLR
2020, section 2.1: the gradient of a step is what a step more would change); that of the weights
where they are trained for few bits (rate.py).
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from player.package.integers import (
    MAX_ACTIVATION,
    MAX_WEIGHT,
    MULTIPLIER_LIMIT,
    bias_units,
    grid_multiplier,
)
from sr.models.network import PIXEL_MAX, Network
from sr.quant.quantise import (
    DETAIL_PRECISION,
    DETAIL_STEP,
    HIDDEN_PRECISION,
    SMALLEST_STEP,
    USED_WEIGHT,
    integer_layer,
    source_of,
)

_FIRST_RMS = 8.0  # of learned weights, in steps: those too coarse at the start leave only zeros
_PACE = 10.0  # a weight step's logarithm, against the rate at which Adam moves what it is given


class _RoundActivations(torch.autograd.Function):
    """x -> round(clamp(x, 0, 255))."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(0, MAX_ACTIVATION).round_()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,), (x,) = gradients, ctx.saved_tensors
        # Up to 255.5 a value only rounds, to 255; beyond, and at the ReLU's zero, it is clamped.
        return torch.ops.aten.hardtanh_backward(gradient, x, 0.0, MAX_ACTIVATION + 0.5)


def round_activations(x: Tensor) -> Tensor:
    """Codes of any shape, rounded and clamped to 0..255; the gradient passes where they are not
    clamped."""
    codes: Tensor = _RoundActivations.apply(x)
    return codes


def rounded(x: Tensor) -> Tensor:
    """Whole numbers going forward, the identity going back."""
    return x + (x.detach().round() - x.detach())


class LargestSteps(nn.Module):
    """Weight steps [O, 1, 1, 1] that follow from the largest weight of each output."""

    def forward(self, weight: Tensor) -> Tensor:
        most = weight.detach().abs().amax(dim=(1, 2, 3), keepdim=True)
        return (most / USED_WEIGHT).clamp_min(SMALLEST_STEP)


class LearnedStep(nn.Module):
    """One weight step [1, 1, 1, 1] for a convolution, learned as a logarithm."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        sizes = weight.detach().abs()
        step = sizes.square().mean().sqrt() / _FIRST_RMS
        # Weights that were whole in some step keep it; no others are all of a size.
        if (sizes > 0).any():
            step = step.maximum(sizes[sizes > 0].min())
        # As a logarithm it stays positive; in parts of _PACE, because Adam moves all alike.
        log = step.clamp_min(SMALLEST_STEP).log() / _PACE
        self.paced_log = nn.Parameter(log.reshape(1, 1, 1, 1))

    def forward(self, weight: Tensor) -> Tensor:
        return (self.paced_log * _PACE).exp()


class RoundedConvolution(nn.Module):
    """A convolution of codes on another's parameters; a network's last one.

    `reads`: the step of its input, in unit range; `weight_step`: weight -> its steps, which
    broadcast over it.
    """

    precision = DETAIL_PRECISION

    def __init__(
        self, plain: nn.Conv2d, reads: Callable[[], Tensor], weight_step: nn.Module
    ) -> None:
        super().__init__()
        assert plain.bias is not None
        self.weight, self.bias, self.weight_step = plain.weight, plain.bias, weight_step
        # A function: the step belongs to the convolution before.
        self._reads = reads

    def step(self) -> Tensor:
        """What one integer of the output is worth, in unit range."""
        return torch.tensor(DETAIL_STEP / PIXEL_MAX)

    def in_steps(self) -> tuple[Tensor, Tensor]:
        """The weights [O, I, k, k] in their steps, not rounded, and the multipliers."""
        reads, writes = self._reads(), self.step()
        wanted = self.weight_step(self.weight) * reads / writes
        nearest = torch.from_numpy(grid_multiplier(wanted.detach().numpy()))
        # The value is on the grid, the gradient goes to what was wanted.
        multiplier = wanted * (nearest / wanted.detach())
        return self.weight * (reads / writes) / multiplier, multiplier

    def forward(self, x: Tensor) -> Tensor:
        return self.codes(x) * self.step()

    def codes(self, x: Tensor) -> Tensor:
        """Codes [N, I, H, W] -> the output in its own steps, not rounded."""
        with torch.autocast("cpu", enabled=False):
            weight, multiplier = self.in_steps()
            kernel = rounded(weight.clamp(-MAX_WEIGHT, MAX_WEIGHT)) * multiplier
            units = bias_units(multiplier.detach().numpy(), self.precision)
            unit = (multiplier.detach() * torch.from_numpy(units)).flatten()
            bias = rounded(self.bias / self.step() / unit) * unit
        return F.conv2d(x, kernel, bias)

    def integers(self) -> dict[str, NDArray[Any]]:
        """Weight, bias and multiplier as they are packed."""
        with torch.no_grad():
            reads, writes = float(self._reads()), float(self.step())
            # From the multipliers that it was trained with, which lie on the grid.
            steps = self.in_steps()[1].double().flatten().numpy() * writes / reads
        layer = integer_layer(
            self.weight.detach().numpy(),
            self.bias.detach().numpy(),
            np.broadcast_to(steps, len(self.weight)),
            reads,
            writes,
            self.precision,
        )
        return dict(zip(("weight", "bias", "multiplier"), layer, strict=True))


class RoundedHidden(RoundedConvolution):
    """Its output is codes, in steps of exp(`log_step`)."""

    precision = HIDDEN_PRECISION

    def __init__(
        self, plain: nn.Conv2d, reads: Callable[[], Tensor], weight_step: nn.Module, step: float
    ) -> None:
        super().__init__(plain, reads, weight_step)
        # As a logarithm a step stays positive, wherever the optimiser takes it.
        self.log_step = nn.Parameter(torch.tensor(math.log(step)))

    def step(self) -> Tensor:
        return self.log_step.exp()

    def forward(self, x: Tensor) -> Tensor:
        return round_activations(self.codes(x))


class RoundedFirst(RoundedHidden):
    """The convolution that reads pixels, in unit range."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * PIXEL_MAX)


def make_fake(network: Network, activations: Mapping[str, float], learn_weights: bool) -> None:
    """Replace a chain's or espcn's convolutions by rounded ones, in place; parameters stay.

    `activations`: the step of each trunk convolution's output, in unit range. `learn_weights`:
    the steps of the weights are learned too.
    """
    made: dict[str, RoundedConvolution] = {}
    # The trunk comes first, so that what a convolution reads is there before it.
    for name, module in [*network.named_modules()]:
        if not isinstance(module, nn.Conv2d):
            continue
        source = source_of(network.arch, name)
        reads = made[source].step if source else lambda: torch.tensor(1 / PIXEL_MAX)
        weight_step = LearnedStep(module.weight) if learn_weights else LargestSteps()
        if name not in activations:
            made[name] = RoundedConvolution(module, reads, weight_step)
        else:
            # What is always zero was given no step worth the name (see `quantise`).
            with torch.no_grad():
                least = 2 * weight_step(module.weight).max() * reads() / MULTIPLIER_LIMIT
            kind = RoundedHidden if source else RoundedFirst
            step = max(activations[name], float(least))
            made[name] = kind(module, reads, weight_step, step)
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, made[name])


def rounded_convolutions(network: Network) -> Iterator[tuple[str, RoundedConvolution]]:
    """Those that `make_fake` put in, by name."""
    for name, module in network.named_modules():
        if isinstance(module, RoundedConvolution):
            yield name, module


def integers_of(network: Network) -> dict[str, NDArray[Any]]:
    """The tensors of an int8 blob, from a network that `make_fake` changed."""
    layers = {name: layer.integers() for name, layer in rounded_convolutions(network)}
    return {f"{n}.{kind}": value for n, layer in layers.items() for kind, value in layer.items()}
