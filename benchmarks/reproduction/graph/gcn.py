"""A two-layer graph convolution with a mask on every edge and every weight, and its cut form.

    x ─► x W1 ─► Â ─► + x R1 + b1 ─► ReLU ─► h W2 ─► Â ─► + h R2 + b2 ─► logits

Â = D^-1/2 (A * m_g + I) D^-1/2, its degrees counted with the masks (Kipf and Welling 2017; masks:
UGS, Chen et al. 2021). R, the node's own way past its neighbours, is left out in the plain GCN.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr.usage_error import UsageError

try:
    from torch_geometric.nn import MessagePassing  # type: ignore[import-untyped]
    from torch_geometric.nn.conv.gcn_conv import gcn_norm  # type: ignore[import-untyped]
except ImportError as error:
    raise UsageError(
        "graph tickets: torch-geometric is missing; pip install 'pocketsr[laboratory]'"
    ) from error


@dataclass(frozen=True)
class GcnShape:
    """Sizes of the network; `own` gives every layer the way past the neighbours. `kind`: how a node
    gathers from its neighbours, one of NETWORKS (gathering.py)."""

    features: int
    hidden: int
    classes: int
    own: bool = False
    dropout: float = 0.5
    kind: str = "gcn"


@dataclass(frozen=True)
class SparseFeatures:
    """Features [N, F], mostly zero, by rows and, for the gradient, by columns; both CSR."""

    by_row: Tensor
    by_column: Tensor

    @classmethod
    def of(cls, features: Tensor) -> "SparseFeatures":
        """`features` [N, F] in any sparse or dense layout."""
        coo = features.to_sparse_coo().coalesce()
        return cls(coo.to_sparse_csr(), coo.t().coalesce().to_sparse_csr())

    @property
    def shape(self) -> torch.Size:
        return self.by_row.shape


class _SparseProduct(torch.autograd.Function):
    """x W: five times as fast as torch's own COO product, which sorts anew in each backward."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, x: SparseFeatures) -> Tensor:
        ctx.by_column = x.by_column
        return x.by_row @ weight

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        return ctx.by_column @ slope, None


Features = Tensor | SparseFeatures


def product(x: Features, weight: Tensor) -> Tensor:
    """x W."""
    return _SparseProduct.apply(weight, x) if isinstance(x, SparseFeatures) else x @ weight


class _Sum(MessagePassing):
    """Sums what the neighbours send, each by its edge's weight."""

    def __init__(self) -> None:
        super().__init__(aggr="add")

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        return self.propagate(edge_index, x=x, edge_weight=edge_weight)

    def message(self, x_j: Tensor, edge_weight: Tensor) -> Tensor:
        return edge_weight[:, None] * x_j


def both_ways(pairs: Tensor) -> Tensor:
    """[P, 2] undirected -> [2, 2P] directed: all pairs, then all of them turned round."""
    return torch.cat([pairs, pairs.flip(1)]).T.contiguous()


class MaskedGcn(nn.Module):
    """Logits [N, K] of nodes; a pair of nodes has one mask for both directions.

    `weights`: W1, W2, then R1, R2 where the shape has them; the only parameters with masks.
    """

    def __init__(self, shape: GcnShape, seed: int) -> None:
        super().__init__()
        self._draw = draw = torch.Generator().manual_seed(seed)
        sizes = [(shape.features, shape.hidden), (shape.hidden, shape.classes)]
        matrices = [glorot(size, draw) for size in sizes * (2 if shape.own else 1)]
        self.shape = shape
        self.weights = nn.ParameterList(matrices)
        self.biases = nn.ParameterList(torch.zeros(columns) for _, columns in sizes)
        self._sum = _Sum()

    def forward(
        self, x: Features, pairs: Tensor, edge_masks: Tensor, weight_masks: Sequence[Tensor]
    ) -> Tensor:
        """`x` [N, F]; `pairs` [P, 2]; `edge_masks` [P]."""
        edges, values = self._edges(pairs, edge_masks, x.shape[0])
        weights = [w * m for w, m in zip(self.weights, weight_masks, strict=True)]
        hidden = F.relu(self._layer(0, x, weights, edges, values))
        if self.training:
            hidden = _dropped(hidden, self.shape.dropout, self._draw)
        return self._layer(1, hidden, weights, edges, values)

    def _edges(self, pairs: Tensor, masks: Tensor, nodes: int) -> tuple[Tensor, Tensor]:
        """Directed edges [2, E], a node's own among them, and what each weighs [E]."""
        found: tuple[Tensor, Tensor] = gcn_norm(both_ways(pairs), masks.repeat(2), nodes)
        return found

    def _layer(
        self, number: int, x: Features, weights: Sequence[Tensor], edges: Tensor, values: Tensor
    ) -> Tensor:
        out = self._sum(product(x, weights[number]), edges, values) + self.biases[number]
        return out + product(x, weights[2 + number]) if self.shape.own else out

    def full_masks(self) -> list[Tensor]:
        """A mask of ones for every weight."""
        return [torch.ones_like(weight) for weight in self.weights]


def _dropped(x: Tensor, share: float, draw: torch.Generator) -> Tensor:
    """Dropout out of the network's own numbers, so that nothing else a process draws changes it."""
    return x * (torch.rand(x.shape, generator=draw) >= share) / (1 - share)


def glorot(size: tuple[int, int], draw: torch.Generator) -> Tensor:
    """A matrix as Glorot and Bengio draw it (AISTATS 2010)."""
    bound = (6 / sum(size)) ** 0.5
    return (2 * torch.rand(size, generator=draw) - 1) * bound


class CutGcn(nn.Module):
    """A ticket as it runs: removed edges are in no index, dead units in no matrix.

    Gone are hidden units that are always zero or that nothing reads, and features that nothing
    reads. Single zeros inside the matrices that are left are multiplied like other numbers: rows
    of non-zeros alone (CSR) took longer than the whole dense product.
    """

    def __init__(self, network: MaskedGcn, weight_masks: Sequence[Tensor]) -> None:
        super().__init__()
        cut = [(w * m).detach() for w, m in zip(network.weights, weight_masks, strict=True)]
        first, second = cut[0::2], cut[1::2]
        bias1, bias2 = (b.detach() for b in network.biases)
        # A unit that reads no feature but has a bias still says relu(b1): it stays.
        alive = _any(first, dim=0) | (bias1 > 0)
        units = alive & _any(second, dim=1)
        self.features = _any([w[:, units] for w in first], dim=1)
        self._first = [w[self.features][:, units] for w in first]
        self._second = [w[units] for w in second]
        self._bias1, self._bias2 = bias1[units], bias2.clone()
        self._sum = _Sum()

    def read(self, x: Features) -> Features:
        """The features [N, live] of `x` [N, F] that the network reads."""
        if isinstance(x, Tensor):
            return x[:, self.features]
        kept = self.features.nonzero().flatten()
        return SparseFeatures.of(x.by_row.to_sparse_coo().index_select(1, kept))

    def forward(self, x: Features, pairs: Tensor) -> Tensor:
        """Logits [N, K] of what `read` returned; `pairs` [P, 2]: the edges that are left."""
        edges, values = gcn_norm(both_ways(pairs), None, x.shape[0])
        hidden = F.relu(self._layer(x, self._first, self._bias1, edges, values))
        return self._layer(hidden, self._second, self._bias2, edges, values)

    def _layer(
        self, x: Features, weights: Sequence[Tensor], bias: Tensor, edges: Tensor, values: Tensor
    ) -> Tensor:
        sent, *own = [product(x, weight) for weight in weights]
        out = self._sum(sent, edges, values) + bias
        return out + own[0] if own else out

    def macs(self, x: Features, pairs: int) -> int:
        """Multiply-accumulates for what `read` returned: features that are not zero by the hidden
        units, hidden units by the classes, messages both ways and a node's own."""
        nodes, hidden, classes = x.shape[0], len(self._bias1), len(self._bias2)
        entries = x.by_row.values().numel() if isinstance(x, SparseFeatures) else x.numel()
        products = len(self._first) * hidden * (entries + nodes * classes)
        return products + (2 * pairs + nodes) * (hidden + classes)


def _any(matrices: Sequence[Tensor], dim: int) -> Tensor:
    """Which columns (0) or rows (1) have a weight in any of the matrices."""
    return torch.stack([(matrix != 0).any(dim=dim) for matrix in matrices]).any(dim=0)
