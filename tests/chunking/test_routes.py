"""Routes: budgets kept, optimal on small cases by brute force, coarse patches merged."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chunking.route_plan import plan_routes, split_routes
from player.package.paths import (
    BICUBIC,
    COARSE,
    EASY,
    HARD,
    merge_coarse,
    network_of,
    path_of,
    route_codes,
)

seeds = st.integers(0, 2**32 - 1)


def clip(seed: int, frames: int = 3, rows: int = 3, columns: int = 5):
    """Errors that mostly fall from bicubic to hard, and costs a cell on each path."""
    rng = np.random.default_rng(seed)
    shape = (frames, rows, columns)
    bicubic = rng.lognormal(3, 1.5, shape)
    easy = bicubic * rng.uniform(0.5, 1.05, shape)
    hard = easy * rng.uniform(0.4, 1.05, shape)
    macs = np.array([0, 10, 45])[:, None, None] * rng.integers(1, 5, (1, rows, columns))
    return np.stack([bicubic, easy, hard]), macs


def cost_and_error(codes, sse, macs) -> tuple[float, float]:
    paths = path_of(codes)[None].astype(int)
    spent = np.take_along_axis(np.broadcast_to(macs[:, None], sse.shape), paths, axis=0)
    return float(spent.sum()), float(np.take_along_axis(sse, paths, axis=0).sum())


@given(seeds, st.floats(0, 1))
def test_a_budget_is_kept_and_used(seed, share):
    sse, macs = clip(seed)
    everything = float(macs[HARD].sum() * len(sse[0]))
    spent, _ = cost_and_error(plan_routes(sse, macs, share * everything), sse, macs)
    assert spent <= share * everything
    # What is left over is less than one step, or nothing was left to gain.
    best = np.take_along_axis(macs, sse.argmin(axis=0).reshape(-1, *macs.shape[1:]), axis=0).sum()
    assert spent > share * everything - macs[HARD].max() or spent == pytest.approx(best)


@given(seeds, st.floats(0, 1), st.floats(0, 1))
def test_more_budget_is_never_worse(seed, first, second):
    sse, macs = clip(seed)
    everything = float(macs[HARD].sum() * len(sse[0]))
    low, high = (
        cost_and_error(plan_routes(sse, macs, share * everything), sse, macs)
        for share in sorted((first, second))
    )
    assert low[0] <= high[0] and low[1] >= high[1]


@given(seeds)
def test_budget_for_all_hard_is_all_hard_where_hard_is_best(seed):
    sse, macs = clip(seed)
    sse = -np.sort(-sse, axis=0)  # no ties: bicubic worst, hard best
    codes = plan_routes(sse, macs, float(macs[HARD].sum() * len(sse[0])))
    assert (path_of(codes) == HARD).all()
    assert (path_of(plan_routes(sse, macs, 0)) == BICUBIC).all()


@given(seeds, st.floats(0.05, 0.95))
@settings(max_examples=30)
def test_better_than_random_routes_of_the_same_macs(seed, share):
    sse, macs = clip(seed, frames=2)
    spent, error = cost_and_error(
        plan_routes(sse, macs, share * float(macs[HARD].sum() * 2)), sse, macs
    )
    rng = np.random.default_rng(seed)
    for _ in range(50):
        codes = rng.integers(0, 3, sse.shape[1:]).astype(np.uint8)
        other_spent, other_error = cost_and_error(codes, sse, macs)
        assert other_spent > spent or other_error >= error


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_optimal_for_what_it_spends_by_brute_force(seed):
    sse, macs = clip(seed, frames=1, rows=2, columns=3)
    every = [
        cost_and_error(np.array(paths, np.uint8).reshape(1, 2, 3), sse, macs)
        for paths in product(range(3), repeat=6)
    ]
    for share in (0.1, 0.35, 0.6, 0.9):
        codes = plan_routes(sse, macs, share * float(macs[HARD].sum()))
        spent, error = cost_and_error(codes, sse, macs)
        assert error <= min(e for s, e in every if s <= spent) * (1 + 1e-12)


@given(seeds, st.floats(0, 3))
def test_loss_is_kept_and_macs_are_saved(seed, loss_db):
    sse, macs = clip(seed)
    spent, error = cost_and_error(plan_routes(sse, macs, max_loss_db=loss_db), sse, macs)
    # Of the best routes, which are no worse than the hard path everywhere.
    assert 10 * np.log10(error / sse.min(axis=0).sum()) <= loss_db + 1e-9
    assert spent <= macs[HARD].sum() * len(sse[0])
    tighter, _ = cost_and_error(plan_routes(sse, macs, max_loss_db=loss_db / 2), sse, macs)
    assert spent <= tighter


def test_a_network_without_easy_path_never_takes_it():
    sse, macs = clip(5)
    sse[EASY] = np.inf
    for share in (0.2, 0.7, 1.0):
        codes = plan_routes(sse, macs, share * float(macs[HARD].sum() * 3))
        assert EASY not in path_of(codes) and HARD in path_of(codes)


def test_exactly_one_limit():
    sse, macs = clip(0)
    for limits in ({}, {"budget_macs": 1.0, "max_loss_db": 1.0}):
        with pytest.raises(ValueError, match="either"):
            plan_routes(sse, macs, **limits)


@given(st.integers(1, 5), st.integers(1, 5), seeds)
def test_exactly_the_equal_coarse_patches_are_merged(rows, columns, seed):
    rng = np.random.default_rng(seed)
    codes = route_codes(rng.choice([0, 2], (2, rows, columns), p=[0.2, 0.8]))
    merged = merge_coarse(codes)
    assert np.array_equal(merged & ~np.uint8(COARSE), codes)
    for t, r, c in product(range(2), range(0, rows, 2), range(0, columns, 2)):
        block = np.s_[t, r : r + 2, c : c + 2]
        whole = len(np.unique(codes[block])) == 1
        assert ((merged[block] & COARSE) != 0).all() == whole
        assert len(np.unique(merged[block] & COARSE)) == 1


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 15)), min_size=1, max_size=20))
def test_codes_hold_path_and_network(routes):
    paths, networks = (np.array(column).reshape(1, 1, -1) for column in zip(*routes, strict=True))
    codes = route_codes(paths, networks)
    assert np.array_equal(path_of(codes), paths)
    assert np.array_equal(network_of(merge_coarse(codes)), networks)


def test_networks_beyond_the_format_are_refused():
    with pytest.raises(ValueError, match="16 networks"):
        route_codes(np.zeros((1, 1, 1), int), 16)


def test_dydca_cuts_the_coarse_patches_below_the_threshold():
    codes = split_routes(np.array([[[35.0, 45.0], [40.0, 30.0]]]), 40.0, (3, 4))
    whole = EASY | COARSE
    assert codes[0].tolist() == [
        [HARD, HARD, whole, whole],
        [HARD, HARD, whole, whole],
        [whole, whole, HARD, HARD],
    ]
