"""Routes with a price a bit: exact for one cell, cheaper by the coder's count, limits kept."""

from itertools import product

import numpy as np
import pytest

from chunking.priced_routes import CHANGE_BITS, STAY_BITS, cheapest_paths, of_paths, priced_routes
from chunking.route_plan import plan_routes
from player.package.paths import BICUBIC, HARD, merge_coarse, path_of, route_codes
from player.package.route_maps import route_bits

MACS = np.array([1.0, 10.0, 45.0])[:, None, None, None]


def moving(seed: int, groups: int = 8, rows: int = 10, columns: int = 16) -> np.ndarray:
    """Errors [3, G, gh, gw] of a film in which something moves that the network gains most on, and
    noise; where nothing is, the network harms."""
    rng = np.random.default_rng(seed)
    t, y, x = np.mgrid[:groups, :rows, :columns]
    inside = (abs(x - t) < 4) & (abs(y - 4) < 3)
    bicubic = np.where(inside, 200.0, 20.0) * rng.lognormal(0, 0.2, inside.shape)
    gains = np.where(inside, [[[[0.9]]], [[[0.6]]]], [[[[1.01]]], [[[1.05]]]])
    return np.concatenate([bicubic[None], bicubic * gains * rng.lognormal(0, 0.02, gains.shape)])


def starts_of(groups: int, *more: int) -> np.ndarray:
    return np.isin(np.arange(groups), (0, *more))


@pytest.mark.parametrize("seed", range(4))
def test_a_cell_by_itself_takes_the_best_course_of_all(seed):
    """Against all 3^5 courses; at a start a change costs nothing."""
    costs = np.random.default_rng(seed).exponential(10.0, (3, 5, 1, 1))
    starts, price = starts_of(5, 3), 1.3

    def total(course: tuple[int, ...]) -> float:
        bits = sum(
            CHANGE_BITS[0] if course[g] != course[g - 1] else STAY_BITS[0]
            for g in range(5)
            if not starts[g]
        )
        return sum(costs[p, g, 0, 0] for g, p in enumerate(course)) + price * bits

    found = tuple(cheapest_paths(costs, starts, price).ravel().tolist())
    assert found == min(product(range(3), repeat=5), key=total)


@pytest.mark.parametrize("seed", range(3))
def test_priced_maps_are_a_fraction_and_worth_it(seed):
    """Distortion and rate together fall, by the bits that the coder really takes."""
    sse, price = moving(seed), 2.0
    macs = np.broadcast_to(MACS, sse.shape)
    # As far below the hard path everywhere as the priced map may be below the best routes.
    spare_db = 10 * np.log10(sse[HARD].sum() / sse.min(axis=0).sum())
    plain = path_of(plan_routes(sse, MACS, max_loss_db=0.05 + spare_db))
    priced = priced_routes(sse, macs, starts_of(len(plain)), price, max_loss_db=0.05)

    def bits(paths: np.ndarray) -> int:
        return route_bits(merge_coarse(route_codes(paths)))

    assert bits(priced) < 0.8 * bits(plain)
    assert of_paths(sse, priced) <= sse[HARD].sum() * 10**0.005
    costs = [of_paths(sse, p) + price * bits(p) for p in (priced, plain)]
    assert costs[0] < costs[1]


def test_a_network_is_not_used_where_it_harms():
    sse = moving(0)
    macs = np.broadcast_to(MACS, sse.shape)
    paths = priced_routes(sse, macs, starts_of(8), 1.0, max_loss_db=0.0)
    assert (paths[:, 8:] == BICUBIC).mean() > 0.99
    assert of_paths(sse, paths) < sse[HARD].sum()


@pytest.mark.parametrize("harm", [1.0, 3.0])
def test_what_routes_gain_over_the_hard_path_everywhere_is_not_given_away(harm):
    """The loss allowed counts from the best routes, however much the network harms elsewhere."""
    sse = moving(0)
    sse[HARD, :, 8:] *= harm
    macs = np.broadcast_to(MACS, sse.shape)
    found = of_paths(sse, priced_routes(sse, macs, starts_of(8), 0.0, max_loss_db=0.05))
    assert found <= sse.min(axis=0).sum() * 10**0.005


def test_without_prices_and_limits_each_cell_takes_its_best_path():
    sse = moving(1)
    found = priced_routes(sse, np.broadcast_to(MACS, sse.shape), starts_of(8), 0.0, -10.0)
    assert np.array_equal(found, sse.argmin(axis=0))


@pytest.mark.parametrize("share", [0.05, 0.3])
@pytest.mark.parametrize("price", [0.0, 2.0])
def test_a_number_of_macs_is_kept_and_used(share, price):
    sse = moving(2)
    macs = np.broadcast_to(MACS, sse.shape)
    most = share * of_paths(macs, priced_routes(sse, macs, starts_of(8), price, 0.0))
    most = max(most, 1.2 * macs[BICUBIC].sum())
    found = priced_routes(sse, macs, starts_of(8), price, 0.0, max_macs=most)
    assert 0.7 * most < of_paths(macs, found) <= most


def test_a_path_that_the_network_lacks_is_never_taken():
    sse = moving(3)
    sse[1] = np.inf
    macs = np.broadcast_to(MACS, sse.shape)
    assert set(np.unique(priced_routes(sse, macs, starts_of(8), 1.0, 0.05))) == {BICUBIC, HARD}
