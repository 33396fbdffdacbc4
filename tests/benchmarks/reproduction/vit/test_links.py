"""Block-sparse attention is masked dense attention, and computes what the mask leaves."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.reproduction.vit.links import (
    attention,
    choose_links,
    link_mask,
    masked_attention,
    sparse_attention,
)
from benchmarks.reproduction.vit.tokens import Blocks


def qkv(n: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    draws = (torch.randn(2, 3, n, 8, generator=generator, dtype=dtype) for _ in range(3))
    return tuple(2 * draw for draw in draws)


@pytest.mark.parametrize(
    ("patches", "prefix", "blocks", "ratio"),
    [
        (64, 1, Blocks(8, 8), 0.5),
        (37, 1, Blocks(16, 8), 0.4),
        (36, 0, Blocks(12, 9), 0.3),
        (10, 2, Blocks(1, 1), 0.5),
        (5, 0, Blocks(32, 4), 0.5),
    ],
)
def test_sparse_attention_is_masked_dense_attention(patches, prefix, blocks, ratio):
    q, k, v = (x.requires_grad_() for x in qkv(prefix + patches))
    _, weights = attention(q, k, v)
    links = choose_links(weights.detach(), prefix, ratio, blocks)
    assert links is not None
    ours, theirs = sparse_attention(q, k, v, links), masked_attention(q, k, v, links)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    steer = torch.randn_like(ours)
    gradients = [torch.autograd.grad((y * steer).sum(), (q, k, v)) for y in (ours, theirs)]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


def test_links_are_not_all_of_them_and_matter():
    q, k, v = qkv(65)
    dense, weights = attention(q, k, v)
    links = choose_links(weights, 1, 0.25, Blocks(8, 8))
    assert links is not None
    assert not torch.allclose(sparse_attention(q, k, v, links), dense, atol=1e-3)
    mask = link_mask(links, 64)
    assert mask[:, 0].all() and mask[:, :, 0].all()
    assert (mask[:, 1:, 1:].sum(dim=2) == 16).all()


def test_blocks_of_one_are_each_query_s_strongest_keys():
    q, k, v = qkv(12)
    _, weights = attention(q, k, v)
    links = choose_links(weights, 0, 0.25, Blocks(1, 1))
    assert links is not None
    expected = weights.mean(dim=1).topk(3, dim=2).indices.sort(dim=2).values
    assert torch.equal(links.kept, expected)


def test_the_strongest_block_is_kept():
    weights = torch.full((1, 1, 16, 16), 0.01)
    weights[..., 0:4, 8:12] = 0.5
    links = choose_links(weights, 0, 0.25, Blocks(4, 4))
    assert links is not None
    assert links.kept[0, 0].tolist() == [2]


def test_all_links_are_none_to_choose():
    assert choose_links(torch.rand(1, 1, 16, 16), 0, 1.0, Blocks(8, 4)) is None


def test_a_quarter_of_the_links_costs_a_quarter_of_the_products():
    q, k, v = qkv(64, dtype=torch.float32)
    _, weights = attention(q, k, v)
    links = choose_links(weights, 0, 0.25, Blocks(32, 8))
    assert links is not None
    with FlopCounterMode(display=False) as dense:
        attention(q, k, v)
    with FlopCounterMode(display=False) as sparse:
        sparse_attention(q, k, v, links)
    assert sparse.get_total_flops() * 4 == dense.get_total_flops()
