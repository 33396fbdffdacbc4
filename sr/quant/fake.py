"""A network that trains as if it were quantised: rounded going forward, smooth going back.

    weight -> weight / step, rounded, -127..127, x step \\
    input --------------------------------------------- conv -> / step, rounded, 0..255, x step ->

Rounding has no useful gradient, so it is taken for the identity (straight-through; Bengio et al.,
2013), cut to zero where a value is clamped. The step of each trunk convolution's output is
learned with the weights, as a logarithm (LSQ, Esser et al., ICLR 2020, section 2.1: the gradient
of the step is what a step more would change). All in float32.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from player.package.integers import MAX_WEIGHT
from sr.models.network import Network
from sr.quant.calibrate import LEVELS

_SMALLEST_STEP = 1e-30


class _RoundActivations(torch.autograd.Function):
    """x -> clamp(round(x / step), 0, 255) step, for a scalar step."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor) -> Tensor:
        codes = x / step
        # Up to 255.5 a value only rounds, to 255; beyond, and at the ReLU's zero, it is clamped.
        inside = (codes > 0) & (codes < LEVELS + 0.5)
        rounded = codes.round().clamp_(0, LEVELS)
        # What a larger step changes: inside the rounding's error, in steps; clamped, the code
        # itself.
        ctx.save_for_backward(inside, rounded - codes * inside)
        return rounded * step

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (gradient,) = gradients
        inside, by_step = ctx.saved_tensors
        return gradient * inside, (gradient * by_step).sum()


def rounded_weight(weight: Tensor) -> Tensor:
    """[O, ...] in steps of its largest / 127 for each output; straight-through."""
    most = weight.detach().abs().amax(dim=(1, 2, 3), keepdim=True)
    step = (most / MAX_WEIGHT).clamp_min(_SMALLEST_STEP)
    rounded = (weight.detach() / step).round() * step
    # The value is `rounded`, the gradient goes to `weight`.
    return weight + (rounded - weight.detach())


class RoundedConvolution(nn.Module):
    """A convolution with rounded weights, on another's parameters; a network's last one."""

    def __init__(self, plain: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = plain.weight, plain.bias

    def forward(self, x: Tensor) -> Tensor:
        # bf16 has no room for 24-bit sums.
        with torch.autocast("cpu", enabled=False):
            return F.conv2d(x.float(), rounded_weight(self.weight), self.bias)


class RoundedHidden(RoundedConvolution):
    """Rounded weights, ReLU, output rounded to steps of exp(`log_step`)."""

    def __init__(self, plain: nn.Conv2d, step: float) -> None:
        super().__init__(plain)
        # As a logarithm a step stays positive, wherever the optimiser takes it.
        self.log_step = nn.Parameter(torch.tensor(math.log(step)))

    def forward(self, x: Tensor) -> Tensor:
        return _RoundActivations.apply(super().forward(x), self.log_step.exp())


def make_fake(network: Network, activations: Mapping[str, float]) -> None:
    """Replace a chain's or espcn's convolutions by rounded ones, in place; parameters stay.

    `activations`: the step of each trunk convolution's output, in unit range.
    """
    plain = {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv2d)}
    for name, module in plain.items():
        step = activations.get(name)
        rounded = RoundedConvolution(module) if step is None else RoundedHidden(module, step)
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, rounded)


def learned_activations(network: Network) -> dict[str, float]:
    """The steps of a network that `make_fake` changed."""
    modules = network.named_modules()
    return {n: math.exp(m.log_step.item()) for n, m in modules if isinstance(m, RoundedHidden)}
