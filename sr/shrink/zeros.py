"""Exact zeros of a network stay zero while it is trained on.

What a sparse stage leaves out must still be zero when the weights have become integers, or the
weights blob stores it after all.
"""

import torch
from torch import nn

from sr.training.loop import Companion


class KeepZeros(Companion):
    """Holds every weight of a convolution that is exactly zero now at zero, and its gradient too.

    Takes the parameters themselves: they may pass to other modules, as `sr.quant.fake` does it.
    """

    def __init__(self, network: nn.Module) -> None:
        weights = [p for p in network.parameters() if p.dim() == 4]
        self._zeros = [(w, w.detach() == 0) for w in weights if bool((w == 0).any())]

    @torch.no_grad()
    def after_backward(self, step: int) -> None:
        for weight, zero in self._zeros:
            if weight.grad is not None:
                weight.grad[zero] = 0

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        for weight, zero in self._zeros:
            weight[zero] = 0
