"""The masked graph convolution against its dense formula; the cut form against the masked one."""

import pytest
import torch
from torch import Tensor

from benchmarks.reproduction.graph.gcn import CutGcn, GcnShape, MaskedGcn, SparseFeatures

PAIRS = torch.tensor([[0, 1], [1, 2], [2, 3], [0, 4], [3, 4], [1, 4]])
NODES, FEATURES = 6, 5  # node 5 has no neighbour


def _draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _network(own: bool) -> MaskedGcn:
    network = MaskedGcn(GcnShape(FEATURES, 7, 3, own), seed=3).eval()
    for bias in network.biases:
        torch.nn.init.normal_(bias)
    return network


def _dense(network: MaskedGcn, x: Tensor, edges: Tensor, masks: list[Tensor]) -> Tensor:
    """The formula of the module's docstring, word for word."""
    adjacency = torch.eye(NODES)
    for (i, j), mask in zip(PAIRS.tolist(), edges, strict=True):
        adjacency[i, j] = adjacency[j, i] = mask
    scale = adjacency.sum(dim=1).rsqrt()
    spread = scale[:, None] * adjacency * scale
    weights = [w * m for w, m in zip(network.weights, masks, strict=True)]
    for layer, bias in enumerate(network.biases):
        x = x.relu() if layer else x
        out = spread @ x @ weights[layer] + bias
        x = out + x @ weights[2 + layer] if network.shape.own else out
    return x


def _masks(network: MaskedGcn, share: float = 0.5) -> list[Tensor]:
    return [(_draw(*w.shape, seed=i) > share).float() for i, w in enumerate(network.weights)]


@pytest.mark.parametrize("own", [False, True])
def test_it_computes_the_formula(own: bool) -> None:
    network, x = _network(own), _draw(NODES, FEATURES)
    edges, masks = _draw(len(PAIRS)).sigmoid(), _masks(network)
    torch.testing.assert_close(
        network(x, PAIRS, edges, masks), _dense(network, x, edges, masks), atol=1e-5, rtol=1e-5
    )


def test_a_mask_of_zero_is_a_removed_edge() -> None:
    network, x = _network(True), _draw(NODES, FEATURES)
    masks, kept = network.full_masks(), torch.tensor([1, 0, 1, 1, 0, 1])
    masked = network(x, PAIRS, kept.float(), masks)
    removed = network(x, PAIRS[kept.bool()], torch.ones(4), masks)
    torch.testing.assert_close(masked, removed)


def test_sparse_features_give_the_same_logits_and_slopes() -> None:
    x = _draw(NODES, FEATURES) * (_draw(NODES, FEATURES, seed=1) > 0.3)
    slopes = []
    for features in (x, SparseFeatures.of(x)):
        network = MaskedGcn(GcnShape(FEATURES, 7, 3), seed=3).eval()
        logits = network(features, PAIRS, torch.ones(len(PAIRS)), network.full_masks())
        logits.square().sum().backward()
        slopes.append([logits.detach(), network.weights[0].grad, network.weights[1].grad])
    for dense, sparse in zip(*slopes, strict=True):
        torch.testing.assert_close(dense, sparse)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("share", [-9.0, 0.5, 1.5])
@pytest.mark.parametrize("sparse", [False, True])
def test_the_cut_network_says_the_same(own: bool, share: float, sparse: bool) -> None:
    network, x = _network(own), _draw(NODES, FEATURES)
    masks, pairs = _masks(network, share), PAIRS[:4]
    cut = CutGcn(network, masks)
    found = cut(cut.read(SparseFeatures.of(x) if sparse else x), pairs)
    torch.testing.assert_close(found, network(x, pairs, torch.ones(4), masks), atol=1e-5, rtol=1e-5)


def test_dead_units_and_features_are_gone_and_cost_nothing() -> None:
    network, x = _network(False), _draw(NODES, FEATURES)
    network.biases[0].data[:] = -1.0
    masks = network.full_masks()
    masks[0][:, 2] = 0  # sees nothing, always zero
    masks[1][4] = 0  # nothing reads it
    masks[0][3] = 0  # a feature that nobody reads
    cut, full = CutGcn(network, masks), CutGcn(network, network.full_masks())
    edges = (2 * len(PAIRS) + NODES) * 3
    assert (
        full.macs(full.read(x), len(PAIRS))
        == NODES * 7 * (FEATURES + 3) + (2 * 6 + NODES) * 7 + edges
    )
    assert (
        cut.macs(cut.read(x), len(PAIRS))
        == NODES * 5 * (FEATURES - 1 + 3) + (2 * 6 + NODES) * 5 + edges
    )


def test_without_edges_every_node_stands_alone() -> None:
    network, x = _network(True), _draw(NODES, FEATURES)
    none = torch.empty(0, 2, dtype=torch.int64)
    together = network(x, none, torch.ones(0), network.full_masks())
    alone = [network(row[None], none, torch.ones(0), network.full_masks()) for row in x]
    torch.testing.assert_close(together, torch.cat(alone))


def test_dropout_draws_from_the_networks_own_seed() -> None:
    x, ones = _draw(NODES, FEATURES), torch.ones(len(PAIRS))
    found = []
    for other in (0, 1):
        torch.manual_seed(other)
        network = _network(False).train()
        for bias in network.biases:
            bias.data.zero_()
        found.append(network(x, PAIRS, ones, network.full_masks()))
    torch.testing.assert_close(*found)
