"""A ticket found on one segment of a video, used on the next, whose graph has other edges.

segment 1: pairs kept and pruned ─► a logistic regression on what a pair looks like
segment 2: every pair's score ─► the highest stay, as many of each kind as the ticket kept
           + the weight masks, and either the trained weights (no new probe)
             or the first weights, trained on the new segment's own probes
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.reproduction.graph.patch_graph import KINDS, PatchGraph, Standard
from benchmarks.reproduction.graph.spread import Floats, Probes, Spreader, start
from benchmarks.reproduction.graph.tickets import Ticket, TicketPlan, train

STEPS = 200
DECAY = 1e-3


@dataclass(frozen=True)
class EdgeScorer:
    """Scores pairs by what they look like: `weights` of `pair_features`, without a bias, since
    only the order counts. `shares` [kinds]: how many of each kind the ticket kept."""

    standard: Standard
    weights: Tensor
    shares: tuple[float, ...]

    def kept(self, graph: PatchGraph) -> NDArray[np.bool_]:
        """[P]: the highest scores of each kind, as many as its share says."""
        scores = (pair_features(graph, self.standard) @ self.weights).numpy()
        kept = np.zeros(len(graph.pairs), bool)
        for kind, share in enumerate(self.shares):
            of_kind = np.flatnonzero(graph.kinds == kind)
            order = of_kind[np.argsort(-scores[of_kind], kind="stable")]
            kept[order[: round(share * len(of_kind))]] = True
        return kept


def pair_features(graph: PatchGraph, standard: Standard) -> Tensor:
    """[P, 2F + 1 + kinds]: difference and mean of the ends' features, both ends' degree, kind.

    The same whichever end comes first.
    """
    x = torch.from_numpy(standard.apply(graph.features))
    pairs = torch.from_numpy(graph.pairs)
    degree = torch.bincount(pairs.flatten(), minlength=graph.nodes).float()
    first, second = x[pairs[:, 0]], x[pairs[:, 1]]
    degrees = torch.log(degree[pairs].prod(dim=1, keepdim=True).clamp_min(1))
    kinds = F.one_hot(torch.from_numpy(graph.kinds).long(), len(KINDS)).float()
    return torch.cat([(first - second).abs(), (first + second) / 2, degrees, kinds], dim=1)


def learn_scorer(graph: PatchGraph, standard: Standard, kept: Tensor) -> EdgeScorer:
    """What the pairs that a ticket `kept` [P] have in common."""
    features, wanted = pair_features(graph, standard), kept.float()
    weights = torch.zeros(features.shape[1], requires_grad=True)
    bias = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.Adam([weights, bias], lr=0.05, weight_decay=DECAY)
    for _ in range(STEPS if len(wanted) else 0):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(features @ weights + bias, wanted).backward()
        optimizer.step()
    of_kind = [wanted[torch.from_numpy(graph.kinds) == kind] for kind in range(len(KINDS))]
    shares = tuple(float(pairs.mean()) if len(pairs) else 0.0 for pairs in of_kind)
    return EdgeScorer(standard, weights.detach(), shares)


def carried_left(spreader: Spreader, graph: PatchGraph, kept: NDArray[np.bool_]) -> Floats:
    """[N, H]: shares of error in another segment's graph, of which `kept` [P] pairs are used.

    With the weights as they are: no cell of the new segment need be probed.
    """
    return spreader.left(graph, graph.pairs[kept])


def retrained(
    spreader: Spreader, graph: PatchGraph, kept: NDArray[np.bool_], probes: Probes, plan: TicketPlan
) -> Spreader:
    """The ticket's masks, trained from the first weights on the new segment's own probes."""
    fresh = start(graph, probes)
    mask, masks = torch.from_numpy(kept), spreader.ticket.weight_masks
    network = train(fresh.task, fresh.shape, mask, masks, plan)
    return Spreader(fresh.standard, fresh.classes, Ticket(mask, masks, network), spreader.paths)
