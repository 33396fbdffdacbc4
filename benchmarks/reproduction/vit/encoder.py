"""The blocks of a vision transformer (Dosovitskiy et al., ICLR 2021), that choose on the way.

tokens ─► norm ─► attention ─► + ─► [choose tokens and links] ─► norm ─► MLP ─► + ─► next block
             (dense in blocks that choose, over the chosen links in those that follow)
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.reproduction.vit.links import Links, attention, choose_links, sparse_attention
from benchmarks.reproduction.vit.tokens import Seen, Sparsity, Tokens, choose, gather, keep_count

MLP_RATIO = 4


class Block(nn.Module):
    """Attention and an MLP, each after a LayerNorm and around a residual connection."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.rise, self.fall = nn.Linear(dim, MLP_RATIO * dim), nn.Linear(MLP_RATIO * dim, dim)

    def attend(self, x: Tensor, links: Links | None) -> tuple[Tensor, Tensor | None]:
        """[B, n, D] -> the same with attention added, and the weights [B, H, n, n] where they
        are dense."""
        split = self.qkv(self.norm1(x)).unflatten(2, (3, self.heads, -1))
        q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)
        weights = None
        if links is None:
            mixed, weights = attention(q, k, v)
        else:
            mixed = sparse_attention(q, k, v, links)
        return x + self.out(mixed.transpose(1, 2).flatten(2)), weights

    def feed(self, x: Tensor) -> Tensor:
        """[B, n, D] -> the same with the MLP added."""
        y: Tensor = x + self.fall(F.gelu(self.rise(self.norm2(x))))
        return y


class Encoder(nn.Module):
    """Blocks one after another, and a last LayerNorm on what comes out."""

    def __init__(self, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        self.dim, self.depth, self.heads = dim, depth, heads
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens: Tokens, sparsity: Sparsity | None = None) -> Tokens:
        """Run the tokens through; with `sparsity`, fewer and fewer of them."""
        links = None
        for number, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            if sparsity is not None and number in sparsity.at:
                x, weights = block.attend(tokens.x, None)
                assert weights is not None
                tokens, links = thin(replace(tokens, x=x), weights.detach(), sparsity)
            else:
                x, _ = block.attend(tokens.x, links)
                tokens = replace(tokens, x=x)
            tokens = replace(tokens, x=block.feed(tokens.x))
        return tokens

    def normed(self, x: Tensor) -> Tensor:
        """[B, n, D] -> what a head reads."""
        y: Tensor = self.norm(x)
        return y


@torch.no_grad()
def _chosen_links(weights: Tensor, places: Tensor | None, prefix: int, s: Sparsity) -> Links | None:
    """Links among the tokens that go on, by the attention that they had."""
    if s.links >= 1:
        return None
    if places is not None:
        front = torch.arange(prefix).expand(len(places), prefix)
        index = torch.cat([front, places + prefix], dim=1)
        rows = gather(weights.mean(dim=1), index)
        weights = gather(rows.transpose(1, 2), index).transpose(1, 2)[:, None]
    return choose_links(weights, prefix, s.links, s.blocks)


def thin(tokens: Tokens, weights: Tensor, sparsity: Sparsity) -> tuple[Tokens, Links | None]:
    """The tokens and links that stay, by the attention [B, H, n, n] of all tokens so far."""
    n = tokens.kept.shape[1]
    count, places = keep_count(n, sparsity.tokens), None
    if count < n:
        seen = Seen(weights, tokens.prefix, tokens.detail)
        places = choose(sparsity.score(seen), count)
        tokens = tokens.keep(places)
    return tokens, _chosen_links(weights, places, tokens.prefix, sparsity)
