"""Graph lottery tickets: the edges and weights of a graph network that are enough.

    for each round:   mask stage     weights, edge masks and weight masks learn together
                      prune          the lowest 20 % of the pairs left, and of the weights left
                      rewind         to the first weights
                      retrain        on what is left

UGS: Chen et al., "A unified lottery ticket hypothesis for graph neural networks" (ICML 2021),
section 3. The Wasserstein head and the min-max step: Hui et al. (ICLR 2023), section 3. Pairs go
with both their directions (UGS prunes them apart, so that its graph is no longer symmetric), and
they leave the edge index: a pruned edge sends no message in any later round.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.reproduction.graph.gathering import masked_network
from benchmarks.reproduction.graph.gcn import Features, GcnShape, MaskedGcn
from benchmarks.reproduction.graph.wasserstein import apart

# Weight of the Wasserstein head. At TEDDY's 0.1 it hardly reaches the edge masks next to L1.
HEAD, WEAK_HEAD = 1.0, 0.1
RADIUS = 0.05  # of the adversarial step: how far it moves the edge mask that it moves most
MASK_NOISE = 1e-5

Score = Callable[[Tensor, Tensor], float]


@dataclass(frozen=True)
class NodeTask:
    """Nodes to label: `x` [N, F], `pairs` [P, 2] undirected, `labels` [N, H] of H
    questions with `classes` answers each; `train` and `val` [N] bool say which labels are known."""

    x: Features
    pairs: Tensor
    labels: Tensor
    classes: int
    train: Tensor
    val: Tensor

    def answers(self, logits: Tensor) -> Tensor:
        """[N, H * K] -> [N, H, K]."""
        return logits.unflatten(1, (-1, self.classes))

    def loss(self, logits: Tensor, nodes: Tensor) -> Tensor:
        """Mean cross-entropy on the nodes of a mask [N]."""
        asked = self.answers(logits)[nodes].flatten(0, 1)
        return F.cross_entropy(asked, self.labels[nodes].flatten())

    def accuracy(self, logits: Tensor, nodes: Tensor) -> float:
        """Share of right answers on the nodes of a mask."""
        right = self.answers(logits)[nodes].argmax(dim=2) == self.labels[nodes]
        return float(right.float().mean())


@dataclass(frozen=True)
class TicketPlan:
    """How much goes in a round, and the epochs of its two trainings (UGS's settings on Cora)."""

    rounds: int = 6
    epochs: int = 150
    edge_share: float = 0.2
    weight_share: float = 0.2
    edge_l1: float = 1e-2
    weight_l1: float = 1e-2
    learning_rate: float = 8e-3
    weight_decay: float = 8e-5
    seed: int = 0


@dataclass(frozen=True)
class Ticket:
    """What a round leaves: `kept` [P] bool of the task's pairs, `weight_masks` of 0 and 1, and the
    network trained with them."""

    kept: Tensor
    weight_masks: Sequence[Tensor]
    network: MaskedGcn

    @property
    def edges_pruned(self) -> float:
        """Share of the pairs that are gone; 0 for a graph without any."""
        return 1 - float(self.kept.float().mean()) if len(self.kept) else 0.0

    @property
    def weights_pruned(self) -> float:
        kept, size = (sum(f(m) for m in self.weight_masks) for f in (_count, Tensor.numel))
        return 1 - kept / size

    @torch.no_grad()
    def logits(self, x: Features, pairs: Tensor) -> Tensor:
        """[N, H * K] on `pairs` that are already cut to those kept."""
        return logits_of(self.network, x, pairs, self.weight_masks)


def _count(mask: Tensor) -> int:
    return int(mask.count_nonzero())


@torch.no_grad()
def logits_of(network: MaskedGcn, x: Features, pairs: Tensor, masks: Sequence[Tensor]) -> Tensor:
    """What the network says with every edge at full weight, dropout off."""
    network.eval()
    return network(x, pairs, torch.ones(len(pairs)), masks)


class MaskStage:
    """Weights, edge masks and weight masks that learn together on the edges and weights left."""

    def __init__(
        self, network: MaskedGcn, task: NodeTask, kept: Tensor, fixed: Sequence[Tensor],
        head: float, draw: torch.Generator,
    ) -> None:  # fmt: skip
        self.network, self.task, self.fixed = network, task, fixed
        self.pairs = task.pairs[kept]
        self.edges = _noisy(torch.ones(len(self.pairs)), draw).requires_grad_()
        self.weights = [_noisy(mask, draw).requires_grad_() for mask in fixed]
        self._head, self._draw = head, draw

    def logits(self) -> Tensor:
        masks = [mask * fixed for mask, fixed in zip(self.weights, self.fixed, strict=True)]
        return self.network(self.task.x, self.pairs, self.edges, masks)

    def loss(self) -> Tensor:
        """L0 on labelled nodes + the head's weight times L1 on all nodes."""
        logits = self.logits()
        loss = self.task.loss(logits, self.task.train)
        if not self._head:
            return loss
        outputs = self.task.answers(logits).softmax(dim=2).unbind(dim=1)
        return loss + self._head * torch.stack([apart(o, self._draw) for o in outputs]).mean()


def _noisy(mask: Tensor, draw: torch.Generator) -> Tensor:
    return mask * (1 + MASK_NOISE * (2 * torch.rand(mask.shape, generator=draw) - 1))


MaskStep = Callable[[MaskStage], None]


def descend(stage: MaskStage) -> None:
    """Gradients of the loss where the masks are (UGS)."""
    stage.loss().backward()


def descend_perturbed(stage: MaskStage) -> None:
    """Gradients of the loss at edge masks that one ascent step has made worse.

    Sparsification as an adversary to be robust against, min over weights and masks of the max
    nearby, as in sharpness-aware minimisation (Foret et al. 2021). The step is normalised by its
    largest entry.
    """
    (slope,) = torch.autograd.grad(stage.loss(), stage.edges)
    largest = slope.abs().max() if len(slope) else torch.tensor(0.0)
    shift = RADIUS * slope / largest.clamp_min(1e-12)
    with torch.no_grad():
        stage.edges += shift
    stage.loss().backward()
    with torch.no_grad():
        stage.edges -= shift


def ascend(stage: MaskStage) -> None:
    """Weights descend and edge masks ascend, the min-max taken literally: an ablation.

    What ascends ends with the useful edges lowest, and these are then pruned.
    """
    stage.loss().backward()
    assert stage.edges.grad is not None
    stage.edges.grad.neg_()


@dataclass(frozen=True)
class Scores:
    """The value of each pair and each weight that is left; the lowest go. `weights` as matrices."""

    edges: Tensor
    weights: Sequence[Tensor]


def drawn(pairs: Tensor, nodes: int, draw: torch.Generator) -> Tensor:
    """[P]: scores at random."""
    return torch.rand(len(pairs), generator=draw)


def low_degree(pairs: Tensor, nodes: int, draw: torch.Generator) -> Tensor:
    """[P]: lowest where both ends have the most neighbours (TEDDY, Seo et al. 2024); ties drawn."""
    degree = torch.bincount(pairs.flatten(), minlength=nodes)
    return 0.5 * torch.rand(len(pairs), generator=draw) - degree[pairs].prod(dim=1)


PairScores = Callable[[Tensor, int, torch.Generator], Tensor]  # of pairs [P, 2] of so many nodes


@dataclass(frozen=True)
class Recipe:
    """How the masks learn (not at all if `step` is None), and what the pairs are pruned by where
    it is not their masks."""

    about: str
    step: MaskStep | None = descend
    head: float = 0.0
    pairs: PairScores | None = None


RECIPES: Mapping[str, Recipe] = {
    "random": Recipe("pairs and weights drawn at random", step=None),
    "ugs": Recipe("UGS: the supervised loss and the sub-gradient of L1"),
    "ugs + wd": Recipe("UGS with the Wasserstein head", head=HEAD),
    "ugs + weak wd": Recipe("the same with a tenth of the head's weight", head=WEAK_HEAD),
    "wd + adversarial": Recipe(
        "Wasserstein head, descent at perturbed edge masks", descend_perturbed, HEAD
    ),
    "literal ascent": Recipe("Wasserstein head, edge masks ascend", ascend, HEAD),
    "degree": Recipe("pairs of high degree first, weights by UGS", pairs=low_degree),
    "random pairs": Recipe("pairs drawn at random, weights by UGS", pairs=drawn),
}


def find_tickets(
    task: NodeTask, shape: GcnShape, recipe: Recipe, plan: TicketPlan
) -> Iterator[Ticket]:
    """The unpruned network first, then one ticket a round, each trained."""
    draw = torch.Generator().manual_seed(plan.seed)
    kept = torch.ones(len(task.pairs), dtype=torch.bool)
    masks = masked_network(shape, plan.seed).full_masks()
    yield Ticket(kept, masks, train(task, shape, kept, masks, plan))
    for _ in range(plan.rounds):
        scores = _scores(task, shape, kept, masks, recipe, plan, draw)
        kept = _prune_pairs(kept, scores.edges, plan.edge_share)
        masks = _prune_weights(masks, scores.weights, plan.weight_share)
        yield Ticket(kept, masks, train(task, shape, kept, masks, plan))


def train(
    task: NodeTask, shape: GcnShape, kept: Tensor, masks: Sequence[Tensor], plan: TicketPlan
) -> MaskedGcn:
    """From the first weights of the plan's seed, with fixed masks; as at its best epoch."""
    network = masked_network(shape, plan.seed)
    pairs = task.pairs[kept]
    ones = torch.ones(len(pairs))
    optimizer = _adam(network.parameters(), plan)
    best = _Best()
    for _ in range(plan.epochs):
        network.train()
        optimizer.zero_grad()
        task.loss(network(task.x, pairs, ones, masks), task.train).backward()
        optimizer.step()
        if best.improved(_score(task, logits_of(network, task.x, pairs, masks))):
            best.kept = deepcopy(network.state_dict())
    network.load_state_dict(best.kept)
    return network.eval()


def _scores(
    task: NodeTask, shape: GcnShape, kept: Tensor, masks: Sequence[Tensor], recipe: Recipe,
    plan: TicketPlan, draw: torch.Generator,
) -> Scores:  # fmt: skip
    if recipe.step is None:
        edges = drawn(task.pairs[kept], task.x.shape[0], draw)
        return Scores(edges, [torch.rand(m.shape, generator=draw) for m in masks])
    stage = MaskStage(masked_network(shape, plan.seed), task, kept, masks, recipe.head, draw)
    scores = learn_masks(stage, recipe.step, plan)
    if recipe.pairs:
        scored = recipe.pairs(task.pairs[kept], task.x.shape[0], draw)
        return Scores(scored, scores.weights)
    return scores


def learn_masks(stage: MaskStage, step: MaskStep, plan: TicketPlan) -> Scores:
    """The masks at the best epoch of a mask stage."""
    optimizer = _adam([*stage.network.parameters(), stage.edges, *stage.weights], plan)
    best = _Best()
    for _ in range(plan.epochs):
        stage.network.train()
        optimizer.zero_grad()
        step(stage)
        _add_l1(stage.edges, plan.edge_l1)
        for mask in stage.weights:
            _add_l1(mask, plan.weight_l1)
        optimizer.step()
        with torch.no_grad():
            stage.edges.clamp_(0, 1)
            stage.network.eval()
            if best.improved(_score(stage.task, stage.logits())):
                best.kept = Scores(_copy(stage.edges), [_copy(m).abs() for m in stage.weights])
    return best.kept


def _adam(parameters: object, plan: TicketPlan) -> torch.optim.Adam:
    return torch.optim.Adam(
        parameters,  # type: ignore[arg-type]
        lr=plan.learning_rate,
        weight_decay=plan.weight_decay,
    )


def _copy(mask: Tensor) -> Tensor:
    return mask.detach().clone()


def _add_l1(mask: Tensor, share: float) -> None:
    assert mask.grad is not None
    mask.grad += share * mask.detach().sign()


class _Best:
    """What the best epoch held; of equal ones the first."""

    def __init__(self) -> None:
        self._score = (float("-inf"), float("-inf"))
        self.kept: Any = None

    def improved(self, score: tuple[float, float]) -> bool:
        if score <= self._score:
            return False
        self._score = score
        return True


def _score(task: NodeTask, logits: Tensor) -> tuple[float, float]:
    """Accuracy on the held-out nodes; of equal ones the lower loss."""
    return task.accuracy(logits, task.val), -float(task.loss(logits, task.val))


def _prune_pairs(kept: Tensor, scores: Tensor, share: float) -> Tensor:
    """`kept` [P] less the lowest of `scores` [pairs kept]."""
    left = kept.nonzero().flatten()
    gone = left[scores.argsort()[: int(share * len(left))]]
    return kept.index_fill(0, gone, False)


def _prune_weights(masks: Sequence[Tensor], scores: Sequence[Tensor], share: float) -> list[Tensor]:
    """The lowest scores of all matrices together go, among the weights that are left."""
    sizes = [mask.numel() for mask in masks]
    flat = torch.cat([mask.flatten() for mask in masks])
    kept = _prune_pairs(flat > 0, torch.cat([s.flatten() for s in scores])[flat > 0], share)
    split = kept.float().split(sizes)
    return [part.view_as(mask) for part, mask in zip(split, masks, strict=True)]
