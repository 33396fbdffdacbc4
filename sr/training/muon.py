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


def orthogonalise(matrices: Tensor) -> Tensor:
    """[N, m, n] -> [N, m, n] with singular values in about 0.7..1.2, the same singular vectors."""
    # The quintic wants no singular value above 1: the Frobenius norm is at least the largest.
    x = matrices / (matrices.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    # Turned where that makes the matrices of the rounds below the smaller ones.
    if transposed := x.shape[1] > x.shape[2]:
        x = x.mT
    for _ in range(_ROUNDS):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C)
        x = torch.baddbmm(x, polynomial, x, beta=_A)
    return x.mT if transposed else x


class Muon(torch.optim.Optimizer):
    """For convolution weights [O, I, k, k], taken as matrices [O, I k k]."""

    def __init__(self, weights: Iterable[nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step with Nesterov momentum."""
        for group in self.param_groups:
            # Weights of one shape go together: these are small matrices, and calls cost more.
            alike: dict[torch.Size, list[nn.Parameter]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    alike.setdefault(weight.shape, []).append(weight)
            for weights in alike.values():
                self._update(weights, group["lr"], group["momentum"])

    def _update(self, weights: list[nn.Parameter], rate: float, momentum: float) -> None:
        """A step of weights of one shape."""
        directions = []
        for weight in weights:
            assert weight.grad is not None
            average = self.state[weight].setdefault("average", torch.zeros_like(weight))
            average.lerp_(weight.grad, 1 - momentum)
            # Nesterov: the gradient counts once more, on top of the momentum that has it already.
            directions.append(weight.grad.lerp(average, momentum).flatten(1))
        for weight, found in zip(weights, orthogonalise(torch.stack(directions)), strict=True):
            weight.add_(found.reshape(weight.shape), alpha=-rate)
