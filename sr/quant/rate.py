"""Weights that cost what they are worth: their bits are a term of the loss.

    loss = squared error + rate weight * bits

The rate weight is in squared error per bit. An encoder at its operating point has a price of its
own, the slope -dD/dR: a bit that lowers the error by less is better spent in the stream.
"""

import torch
from torch import Tensor

from sr.models.network import Network
from sr.quant.fake import rounded_convolutions
from sr.training.data import Batch
from sr.training.loop import Companion, PixelErrors

_LEAST_MEAN = 2e-3  # magnitude that is expected where all weights round to zero


def coded_bits(weight: Tensor) -> Tensor:
    """Bits of weights [O, I, k, k] in their steps, smooth in weights and step.

    As the coder of the blob does (player/package/weight_coder.py), a magnitude is expected from its
    output and its input, mean |w[o]| mean |w[i]| / mean |w|, and has there the two-sided geometric
    density of that mean. The expectation has no gradient: it is that of the fewest bits anyway.
    """
    sizes = weight.abs()
    of_pairs = sizes.detach().mean(dim=(2, 3), keepdim=True)
    rows, columns = of_pairs.mean(dim=1, keepdim=True), of_pairs.mean(dim=0, keepdim=True)
    mean = (rows * columns / of_pairs.mean().clamp_min(_LEAST_MEAN)).clamp_min(_LEAST_MEAN)
    return _geometric_bits(sizes, mean)


def flat_bits(numbers: Tensor) -> Tensor:
    """The same of numbers [O] that are all expected alike."""
    sizes = numbers.abs()
    return _geometric_bits(sizes, sizes.detach().mean().clamp_min(_LEAST_MEAN))


def _geometric_bits(sizes: Tensor, mean: Tensor) -> Tensor:
    # P(q) = (1 - t) / (1 + t) t^|q| has the mean magnitude 2 t / (1 - t^2).
    t = ((1 + mean * mean).sqrt() - 1) / mean
    return (((1 + t) / (1 - t)).log2() - sizes * t.log2()).sum()


def weight_bits(network: Network) -> Tensor:
    """Bits of all weights of a network that `make_fake` changed."""
    layers = rounded_convolutions(network)
    return torch.stack([coded_bits(layer.in_steps()[0]) for _, layer in layers]).sum()


class RateTerm(Companion):
    """The bits of a network's weights, at `rate_weight` of loss for each."""

    def __init__(self, network: Network, rate_weight: float) -> None:
        self.network, self.rate_weight = network, rate_weight

    def extra_loss(self, batch: Batch, errors: PixelErrors, step: int) -> Tensor | None:
        return self.rate_weight * weight_bits(self.network)
