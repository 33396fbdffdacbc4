"""A network that trains as if it were quantised: rounded going forward, smooth going back.

    weight -> weight / step, rounded, -127..127, x step \\
    input --------------------------------------------- conv -> / step, rounded, 0..255, x step ->

Rounding has no useful gradient, so it is taken for the identity (straight-through; Bengio et al.,
2013), cut to zero where a value is clamped. The step of each trunk convolution's output is
learned with the weights, as a logarithm (LSQ, Esser et al., ICLR 2020, section 2.1: the gradient
of the step is what a step more would change). All in float32: bf16 has no room for 24-bit sums.
"""

import math
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
        inside = (codes > 0) & (codes < LEVELS + 0.5)
        rounded = codes.round().clamp_(0, LEVELS)
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
    return weight + (rounded - weight.detach())


class RoundedConvolution(nn.Conv2d):
    """Rounded weights; the form of a network's last convolutions."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return F.conv2d(x.float(), rounded_weight(self.weight), self.bias)


class RoundedHidden(RoundedConvolution):
    """Rounded weights, ReLU, rounded output in steps of exp(`log_step`)."""

    log_step: nn.Parameter

    def forward(self, x: Tensor) -> Tensor:
        return _RoundActivations.apply(super().forward(x), self.log_step.exp())


def make_fake(network: Network, activations: dict[str, float]) -> None:
    """Turn a chain's or espcn's convolutions into rounded ones, in place; parameters stay.

    `activations`: the step of each trunk convolution's output, in unit range.
    """
    for name, module in network.named_modules():
        if not isinstance(module, nn.Conv2d):
            continue
        if name in activations:
            module.__class__ = RoundedHidden
            module.log_step = nn.Parameter(torch.tensor(math.log(activations[name])))
        else:
            module.__class__ = RoundedConvolution


def learned_activations(network: Network) -> dict[str, float]:
    """The steps of a network that `make_fake` changed."""
    modules = network.named_modules()
    return {n: math.exp(float(m.log_step)) for n, m in modules if isinstance(m, RoundedHidden)}
