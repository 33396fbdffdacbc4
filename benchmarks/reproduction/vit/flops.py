"""Floating-point operations of an encoder: a product and its addition are two, as torch counts.

Matrix products alone: norms, softmax and gathers are left out, by torch's counter as well.
"""

from dataclasses import dataclass

from benchmarks.reproduction.vit.encoder import MLP_RATIO
from benchmarks.reproduction.vit.tokens import Sparsity, keep_count


@dataclass(frozen=True)
class Shape:
    """An encoder's width and depth, and the tokens that come in: `prefix` + `patches`."""

    dim: int
    depth: int
    patches: int
    prefix: int = 0


def encoder_flops(shape: Shape, sparsity: Sparsity | None = None) -> int:
    """Forward, of one image. Training costs three times that."""
    total, n, linked = 0, shape.patches, None
    for block in range(shape.depth):
        chooses = sparsity is not None and block in sparsity.at
        rows = shape.prefix + n
        total += 2 * 4 * rows * shape.dim**2
        total += _attention(shape, n, None if chooses else linked, sparsity)
        if sparsity is not None and chooses:
            n = keep_count(n, sparsity.tokens)
            linked = _linked_blocks(n, sparsity)
        total += 2 * 2 * MLP_RATIO * (shape.prefix + n) * shape.dim**2
    return total


def _linked_blocks(n: int, sparsity: Sparsity) -> int | None:
    """How many blocks of keys a group keeps; None: all, which is dense."""
    count = sparsity.blocks.key_blocks(n)
    kept = keep_count(count, sparsity.links)
    return None if kept == count else kept


def _attention(shape: Shape, n: int, linked: int | None, sparsity: Sparsity | None) -> int:
    """Scores and values, what is padded in the last group and block too."""
    p = shape.prefix
    pairs = (p + n) ** 2
    if linked is not None and sparsity is not None:
        queries = sparsity.blocks.groups(n) * sparsity.blocks.queries
        pairs = p * (p + n) + queries * (p + linked * sparsity.blocks.keys)
    return 2 * 2 * pairs * shape.dim
