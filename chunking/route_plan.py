"""Routes: which path (and network) each fine cell of each frame takes.

`plan_routes` spends a budget of MACs where it removes most error:

    sse [3, T, gh, gw] -> steps up -> sorted by gain a MAC -> prefix within budget -> codes
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from player.package.paths import (
    BICUBIC,
    COARSE,
    EASY,
    HARD,
    QUARTER_PX,
    merge_coarse,
    route_codes,
)
from player.package.scale import Scale

_CELL_QUARTERS, _CELL_HR_PX = 3, 24  # the least of a cell: of QUARTER_PX units, and of HR px


def fine_of_coarse(coarse: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """[T, ch, cw] per coarse patch -> [T, gh, gw] per fine cell, `shape` = (gh, gw)."""
    return coarse.repeat(2, axis=1).repeat(2, axis=2)[:, : shape[0], : shape[1]]


def split_routes(
    coarse_scores: np.ndarray, threshold_db: float, shape: Sequence[int]
) -> np.ndarray:
    """Dy-DCA's own rule, [T, ch, cw] PSNR -> codes: below the threshold a coarse patch is cut
    into fine ones on the hard path, the others stay whole on the easy path (section 3.1)."""
    hard = fine_of_coarse(coarse_scores < threshold_db, shape)
    return np.where(hard, HARD, EASY | COARSE).astype(np.uint8)


def usual_cell_px(scale: Scale, units: int) -> int:
    """The side in LR px of a cell of the route map of a network on units of so many LR px."""
    step = QUARTER_PX * units
    # At scale 1 three quarters of single pixels would be a map of 6,400 cells for 720p.
    return max(_CELL_QUARTERS, math.ceil(_CELL_HR_PX / scale / step)) * step


def plan_routes(
    sse: np.ndarray,
    macs: np.ndarray,
    budget_macs: float | None = None,
    max_loss_db: float | None = None,
    networks: np.ndarray | int = 0,
) -> np.ndarray:
    """Codes [T, gh, gw] u8 of least error within a budget, or of least MACs within a loss.

    `sse` [3, T, gh, gw]: squared error of each cell on bicubic, easy, hard; infinite for a path
    that the network lacks. `macs` [3, T, gh, gw] or what broadcasts to it from the right, such as
    [3, gh, gw] or [3, 1, 1]: cost of a cell on each path, rising.
    Exactly one limit: `budget_macs` for all T frames together, or `max_loss_db` of PSNR over
    the whole clip below the best routes. Lagrangian relaxation (Everett 1963): paths
    on a cell's lower convex hull, steps taken by falling gain a MAC, which is optimal for the
    MACs that it spends.
    """
    if (budget_macs is None) == (max_loss_db is None):
        raise ValueError("give either budget_macs or max_loss_db")
    macs = macs if macs.ndim == sse.ndim else macs[:, None]
    steps = _steps_up(sse, np.broadcast_to(macs, sse.shape))
    if budget_macs is not None:
        start = float(np.broadcast_to(macs[0], sse.shape[1:]).sum())
        spent = start + np.cumsum(steps.macs)
        taken = int(np.searchsorted(spent, budget_macs, side="right"))
    else:
        left = float(sse[BICUBIC].sum()) - np.concatenate([[0.0], np.cumsum(steps.gain)])
        # Of no error at all the sums may end a hair below zero.
        limit = max(float(left[-1]), 0.0) * 10 ** ((max_loss_db or 0.0) / 10)
        taken = int(np.argmax(left <= limit * (1 + 1e-12)))
    # Of a cell's two steps the dearer one stands.
    paths = np.zeros(sse[0].size, np.uint8)
    np.maximum.at(paths, steps.cell[:taken], steps.path[:taken])
    return merge_coarse(route_codes(paths.reshape(sse.shape[1:]), networks))


@dataclass(frozen=True)
class _Steps:
    """Changes of one cell to a dearer path, best first; all arrays [n]."""

    cell: np.ndarray
    path: np.ndarray
    gain: np.ndarray
    macs: np.ndarray


def _steps_up(sse: np.ndarray, macs: np.ndarray) -> _Steps:
    """Every step up the convex hulls that lowers the error, by falling gain a MAC.

    Where easy lies above the line from bicubic to hard, one step leads straight to hard. Slopes
    fall along a hull, so that a prefix of the order never takes a cell's second step alone.
    """
    error, cost = sse.reshape(3, -1), macs.reshape(3, -1).astype(np.float64)
    # An easy path that the network lacks has infinite error: a slope of -inf before one of +inf.
    on_hull = _slope(error, cost, BICUBIC, EASY) >= _slope(error, cost, EASY, HARD)
    cells = np.arange(error.shape[1])
    pieces = [
        _piece(error, cost, cells[on_hull], BICUBIC, EASY),
        _piece(error, cost, cells[on_hull], EASY, HARD),
        _piece(error, cost, cells[~on_hull], BICUBIC, HARD),
    ]
    cell, path, gain, macs_up = (np.concatenate(column) for column in zip(*pieces, strict=True))
    # What gains nothing is not taken, however large the budget.
    useful = np.flatnonzero(gain > 0)
    # Stable, and pieces are in path order: a cell's equal slopes keep their order too.
    order = useful[np.argsort(-gain[useful] / macs_up[useful], kind="stable")]
    return _Steps(cell[order], path[order], gain[order], macs_up[order])


def _slope(error: np.ndarray, cost: np.ndarray, low: int, high: int) -> np.ndarray:
    return (error[low] - error[high]) / (cost[high] - cost[low])


def _piece(
    error: np.ndarray, cost: np.ndarray, cells: np.ndarray, low: int, high: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    gain = error[low, cells] - error[high, cells]
    return cells, np.full(cells.size, high), gain, cost[high, cells] - cost[low, cells]
