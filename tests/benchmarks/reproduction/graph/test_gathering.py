"""GIN and GAT against their dense formulas; what a pair's mask and a seed do in all kinds."""

import pytest
import torch
from torch import Tensor

from benchmarks.reproduction.graph.gathering import (
    NETWORKS,
    SLOPE,
    MaskedGat,
    MaskedGin,
    masked_network,
)
from benchmarks.reproduction.graph.gcn import GcnShape, MaskedGcn

PAIRS = torch.tensor([[0, 1], [1, 2], [2, 3], [0, 4], [3, 4], [1, 4]])
NODES, FEATURES, HIDDEN, CLASSES = 6, 5, 16, 3  # node 5 has no neighbour


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def network(kind: str) -> MaskedGcn:
    made = masked_network(GcnShape(FEATURES, HIDDEN, CLASSES, kind=kind), seed=3).eval()
    for bias in made.biases:
        torch.nn.init.normal_(bias)
    return made


def adjacency(masks: Tensor) -> Tensor:
    """With the nodes themselves."""
    found = torch.eye(NODES)
    for (i, j), mask in zip(PAIRS.tolist(), masks, strict=True):
        found[i, j] = found[j, i] = mask
    return found


def dense_gin(gin: MaskedGin, x: Tensor, masks: Tensor) -> Tensor:
    spread = adjacency(masks)
    hidden = (spread @ x @ gin.weights[0] + gin.biases[0]).relu()
    return spread @ hidden @ gin.weights[1] + gin.biases[1]


def dense_gat(gat: MaskedGat, x: Tensor, masks: Tensor) -> Tensor:
    spread = adjacency(masks)
    for layer, bias in enumerate(gat.biases):
        x = x.relu() if layer else x
        heard, spoken = gat.attention[layer]
        heads = []
        for head, sent in enumerate((x @ gat.weights[layer]).chunk(len(heard), dim=1)):
            scores = (sent @ heard[head])[:, None] + (sent @ spoken[head])[None]
            heights = torch.where(scores > 0, scores, SLOPE * scores).exp() * spread
            heads.append(heights / heights.sum(1, keepdim=True) @ sent)
        x = torch.cat(heads, dim=1) + bias
    return x


@pytest.mark.parametrize(("kind", "formula"), [("gin", dense_gin), ("gat", dense_gat)])
def test_it_computes_the_formula(kind: str, formula) -> None:
    made, x, masks = network(kind), draw(NODES, FEATURES), draw(len(PAIRS)).sigmoid()
    torch.testing.assert_close(
        made(x, PAIRS, masks, made.full_masks()), formula(made, x, masks), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_mask_of_zero_is_a_removed_pair(kind: str) -> None:
    made, x = network(kind), draw(NODES, FEATURES)
    masks, kept = made.full_masks(), torch.tensor([1, 0, 1, 1, 0, 1])
    masked = made(x, PAIRS, kept.float(), masks)
    torch.testing.assert_close(masked, made(x, PAIRS[kept.bool()], torch.ones(4), masks))


@pytest.mark.parametrize("kind", NETWORKS)
def test_masks_learn_and_a_seed_draws_the_same_network(kind: str) -> None:
    made, again = network(kind), masked_network(GcnShape(FEATURES, HIDDEN, CLASSES, kind=kind), 3)
    for name, parameter in again.named_parameters():
        if "biases" not in name:
            assert torch.equal(parameter, made.get_parameter(name))
    pairs, weights = torch.ones(len(PAIRS), requires_grad=True), made.full_masks()
    for mask in weights:
        mask.requires_grad_()
    made(draw(NODES, FEATURES), PAIRS, pairs, weights).square().sum().backward()
    slopes = [mask.grad for mask in (pairs, *weights)]
    assert all(slope is not None and bool((slope != 0).any()) for slope in slopes)


def test_a_gat_has_no_way_past_the_neighbours() -> None:
    with pytest.raises(ValueError, match="no way past"):
        masked_network(GcnShape(FEATURES, HIDDEN, CLASSES, own=True, kind="gat"), 0)
