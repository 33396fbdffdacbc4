"""From distances to routes: offsets, margins, and their calibration to a budget of MACs.

The class of a cell is argmin_k(D_k + offset_k); the margin to the second smallest is the
confidence, and a cell of low confidence takes the safe path. Offsets say how the error of one path
compares with another's multiplications, which distances alone do not know: they are set on frames
whose errors are known, so that the routed cells spend a budget with the least error.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sr.models.network import PIXEL_MAX
from sr.router.embedding import SAFE_PATH, RouterNetwork

Scores = NDArray[np.float64]
Paths = NDArray[np.int64]

FRAMES_AT_ONCE = 16
BISECTIONS = 40
STEP_WIDTHS = (1.0, 0.5, 0.25, 0.125, 0.0625)  # of the scores' spread


@dataclass(frozen=True)
class Rule:
    """How scores become paths; one value a class: path, offset, least margin."""

    paths: tuple[int, ...]
    offsets: tuple[float, ...]
    least_margin: tuple[float, ...]

    @classmethod
    def plain(cls, paths: Sequence[int]) -> "Rule":
        """Nearest centre, whatever the margin."""
        return cls(tuple(paths), (0.0,) * len(paths), (0.0,) * len(paths))


@dataclass(frozen=True)
class Cells:
    """What is known of n cells: scores [n, K], errors and MACs [3, n] by path."""

    scores: Scores
    sse: NDArray[np.float64]
    macs: NDArray[np.float64]


def decide(scores: Scores, rule: Rule) -> tuple[Paths, Paths, Scores]:
    """Class, path and margin of each cell from scores [..., K], where less is nearer."""
    shifted = scores + np.asarray(rule.offsets)
    nearest = np.argmin(shifted, axis=-1)
    # The two smallest come first; more of an order is not needed.
    lowest = np.partition(shifted, 1, axis=-1)
    margin = lowest[..., 1] - lowest[..., 0]
    sure = margin >= np.asarray(rule.least_margin)[nearest]
    paths = np.where(sure, np.asarray(rule.paths)[nearest], SAFE_PATH)
    return nearest, paths, margin


def distances_of(network: RouterNetwork, frames: Tensor) -> Scores:
    """[T, 3, h, w] u8 frames -> squared distances to the centres [T, gh, gw, K]."""
    pieces = frames.split(FRAMES_AT_ONCE)
    with torch.no_grad():
        found = [network.distances(network(f.float() / PIXEL_MAX)) for f in pieces]
    return torch.cat(found).movedim(1, -1).double().numpy()


def spent(cells: Cells, paths: Paths) -> tuple[float, float]:
    """Squared error and MACs of all cells on their paths."""
    each = np.arange(len(paths))
    return float(cells.sse[paths, each].sum()), float(cells.macs[paths, each].sum())


def calibrate(cells: Cells, rule: Rule, budget_macs: float) -> Rule:
    """The rule's offsets of least squared error, of those that spend the budget.

    One direction of the offsets, dearer classes against cheaper ones, is always bisected to the
    budget; the others are searched by halving steps, class by class.
    """

    def at_budget(rule: Rule) -> tuple[float, Rule]:
        found = to_budget(cells, rule, budget_macs)
        return spent(cells, decide(cells.scores, found)[1])[0], found

    error, best = at_budget(rule)
    for width in STEP_WIDTHS:
        step = width * float(np.ptp(cells.scores, axis=1).mean())
        for number in range(len(rule.paths)):
            for move in (-step, step):
                offsets = list(best.offsets)
                offsets[number] += move
                found, tried = at_budget(replace(best, offsets=tuple(offsets)))
                if found < error:
                    error, best = found, tried
    return best


def to_budget(cells: Cells, rule: Rule, budget_macs: float) -> Rule:
    """The rule with its dearer classes shifted until the budget is just not exceeded."""
    cost = cells.macs.mean(axis=1)[list(rule.paths)]
    # 0 for the cheapest class, 1 for the dearest. A shift of `reach` moves any two classes of
    # different cost past each other in every cell, so both ends of the bisection decide for all.
    direction = (cost - cost.min()) / max(float(np.ptp(cost)), 1e-9)
    least_gap = float(np.diff(np.unique(direction)).min(initial=1.0))
    reach = (float(np.ptp(cells.scores + np.asarray(rule.offsets))) + 1e-9) / least_gap
    low, high = -reach, reach  # dearest and cheapest for every cell
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        _, macs = spent(cells, decide(cells.scores, _shifted(rule, middle * direction))[1])
        low, high = (middle, high) if macs > budget_macs else (low, middle)
    # Of the two ends `high` is the one that was seen to keep the budget.
    return _shifted(rule, high * direction)


def _shifted(rule: Rule, shift: NDArray[np.float64]) -> Rule:
    return replace(rule, offsets=tuple((np.asarray(rule.offsets) + shift).tolist()))
