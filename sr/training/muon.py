"""Muon (Jordan et al., 2024, kellerjordan.github.io/posts/muon) for the trunk's convolutions.

The momentum of a weight matrix is replaced by the nearest orthogonal matrix before it is
applied, so that every direction of the matrix is learned at the same rate. An overfitted network
sees few steps, and this is what makes them count: docs/training.md has the comparison with Adam
at equal steps.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

# Jordan's quintic: odd, and steep at zero, so that five rounds bring every singular value near 1.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ROUNDS = 5


def orthogonalise(matrix: Tensor) -> Tensor:
    """[m, n] -> [m, n] with singular values in about 0.7..1.2 and the same singular vectors."""
    # The quintic wants no singular value above 1: the Frobenius norm is at least the largest.
    x = matrix / (matrix.norm() + 1e-7)
    # Turned where that makes the matrices of the rounds below the smaller ones.
    if transposed := x.shape[0] > x.shape[1]:
        x = x.T
    for _ in range(_ROUNDS):
        gram = x @ x.T
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return x.T if transposed else x


class Muon(torch.optim.Optimizer):
    """For convolution weights [O, I, k, k], taken as matrices [O, I k k]."""

    def __init__(self, weights: Iterable[nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step with Nesterov momentum."""
        for group in self.param_groups:
            for weight in group["params"]:
                _update(weight, self.state[weight], group["lr"], group["momentum"])


def _update(weight: Tensor, state: dict[str, Tensor], lr: float, momentum: float) -> None:
    if weight.grad is None:
        return
    average = state.setdefault("average", torch.zeros_like(weight))
    average.lerp_(weight.grad, 1 - momentum)
    # Nesterov: the gradient counts once more, on top of the momentum that has it already.
    direction = weight.grad.lerp(average, momentum).reshape(weight.shape[0], -1)
    weight.add_(orthogonalise(direction).reshape(weight.shape), alpha=-lr)
