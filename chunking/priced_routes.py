"""Routes whose bits have a price: least squared error + price * bits + price of a MAC * MACs.

    errors [3, G, gh, gw] -> of each cell the cheapest paths through time, its neighbours held
                          -> again with the neighbours' new paths
                          -> the price of a MAC that keeps to the limits, found by halving

What a map takes depends on all of its cells at once. So each cell's course over the film is chosen
exactly (Viterbi, IEEE Trans. Inf. Theory, 1967), given those of its four neighbours (iterated
conditional modes, Besag, 1986, with a course for a pixel). Cells are coloured as on a chessboard
and take turns: no two of one colour are neighbours.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from player.package.paths import HARD

# Bits of a cell (player/package/coded_routes.py), by how many of its neighbours change at the same
# time: to change, to stay. Where a map begins: for each neighbour on another path.
CHANGE_BITS = np.array([11.0, 5.0, 3.0, 3.0, 3.0])
STAY_BITS = np.array([0.02, 0.5, 1.0, 1.5, 1.5])
BORDER_BITS = 1.5
_SWEEPS, _HALVINGS = 2, 12
_LEAST_SHARE = 1e-6  # of the highest price of a MAC that is tried
_NONE = 255

Errors = NDArray[np.float64]
Paths = NDArray[np.uint8]


def priced_routes(
    sse: Errors,
    macs: Errors,
    starts: NDArray[np.bool_],
    bit_price: float,
    max_loss_db: float,
    max_macs: float | None = None,
) -> Paths:
    """Paths [G, gh, gw] of fewest MACs within a loss, or of least error within a number of MACs.

    `sse` and `macs` [3, G, gh, gw]: squared error and cost of each cell in each frame group on
    bicubic, easy, hard; an error is infinite for a path that the network lacks. `starts` [G]: the
    groups that begin a map. `bit_price`: squared error that a bit is worth. `max_loss_db`: how far
    PSNR over all may fall below what the same price of bits allows if MACs are free. (Not below the
    hard path everywhere: a network that harms some places is worse than the best routes, which
    would then give away what they gain.) `max_macs`, of all groups together, is kept to whatever
    that loses.
    """

    @lru_cache(1)  # the first is asked for again at once; of a long film more would be much
    def planned(price: float) -> Paths:
        return cheapest_paths(sse + price * macs, starts, bit_price)

    most_sse = of_paths(sse, planned(0.0)) * 10 ** (max_loss_db / 10)
    highest = _highest_price(sse, macs)
    paths, _ = _around(planned, highest, lambda p: of_paths(sse, p) <= most_sse)
    if max_macs is not None and of_paths(macs, paths) > max_macs:
        _, paths = _around(planned, highest, lambda p: of_paths(macs, p) > max_macs)
    return paths


def of_paths(values: Errors, paths: Paths) -> float:
    """The sum of values [3, G, gh, gw], each cell's on its path."""
    return float(np.take_along_axis(values, paths[None].astype(np.intp), axis=0).sum())


def _highest_price(sse: Errors, macs: Errors) -> float:
    """Twice what any step to a dearer path gains for a MAC: at that price none is taken."""
    slopes = [
        (sse[low] - sse[high]) / (macs[high] - macs[low])
        for low in range(HARD)
        for high in range(low + 1, HARD + 1)
    ]
    finite = np.where(np.isfinite(slopes), slopes, 0.0)
    return 2 * max(float(finite.max()), 1e-30)


def _around(
    planned: Callable[[float], Paths], highest: float, holds: Callable[[Paths], bool]
) -> tuple[Paths, Paths]:
    """The last paths for which `holds` as MACs become dearer, and the first for which it does not;
    both the same where no price changes it."""
    low, high = planned(0.0), planned(highest)
    if holds(high):
        return high, high
    if not holds(low):
        return low, low
    # All but monotonic in the price, whose order of magnitude is not known.
    cheap, dear = math.log(_LEAST_SHARE * highest), math.log(highest)
    for _ in range(_HALVINGS):
        middle = (cheap + dear) / 2
        paths = planned(math.exp(middle))
        if holds(paths):
            low, cheap = paths, middle
        else:
            high, dear = paths, middle
    return low, high


def cheapest_paths(costs: Errors, starts: NDArray[np.bool_], bit_price: float) -> Paths:
    """Paths [G, gh, gw] of about the least sum of costs [P, G, gh, gw] and price * bits."""
    if bit_price == 0:
        return costs.argmin(axis=0).astype(np.uint8)
    shape = costs.shape[1:]
    # What is not known of the neighbours yet: that changes come together, as things that move do.
    change, stay = np.full(shape, CHANGE_BITS[1]), np.zeros(shape)
    paths = _courses(costs, starts, bit_price * change, stay)
    colour = np.add.outer(*map(np.arange, shape[1:])) % 2
    for turn in range(2 * _SWEEPS):
        changes = paths != np.concatenate([paths[:1], paths[:-1]])
        changes[starts] = False
        count = sum(np.where(c == _NONE, 0, c) for c in _beside(changes.astype(np.uint8)))
        borders = np.zeros_like(costs)
        for path, unlike in enumerate(borders):
            unlike[starts] = sum((b != path) & (b != _NONE) for b in _beside(paths[starts]))
        change, stay = bit_price * CHANGE_BITS[count], bit_price * STAY_BITS[count]
        found = _courses(costs + bit_price * BORDER_BITS * borders, starts, change, stay)
        paths = np.where(colour == turn % 2, found, paths)
    return paths


def _beside(values: Paths) -> list[Paths]:
    """The values [G, gh, gw] of the four neighbours of each cell, _NONE beyond the grid."""
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1)), constant_values=_NONE)
    inner, before, behind = slice(1, -1), slice(None, -2), slice(2, None)
    places = ((inner, before), (inner, behind), (before, inner), (behind, inner))
    return [padded[:, rows, columns] for rows, columns in places]


def _courses(costs: Errors, starts: NDArray[np.bool_], change: Errors, stay: Errors) -> Paths:
    """The paths [G, gh, gw] of least costs [P, G, gh, gw], each cell's by itself, where to take
    another path or the same one costs `change` and `stay` [G, gh, gw], but at starts nothing."""
    before, numbers = np.zeros(costs[:, 0].shape), np.arange(len(costs))[:, None, None]
    came_from = np.empty(costs.shape, np.uint8)
    for group in range(len(starts)):
        cheapest, least = before.argmin(axis=0), before.min(axis=0)
        moved = least + (0.0 if starts[group] else change[group])
        stayed = before + (np.inf if starts[group] else stay[group])
        came_from[:, group] = np.where(stayed <= moved, numbers, cheapest)
        before = np.minimum(stayed, moved) + costs[:, group]
    paths = np.empty(costs.shape[1:], np.uint8)
    path = before.argmin(axis=0)
    for group in reversed(range(len(starts))):
        paths[group] = path
        path = np.take_along_axis(came_from[:, group], path[None], axis=0)[0].astype(np.intp)
    return paths
