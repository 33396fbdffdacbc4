"""The encoder: fewer tokens are computed, none is lost, no gradient goes through the choice."""

import math
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.reproduction.vit.encoder import Encoder
from benchmarks.reproduction.vit.flops import Shape, encoder_flops
from benchmarks.reproduction.vit.tokens import (
    AtRandom,
    Blocks,
    Schedule,
    Seen,
    Sparsity,
    Tokens,
    by_class_token,
    by_detail,
    by_received,
    choose,
    keep_count,
)


def encoder(depth: int = 4) -> Encoder:
    torch.manual_seed(0)
    return Encoder(16, depth, 2)


def tokens(n: int = 20, prefix: int = 0, detail: bool = False) -> Tokens:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3, prefix + n, 16, generator=generator)
    amount = torch.rand(3, n, generator=generator) if detail else None
    return Tokens.all(x, prefix, amount)


@pytest.mark.parametrize("prefix", [0, 1])
@pytest.mark.parametrize(
    "sparsity",
    [
        None,
        Sparsity((1, 2), tokens=0.7),
        Sparsity((1,), links=0.5, blocks=Blocks(6, 4)),
        Sparsity((0, 2), tokens=0.8, links=0.5, blocks=Blocks(5, 3)),
    ],
)
def test_our_count_is_torch_s(prefix, sparsity):
    model, given = encoder(), tokens(20, prefix)
    with FlopCounterMode(display=False) as counter:
        model(given, sparsity)
    assert counter.get_total_flops() == 3 * encoder_flops(Shape(16, 4, 20, prefix), sparsity)


def test_training_costs_three_times_the_forward():
    model, given = encoder(), tokens(20, 1)
    given.x.requires_grad_()
    sparsity = Sparsity((1,), tokens=0.6, links=0.5, blocks=Blocks(6, 4))
    with FlopCounterMode(display=False) as counter:
        model(given, sparsity).x.square().sum().backward()
    assert counter.get_total_flops() == 9 * encoder_flops(Shape(16, 4, 20, 1), sparsity)


def test_tokens_fall_by_the_ratio_at_each_choice_and_stay_in_order():
    out = encoder()(tokens(20), Sparsity((1, 2), tokens=0.7))
    assert out.kept.shape == (3, math.ceil(0.7 * math.ceil(0.7 * 20)))
    assert (out.kept.diff(dim=1) > 0).all()
    assert out.states().shape == (3, 20, 16)


def test_tokens_left_behind_keep_their_last_state():
    model, given = encoder(2), tokens(20, 1, detail=True)
    out = model(given, Sparsity((1,), tokens=0.5, score=by_detail))
    first = model.blocks[0]
    x, _ = first.attend(given.x, None)
    x, _ = model.blocks[1].attend(first.feed(x), None)
    gone = torch.ones(3, 20, dtype=torch.bool).scatter_(1, out.kept, False)
    torch.testing.assert_close(out.states()[:, 1:][gone], x[:, 1:][gone])
    assert not torch.allclose(out.states()[:, 1:][~gone], x[:, 1:][~gone])
    detail = given.detail
    assert detail is not None
    assert (detail[gone].view(3, -1).amax(1) < detail[~gone].view(3, -1).amin(1)).all()


def test_full_ratios_change_nothing():
    model, given = encoder(), tokens(20, 1)
    dense, same = model(given).x, model(given, Sparsity((1, 2))).x
    assert torch.equal(dense, same)


def test_gradients_are_those_of_a_choice_made_beforehand():
    model, given = encoder(3), tokens(20)
    given.x.requires_grad_()
    chosen = model(given, Sparsity((0,), tokens=0.5, score=by_received)).kept
    forced = Sparsity((0,), tokens=0.5, score=lambda seen: torch.zeros(3, 20).scatter(1, chosen, 1))
    gradients = []
    for sparsity in (replace(forced, score=by_received), forced):
        out = model(given, sparsity)
        assert torch.equal(out.kept, chosen)
        gradients.append(torch.autograd.grad(out.states().square().sum(), given.x)[0])
    assert torch.equal(*gradients)
    assert gradients[0].abs().amax(dim=2).min() > 0  # what is left behind learns too


def test_scores_rank_what_they_say():
    attention = torch.zeros(1, 2, 4, 4)
    attention[0, :, 0] = torch.tensor([0.0, 0.1, 0.6, 0.3])
    attention[0, :, 1:, 3] = 1.0
    assert choose(by_class_token(Seen(attention, 1)), 1).tolist() == [[1]]
    assert choose(by_received(Seen(attention, 1)), 1).tolist() == [[2]]
    with pytest.raises(ValueError, match="no detail"):
        by_detail(Seen(attention, 1))


def test_random_tokens_repeat_by_seed_and_change_each_time():
    seen = Seen(torch.zeros(4, 1, 33, 33), 1)
    one, again = AtRandom(3), AtRandom(3)
    first = one(seen)
    assert first.shape == (4, 32)
    assert torch.equal(first, again(seen))
    assert not torch.equal(first, one(seen))


def test_the_schedule_is_dense_then_a_cosine_then_the_target():
    target, schedule = Sparsity((1,), tokens=0.6, links=0.2), Schedule(10, 20)
    found = [schedule.at(step, target) for step in (0, 10, 20, 30, 99)]
    assert [s.tokens for s in found] == pytest.approx([1, 1, 0.8, 0.6, 0.6])
    assert [s.links for s in found] == pytest.approx([1, 1, 0.6, 0.2, 0.2])
    falls = [schedule.at(step, target).tokens for step in range(40)]
    assert falls == sorted(falls, reverse=True)
    assert len(set(falls)) == 9


@pytest.mark.parametrize(("n", "ratio", "kept"), [(10, 0.7, 7), (10, 0.71, 8), (3, 0.01, 1)])
def test_counts_round_up(n, ratio, kept):
    assert keep_count(n, ratio) == kept
