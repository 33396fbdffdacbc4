"""Rounds of pruning on a planted graph: counts, pairs, rewinding, and which edges are kept."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from benchmarks.reproduction.graph.gcn import GcnShape, MaskedGcn
from benchmarks.reproduction.graph.tickets import (
    RADIUS,
    RECIPES,
    MaskStage,
    NodeTask,
    Ticket,
    TicketPlan,
    ascend,
    descend,
    descend_perturbed,
    find_tickets,
    low_degree,
)

SHAPE = GcnShape(8, 8, 2, dropout=0.0)
PLAN = TicketPlan(rounds=2, epochs=25, learning_rate=0.03)


def _planted(nodes: int = 60, noise: int = 90, seed: int = 0) -> tuple[NodeTask, Tensor]:
    """Two communities, a third of the edges between them by chance; which edges are inside one.

    The features of a node say little, those of its community together say which it is.
    """
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(nodes) % 2
    x = torch.randn(nodes, 8, generator=draw)
    x[:, 0] += 1.5 * (2 * labels - 1)
    i, j = (torch.randint(nodes, (900,), generator=draw) for _ in range(2))
    same = labels[i] == labels[j]
    chosen = torch.cat(
        [(same & (i < j)).nonzero()[: 2 * noise], (~same & (i < j)).nonzero()[:noise]]
    )
    pairs = torch.unique(torch.stack([i, j], dim=1)[chosen.flatten()], dim=0)
    train = torch.zeros(nodes, dtype=torch.bool)
    train[:12] = True
    val = torch.zeros(nodes, dtype=torch.bool)
    val[12:30] = True
    task = NodeTask(x, pairs, labels[:, None], 2, train, val)
    return task, labels[pairs[:, 0]] == labels[pairs[:, 1]]


def _tickets(recipe: str, plan: TicketPlan = PLAN, task: NodeTask | None = None) -> list[Ticket]:
    return list(find_tickets(task or _planted()[0], SHAPE, RECIPES[recipe], plan))


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_round_takes_its_share_of_what_is_left(recipe: str) -> None:
    tickets = _tickets(recipe)
    edges, weights = len(tickets[0].kept), sum(m.numel() for m in tickets[0].weight_masks)
    assert tickets[0].edges_pruned == tickets[0].weights_pruned == 0
    for before, after in pairwise(tickets):
        edges -= int(0.2 * edges)
        weights -= int(0.2 * weights)
        assert int(after.kept.sum()) == edges
        assert sum(int(m.sum()) for m in after.weight_masks) == weights
        assert not (after.kept & ~before.kept).any()
        for old, new in zip(before.weight_masks, after.weight_masks, strict=True):
            assert not ((new > 0) & (old == 0)).any()


def test_the_same_seed_finds_the_same_ticket() -> None:
    for recipe in ("random", "wd + adversarial"):
        first, second = (_tickets(recipe)[-1] for _ in range(2))
        assert torch.equal(first.kept, second.kept)
        torch.testing.assert_close(first.network.state_dict(), second.network.state_dict())


def test_pruned_weights_say_nothing() -> None:
    task, _ = _planted()
    ticket = _tickets("ugs", task=task)[-1]
    pairs = task.pairs[ticket.kept]
    before = ticket.logits(task.x, pairs)
    for weight, mask in zip(ticket.network.weights, ticket.weight_masks, strict=True):
        weight.data[mask == 0] = 1e3
    torch.testing.assert_close(ticket.logits(task.x, pairs), before)


def _kept_inside(recipe: str) -> float:
    """Share of the edges kept that lie inside a community, mean of two graphs."""
    shares = []
    for seed in range(2):
        task, inside = _planted(seed=seed)
        kept = _tickets(recipe, replace(PLAN, epochs=40), task)[-1].kept
        shares.append(float(inside[kept].float().mean()))
    return sum(shares) / 2


@pytest.mark.parametrize(
    "recipe", ["ugs", pytest.param("wd + adversarial", marks=pytest.mark.slow)]
)
def test_learnt_masks_keep_the_edges_inside_a_community(recipe: str) -> None:
    """Chance keeps two thirds of them; the literal ascent keeps fewer still."""
    assert _kept_inside(recipe) > 2 / 3 + 0.05


@pytest.mark.slow
def test_literal_ascent_gives_the_good_edges_away() -> None:
    assert _kept_inside("literal ascent") < 2 / 3


def _stage(head: float = 0.0) -> MaskStage:
    task, _ = _planted()
    network = MaskedGcn(SHAPE, 0).eval()
    kept = torch.ones(len(task.pairs), dtype=torch.bool)
    draw = torch.Generator().manual_seed(0)
    return MaskStage(network, task, kept, network.full_masks(), head, draw)


def test_ascent_turns_the_edges_slope_alone() -> None:
    down, up = _stage(), _stage()
    descend(down)
    ascend(up)
    torch.testing.assert_close(up.edges.grad, -down.edges.grad)
    torch.testing.assert_close(up.weights[0].grad, down.weights[0].grad)


def test_the_adversarial_slope_is_taken_where_the_loss_is_higher() -> None:
    """The slope at masks moved by RADIUS along the slope; the masks end where they were."""
    stage, plain = _stage(), _stage()
    start = stage.edges.detach().clone()
    descend_perturbed(stage)
    torch.testing.assert_close(stage.edges.detach(), start)
    loss = plain.loss()
    (slope,) = torch.autograd.grad(loss, plain.edges)
    with torch.no_grad():
        plain.edges += RADIUS * slope / slope.abs().max()
    moved = plain.loss()
    assert float(moved.detach()) > float(loss.detach())
    moved.backward()
    torch.testing.assert_close(stage.edges.grad, plain.edges.grad)


def test_the_head_reaches_edges_that_no_label_reaches() -> None:
    """Pairs more than two steps from every labelled node: a slope from the head alone."""
    planted, nodes = _planted()[0], 60
    chain = torch.stack([torch.arange(nodes - 1), torch.arange(1, nodes)], dim=1)
    only = torch.arange(nodes) == 0
    task = replace(planted, pairs=chain, train=only)
    slopes = []
    for head in (0.0, 0.1):
        network = MaskedGcn(SHAPE, 0).eval()
        kept, draw = torch.ones(len(chain), dtype=torch.bool), torch.Generator().manual_seed(0)
        stage = MaskStage(network, task, kept, network.full_masks(), head, draw)
        descend(stage)
        slopes.append(float(stage.edges.grad[3:].abs().max()))
    assert slopes[0] == 0 < slopes[1]


def test_pairs_of_hubs_go_first() -> None:
    pairs = torch.tensor([[0, 1], [0, 2], [0, 3], [0, 4], [1, 2], [1, 5], [3, 6]])
    scores = low_degree(pairs, 7, torch.Generator().manual_seed(0))
    assert int(scores.argmin()) == 0
    assert int(scores.argmax()) == 6


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_graph_without_edges_still_prunes_its_weights(recipe: str) -> None:
    task = replace(_planted()[0], pairs=torch.empty(0, 2, dtype=torch.int64))
    last = _tickets(recipe, replace(PLAN, epochs=3), task)[-1]
    assert last.edges_pruned == 0
    assert last.weights_pruned > 0.3
