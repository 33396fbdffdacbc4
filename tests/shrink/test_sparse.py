"""Sparse training: ERK's shares, masks that hold, what is pruned and grown, zeros that stay."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.shrinking.controls import drawn_mask
from player.package.architecture import Architecture
from player.package.weights import pack_weights, unpack_weights
from sr.models import build_network
from sr.packing import pack_integers
from sr.quant.finetune import fine_tune, quantise_trained
from sr.shrink.sparse import (
    KeepZeros,
    SparsePlan,
    SparseTraining,
    SparseWeights,
    erk_counts,
    largest_mask,
)
from sr.training.data import CropSampler, TrainingSet
from sr.training.loop import TrainingPlan, overfit

ARCH = Architecture("chain", 2, (8, 8, 8), (1, 3))
MARGIN = 3
SHAPES = [(32, 3, 3, 3), (32, 32, 3, 3), (64, 32, 3, 3), (48, 64, 1, 1)]


@pytest.fixture
def sampler() -> CropSampler:
    hr = np.random.default_rng(0).integers(0, 256, (3, 120, 200, 3), np.uint8)
    margin = (MARGIN, MARGIN)
    lr = np.pad(hr[:, ::2, ::2], ((0, 0), margin, margin, (0, 0)), "edge")
    return CropSampler(TrainingSet(lr, hr, 2, MARGIN), np.ones((3, 2, 3)), (54, 48), 2, seed=7)


def trunk_weights(network) -> list[nn.Parameter]:
    return [network.trunk[i].weight for i in (1, 2)]


def erk_by_bisection(shapes, nonzeros: int) -> list[float]:
    """The formula itself: density = min(1, e (O + I + k + k) / (O I k k)), e by bisection."""
    sizes = [math.prod(s) for s in shapes]
    low, high = 0.0, 1e6
    for _ in range(200):
        e = (low + high) / 2
        counts = [min(n, e * sum(s)) for s, n in zip(shapes, sizes, strict=True)]
        low, high = (e, high) if sum(counts) < nonzeros else (low, e)
    return counts


@pytest.mark.parametrize("share", [0.01, 0.1, 0.37, 0.8, 1.0])
def test_erk_shares_follow_the_formula_and_add_up_exactly(share):
    nonzeros = round(share * sum(math.prod(s) for s in SHAPES))
    counts = erk_counts(SHAPES, nonzeros)
    assert sum(counts) == nonzeros
    for count, wanted in zip(counts, erk_by_bisection(SHAPES, nonzeros), strict=True):
        assert abs(count - wanted) < 1


def test_erk_golden_values():
    assert erk_counts(SHAPES, 5000) == (627, 1070, 1560, 1743)  # 41 : 70 : 102 : 114
    assert erk_counts(SHAPES, 12_000)[::3] == (864, 3072)  # both would exceed 1: dense


def test_erk_refuses_more_than_there_are():
    with pytest.raises(ValueError, match="do not fit"):
        erk_counts([(2, 2, 1, 1)], 5)


def test_start_masks_hold_exactly_the_counts_and_the_largest_keeps_the_identity():
    weight = build_network(ARCH).trunk[1].weight
    rng = torch.Generator().manual_seed(0)
    drawn, largest = (mask(weight, 50, rng) for mask in (drawn_mask, largest_mask))
    assert int(drawn.sum()) == int(largest.sum()) == 50
    centre = torch.arange(8)
    assert largest[centre, centre, 1, 1].all()
    assert not torch.equal(drawn, largest)


def random_sparse(seed: int = 0, nonzeros: int = 90) -> SparseWeights:
    torch.manual_seed(seed)
    weights = [nn.Parameter(torch.randn(6, 4, 3, 3)), nn.Parameter(3 * torch.randn(5, 6, 3, 3))]
    return SparseWeights.start(weights, nonzeros, seed, drawn_mask)


def sizes(sparse: SparseWeights) -> list[float]:
    pairs = zip(sparse.weights, sparse.masks, strict=True)
    return sorted((abs(v) for w, m in pairs for v in w.detach()[m].tolist()), reverse=True)


def test_pruning_keeps_the_largest_weights_over_all_layers():
    sparse = random_sparse()
    live = sizes(sparse)
    sparse.prune(40)
    assert sparse.nonzeros == 40
    assert sizes(sparse) == live[:40]
    assert int(sparse.masks[1].sum()) > 25  # one layer's weights are three times as large


def test_dense_weights_count_and_lose_none():
    torch.manual_seed(0)
    weights = [nn.Parameter(1e-6 * torch.randn(6, 4, 3, 3)), nn.Parameter(torch.randn(5, 6, 3, 3))]
    sparse = SparseWeights.start(weights, 300, mask=drawn_mask, dense={0})
    assert [int(mask.sum()) for mask in sparse.masks] == [216, 84]
    sparse.prune(250)
    assert [int(mask.sum()) for mask in sparse.masks] == [216, 34]
    sparse.forbid(0, torch.tensor([True] * 5 + [False]), None)
    sparse.grow(250, [torch.ones_like(w) for w in weights])
    assert [int(mask.sum()) for mask in sparse.masks] == [180, 70]
    with pytest.raises(ValueError, match="do not fit"):
        SparseWeights.start(weights, 200, mask=drawn_mask, dense={0})


def test_pruning_to_more_than_there_are_changes_nothing():
    sparse = random_sparse()
    before = [mask.clone() for mask in sparse.masks]
    sparse.prune(1000)
    assert all(torch.equal(a, b) for a, b in zip(before, sparse.masks, strict=True))


def test_growth_takes_the_largest_gradients_among_what_is_off_and_allowed():
    sparse = random_sparse()
    sparse.forbid(0, torch.tensor([True] * 5 + [False]), None)
    sparse.forbid(1, None, torch.tensor([True] * 5 + [False]))
    before, old = sparse.nonzeros, [mask.clone() for mask in sparse.masks]
    gradients = [torch.randn_like(w) for w in sparse.weights]
    candidates = []
    for layer, gradient in enumerate(gradients):
        for at in np.ndindex(*gradient.shape):
            free = bool(sparse.allowed[layer][at]) and not bool(old[layer][at])
            if free:
                candidates.append((abs(float(gradient[at])), layer, at))
    wanted = {(layer, at) for _, layer, at in sorted(candidates, reverse=True)[:30]}
    sparse.grow(before + 30, gradients)
    pairs = zip(sparse.masks, old, strict=True)
    grown = {
        (layer, tuple(int(i) for i in at))
        for layer, (mask, was) in enumerate(pairs)
        for at in (mask & ~was).nonzero()
    }
    assert grown == wanted


def test_growth_fills_exactly_even_where_gradients_tie():
    sparse = random_sparse()
    sparse.grow(200, [torch.zeros_like(w) for w in sparse.weights])
    assert sparse.nonzeros == 200
    sparse.grow(10_000, [torch.zeros_like(w) for w in sparse.weights])
    assert sparse.nonzeros == sparse.room == 6 * 4 * 9 + 5 * 6 * 9


def test_masks_are_cut_to_what_is_allowed():
    sparse = random_sparse()
    sparse.forbid(0, torch.tensor([True, False, True, True, False, True]), None)
    sparse.forbid(1, None, torch.tensor([True, False, True, True, False, True]))
    first, second = sparse.cut_masks()
    assert first.shape == (4, 4, 3, 3) and second.shape == (5, 4, 3, 3)
    assert int(first.sum() + second.sum()) == sparse.nonzeros


PLAN = SparsePlan(200, nonzeros=1000, extra=100, interval=20, averaged=4)


def test_the_soft_memory_bound_and_the_ordinary_part_golden_values():
    assert PLAN.counts(20) == (1000, 1093)
    assert PLAN.counts(60) == (1000, 1050)
    assert PLAN.counts(120) == (1000, 1000)
    assert PLAN.counts(140) == (995, 1000)
    longer = SparsePlan(200, 1000, 100, 20, explore_share=0.5, settle_share=0.9)
    assert longer.counts(120) == (572, 1000)


def test_masks_change_at_intervals_until_they_are_fixed():
    assert [done for done in range(201) if PLAN.is_due(done)] == [20, 40, 60, 80, 100, 120, 140]


def test_gradients_are_read_just_before_each_change():
    read = [step for step in range(200) if PLAN.reads(step)]
    assert read[:5] == [16, 17, 18, 19, 36]
    assert read[-1] == 139


def test_growth_follows_the_mean_gradient_and_not_the_last_batch():
    weight = nn.Parameter(torch.ones(2, 2, 1, 1))
    sparse = SparseWeights.of([weight], [torch.tensor([1, 0, 0, 0]).bool().reshape(2, 2, 1, 1)])
    training = SparseTraining(
        sparse, SparsePlan(100, 1, 0, interval=4, averaged=3, explore_share=1)
    )
    too_early, steady, noise, noise_back = [0, 0, 9, 0], [0, 1, 0, 0], [0, 1, 0, -3], [0, 1, 0, 3]
    for step, gradient in enumerate([too_early, steady, noise, noise_back]):
        weight.grad = torch.tensor(gradient).float().reshape(2, 2, 1, 1)
        training.after_backward(step)
        assert not weight.grad[~sparse.masks[0]].any()
    sparse.grow(2, training._sums)
    assert sparse.masks[0].flatten().tolist() == [True, True, False, False]


@pytest.mark.parametrize("muon_rate", [0.02, None])
def test_masks_hold_after_each_step_and_the_count_is_the_plans(sampler, muon_rate):
    network = build_network(ARCH)
    weights = trunk_weights(network)
    sparse = SparseWeights.start(weights, 300, mask=largest_mask)
    plan = SparsePlan(24, 300, 60, interval=3, averaged=2)
    first, seen = [mask.clone() for mask in sparse.masks], []

    def look(done: int, quality_db: float) -> None:
        for weight, mask in zip(weights, sparse.masks, strict=True):
            assert not weight[~mask].any()
        seen.append(sparse.nonzeros)

    overfit(
        network,
        sampler,
        TrainingPlan(24, muon_rate=muon_rate),
        on_step=look,
        companion=SparseTraining(sparse, plan),
    )
    wanted = [300]
    for done in range(1, 25):
        wanted.append(plan.counts(done)[1] if plan.is_due(done) else wanted[-1])
    assert seen == wanted[1:]
    assert max(seen) > 300 and seen[-1] == 300
    assert any(not torch.equal(a, b) for a, b in zip(first, sparse.masks, strict=True))


def sparse_run(sampler, path=None, on_step=None, seed: int = 0):
    network = build_network(ARCH, seed=seed)
    sparse = SparseWeights.start(trunk_weights(network), 300, mask=largest_mask)
    training = SparseTraining(sparse, SparsePlan(12, 300, 60, interval=3, averaged=3))
    overfit(network, sampler, TrainingPlan(12), path, on_step, training)
    return network


def test_a_sparse_run_cut_in_two_ends_with_the_same_bits(sampler, tmp_path):
    class Cut(Exception):
        pass

    def cut(step: int, quality_db: float) -> None:
        if step == 5:  # between two changes, with gradients of one batch read
            raise Cut

    whole = sparse_run(sampler)
    with pytest.raises(Cut):
        sparse_run(sampler, tmp_path / "t.ckpt", cut)
    resumed = sparse_run(sampler, tmp_path / "t.ckpt", seed=99)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def sparse_network():
    network = build_network(ARCH)
    SparseWeights.start(trunk_weights(network), 300, mask=largest_mask)
    return network


def test_zeros_stay_through_fine_tuning_into_the_integers(sampler):
    network = sparse_network()
    zeros = [(w == 0).numpy() for w in trunk_weights(network)]
    before = [w.detach().clone() for w in trunk_weights(network)]
    after = trunk_weights(network)
    keep = KeepZeros(network)
    integers = fine_tune(network, sampler, TrainingPlan(6, muon_rate=1.0), companion=keep)
    for i, (zero, old, new) in enumerate(zip(zeros, before, after, strict=True), start=1):
        assert not integers[f"trunk.{i}.weight"][zero].any()
        moved = (new != old)[~torch.from_numpy(zero)]
        assert moved.float().mean() > 0.5


def test_without_keep_zeros_the_fine_tuning_fills_them(sampler):
    network = sparse_network()
    zero = (network.trunk[1].weight == 0).numpy()
    integers = fine_tune(network, sampler, TrainingPlan(6, muon_rate=1.0))
    assert integers["trunk.1.weight"][zero].any()


def test_a_sparse_network_takes_fewer_bytes_and_unpacks_to_the_same(sampler):
    arch = Architecture("chain", 2, (32, 32, 32), (1, 3))
    dense, sparse = build_network(arch), build_network(arch)
    SparseWeights.start(trunk_weights(sparse), 1800, mask=largest_mask)
    blobs = []
    for network in (dense, sparse):
        blobs.append(pack_integers(arch, quantise_trained(network, sampler)))
    assert len(blobs[1]) < 0.5 * len(blobs[0])
    blob = unpack_weights(blobs[1])
    assert pack_weights(blob.arch, blob.tensors, blob.dtype, blob.self_test) == blobs[1]
    assert int(np.count_nonzero(blob.tensors["trunk.1.weight"])) <= 900
