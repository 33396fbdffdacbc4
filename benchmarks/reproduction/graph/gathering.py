"""Graph networks that gather from the neighbours in other ways than a GCN, masked as it is.

GIN (Xu et al., "How powerful are graph neural networks?", ICLR 2019) adds up what a node and its
neighbours say; GAT (Velickovic et al., "Graph attention networks", ICLR 2018) asks each pair of
nodes how much to listen. One matrix a layer, as UGS prunes them; a pair's mask multiplies what is
sent along it, so that a mask of zero is a removed pair in all of them.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.reproduction.graph.gcn import (
    Features,
    GcnShape,
    MaskedGcn,
    both_ways,
    glorot,
    product,
)

HEADS = (8, 1)  # of GAT's two layers, as published
SLOPE = 0.2  # of the leaky ReLU in GAT's scores


class MaskedGin(MaskedGcn):
    """(x_i + the sum of m_ij x_j) W, epsilon 0."""

    def _edges(self, pairs: Tensor, masks: Tensor, nodes: int) -> tuple[Tensor, Tensor]:
        loops = torch.arange(nodes).expand(2, nodes)
        weights = torch.cat([masks.repeat(2), masks.new_ones(nodes)])
        return torch.cat([both_ways(pairs), loops], 1), weights


class MaskedGat(MaskedGin):
    """The sum of a_ij x_j W: a_i is a softmax over node i and its neighbours, times their masks.

    The attention's own vectors have no masks: they are hardly any of the weights.
    """

    def __init__(self, shape: GcnShape, seed: int) -> None:
        if shape.own:
            raise ValueError("a GAT hears the node itself: it has no way past the neighbours")
        super().__init__(shape, seed)
        widths = (shape.hidden // HEADS[0], shape.classes)
        sizes = zip(HEADS, widths, strict=True)
        self.attention = nn.ParameterList(
            torch.stack([glorot(size, self._draw) for _ in range(2)]) for size in sizes
        )

    def _layer(
        self, number: int, x: Features, weights: Sequence[Tensor], edges: Tensor, values: Tensor
    ) -> Tensor:
        sent = product(x, weights[number]).unflatten(1, (HEADS[number], -1))  # [N, H, D]
        source, target = edges
        heard, spoken = ((sent * vector).sum(2) for vector in self.attention[number])
        scores = F.leaky_relu(spoken[source] + heard[target], SLOPE)
        listened = _softmax(scores, values, target, len(sent))[..., None] * sent[source]
        gathered = torch.zeros_like(sent).index_add(0, target, listened)
        return gathered.flatten(1) + self.biases[number]


def _softmax(scores: Tensor, masks: Tensor, target: Tensor, nodes: int) -> Tensor:
    """[E, H]: of scores [E, H] over the edges of each target, each exponential times its mask."""
    places = target[:, None].expand_as(scores)
    lowest = scores.new_full((nodes, scores.shape[1]), float("-inf"))
    largest = lowest.scatter_reduce(0, places, scores.detach(), "amax")
    heights = (scores - largest[target]).exp() * masks[:, None]
    # A node hears itself at least: no sum is zero.
    return heights / torch.zeros_like(lowest).index_add(0, target, heights)[target]


NETWORKS: Mapping[str, type[MaskedGcn]] = {"gcn": MaskedGcn, "gin": MaskedGin, "gat": MaskedGat}


def masked_network(shape: GcnShape, seed: int) -> MaskedGcn:
    """The network of the shape's kind, its weights drawn with a seed."""
    return NETWORKS[shape.kind](shape, seed)
