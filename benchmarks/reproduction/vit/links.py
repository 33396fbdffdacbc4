"""Which keys a query attends to: the attention level of Tri-Level E-ViT, with the work saved.

The paper keeps for each query its strongest keys and multiplies the dense attention by that mask,
which saves nothing. Here queries are taken in groups of a neighbours, keys in blocks of b:

    attention [n, n] --sum over a x b--> [n/a, n/b] --top m of a row--> links [n/a, m]
    keys, values [n/b, b, d] --gather by links--> [n/a, m b, d] --attention--> n x (m b) products

With a = b = 1 the choice is the paper's. What is computed is the dense attention under the links'
mask (`masked_attention`), and only the products that the mask leaves. Small groups choose better
and run worse: each is a matrix product of its own.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.reproduction.vit.tokens import Blocks, keep_count


@dataclass(frozen=True)
class Links:
    """`kept` [B, Q, m]: the blocks of keys that each group of queries attends to.

    The first `prefix` tokens are in no block: they attend to all, and all to them.
    """

    kept: Tensor
    blocks: Blocks
    prefix: int


def attention(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """q, k, v [..., n, d] -> the attended values [..., n, d], and the weights [..., n, n]."""
    weights = ((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)).softmax(dim=-1)
    return weights.to(v.dtype) @ v, weights


def choose_links(weights: Tensor, prefix: int, ratio: float, blocks: Blocks) -> Links | None:
    """From the attention [B, H, n, n] of the tokens that go on; None where all links stay."""
    patches = weights[:, :, prefix:, prefix:].mean(dim=1)
    n = patches.shape[-1]
    rows, columns = blocks.groups(n), blocks.key_blocks(n)
    wanted = keep_count(columns, ratio)
    if wanted == columns:
        return None
    tiles = F.pad(patches, (0, columns * blocks.keys - n, 0, rows * blocks.queries - n))
    tiles = tiles.unflatten(2, (columns, -1)).unflatten(1, (rows, -1))
    mass = tiles.sum(dim=(2, 4))
    kept = mass.topk(wanted, dim=2, sorted=False).indices.sort(dim=2).values
    return Links(kept, blocks, prefix)


def sparse_attention(q: Tensor, k: Tensor, v: Tensor, links: Links) -> Tensor:
    """q, k, v [B, H, n, d] -> [B, H, n, d], over the linked keys alone."""
    p, n = links.prefix, q.shape[2] - links.prefix
    queries = _blocked(q[:, :, p:] * q.shape[-1] ** -0.5, links.blocks.queries)
    keys, values = (_linked(x, links) for x in (k, v))
    scores = queries @ keys.transpose(-1, -2)
    if n % links.blocks.keys:
        scores = scores.masked_fill(_beyond(links, n), float("-inf"))
    weights = scores.softmax(dim=-1).to(v.dtype)
    patches = (weights @ values).transpose(1, 2).flatten(2, 3)[:, :, :n]
    if not p:
        return patches
    return torch.cat([attention(q[:, :, :p], k, v)[0], patches], dim=2)


def _blocked(x: Tensor, size: int) -> Tensor:
    """[B, H, n, d] -> [B, n / size, H, size, d], zeros after the end."""
    padded = F.pad(x, (0, 0, 0, -x.shape[2] % size))
    return padded.unflatten(2, (-1, size)).transpose(1, 2)


def _linked(x: Tensor, links: Links) -> Tensor:
    """[B, H, prefix + n, d] -> [B, Q, H, prefix + m b, d]: what each group of queries sees."""
    p, (batch, groups, _) = links.prefix, links.kept.shape
    blocks = _blocked(x[:, :, p:], links.blocks.keys)
    first = torch.arange(batch)[:, None, None] * blocks.shape[1]
    chosen = blocks.flatten(0, 1).index_select(0, (links.kept + first).flatten())
    patches = chosen.unflatten(0, links.kept.shape).transpose(2, 3).flatten(3, 4)
    if not p:
        return patches
    front = x[:, None, :, :p].expand(-1, groups, -1, -1, -1)
    return torch.cat([front, patches], dim=3)


def _beyond(links: Links, n: int) -> Tensor:
    """[B, Q, 1, 1, prefix + m b]: the keys after the end."""
    size = links.blocks.keys
    places = links.kept[..., None] * size + torch.arange(size)
    beyond = F.pad(places.flatten(2) >= n, (links.prefix, 0))
    return beyond[:, :, None, None]


def link_mask(links: Links, n: int) -> Tensor:
    """[B, prefix + n, prefix + n]: which query attends to which key."""
    batch, groups, _ = links.kept.shape
    linked = torch.zeros(batch, groups, links.blocks.key_blocks(n), dtype=torch.bool)
    linked.scatter_(2, links.kept, True)
    tokens = linked.repeat_interleave(links.blocks.queries, 1)
    tokens = tokens.repeat_interleave(links.blocks.keys, 2)[:, :n, :n]
    return F.pad(tokens, (links.prefix, 0, links.prefix, 0), value=True)


def masked_attention(q: Tensor, k: Tensor, v: Tensor, links: Links) -> Tensor:
    """The reference of `sparse_attention`: all products, those without a link then masked."""
    mask = link_mask(links, q.shape[2] - links.prefix)[:, None]
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v
