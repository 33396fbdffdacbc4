"""The auxiliary head of improved graph lottery tickets: classes pushed apart on all nodes.

Hui et al., "Rethinking graph lottery tickets: graph sparsity matters" (ICLR 2023), section 3.1:
the supervised loss reaches only the edges on paths to labelled nodes, so that the others would be
pruned by chance. With Z [N, K] the softmax outputs, split by predicted class c:

    L1 = - sum_c W(Z^c, Z^not-c)          W: entropic Wasserstein distance, squared Euclidean cost
"""

import math

import torch
from torch import Tensor

EPS = 0.05
ITERATIONS = 10
NODES = 128  # drawn on each side of a class


def transport_cost(cost: Tensor, eps: float = EPS, iterations: int = ITERATIONS) -> Tensor:
    """[...]: what the entropic plan between two uniform sets pays, `cost` [..., n, m].

    Sinkhorn in the log domain (Cuturi 2013; Peyré and Cuturi 2019, section 4.4). The plan counts
    as fixed in the gradient, which is then the plan itself: the derivative of the entropic
    distance by its cost at convergence (Danskin), and no step back through the iterations.
    """
    plan = transport_plan(cost.detach(), eps, iterations)
    return (plan * cost).sum(dim=(-2, -1))


def transport_plan(cost: Tensor, eps: float, iterations: int) -> Tensor:
    """[..., n, m] with columns that sum to 1/m and, once converged, rows that sum to 1/n."""
    rows, columns = cost.shape[-2:]
    scaled = -cost / eps
    f = torch.zeros_like(scaled[..., :, :1])
    g = torch.zeros_like(scaled[..., :1, :])
    for _ in range(iterations):
        f = -math.log(rows) - torch.logsumexp(scaled + g, dim=-1, keepdim=True)
        g = -math.log(columns) - torch.logsumexp(scaled + f, dim=-2, keepdim=True)
    return torch.exp(scaled + f + g)


def apart(outputs: Tensor, draw: torch.Generator, nodes: int = NODES) -> Tensor:
    """L1 of softmax outputs [N, K]: the lower, the further apart the predicted classes are.

    A class that no node is predicted as, or that all are, has no distance and counts as 0.
    """
    predicted = outputs.detach().argmax(dim=1)
    sides = []
    for label in predicted.unique():
        inside = predicted == label
        if not bool(inside.all()):
            sides.append(torch.stack([_drawn(inside, draw, nodes), _drawn(~inside, draw, nodes)]))
    if not sides:
        return outputs.sum() * 0
    chosen = outputs[torch.stack(sides)]
    difference = chosen[:, 0, :, None] - chosen[:, 1, None, :]
    return -transport_cost(difference.square().sum(dim=-1)).sum()


def _drawn(mask: Tensor, draw: torch.Generator, nodes: int) -> Tensor:
    """`nodes` indices out of the mask; with repeats only where it holds fewer."""
    found = mask.nonzero().flatten()
    if len(found) < nodes:
        return found[torch.randint(len(found), (nodes,), generator=draw)]
    return found[torch.randperm(len(found), generator=draw)[:nodes]]
