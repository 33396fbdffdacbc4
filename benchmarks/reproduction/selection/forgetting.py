"""Which examples training can do without: those that are never forgotten (Tri-Level E-ViT).

    examples --hold out 20 %--> trained ones --visits: solved? --> ledger of forgetting counts
                 ^                   |                                      |
                 └-- random ones back in, the least forgotten ones out <----┘  every period

An example is forgotten each time it was solved at one visit and is not at the next (Toneva et al.,
ICLR 2019, section 3; Tri-Level E-ViT, example level). One that was never solved counts as forgotten
most of all, so that it stays.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

HELD_OUT_SHARE = 0.2  # Tri-Level E-ViT's
SWAPPED_SHARE = 0.05  # of all examples, each period

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
# counts [N], random numbers in 0..1 [N] -> ranks [N]: those of low rank are held out first
Order = Callable[[Ints, NDArray[np.float64]], NDArray[np.float64]]


class TooFewExamplesError(ValueError):
    """There is nothing to hold out."""


class ForgettingLedger:
    """What each of `count` examples was at its visits since the last `reset`."""

    def __init__(self, count: int) -> None:
        self._solved = np.zeros(count, np.bool_)
        self._ever = np.zeros(count, np.bool_)
        self._forgotten = np.zeros(count, np.int64)
        self._visits = np.zeros(count, np.int64)

    def record(self, examples: Ints, solved: Bools) -> None:
        """One visit of each of `examples` [N]; one that comes twice is visited in that order."""
        for example, is_solved in zip(examples.tolist(), solved.tolist(), strict=True):
            self._forgotten[example] += self._solved[example] and not is_solved
            self._solved[example] = is_solved
            self._ever[example] |= is_solved
            self._visits[example] += 1

    @property
    def counts(self) -> Ints:
        """[count]: how often each was forgotten; above all others where it was visited and never
        solved. One that was not visited counts 0."""
        never = (self._visits > 0) & ~self._ever
        return np.where(never, self._forgotten.max(initial=0) + 1, self._forgotten)

    @property
    def visits(self) -> Ints:
        """[count]: how often each was seen."""
        return self._visits.copy()

    def reset(self) -> None:
        """Begin a new period."""
        for kept in vars(self).values():
            kept[:] = 0

    def state_dict(self) -> dict[str, list[int]]:
        """What a checkpoint must keep."""
        return {name: kept.tolist() for name, kept in vars(self).items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`'s."""
        for name, kept in vars(self).items():
            kept[:] = state[name]


def hold_out(count: int, share: float, rng: np.random.Generator) -> Bools:
    """[count]: which examples are held out at first, at random.

    Raises TooFewExamplesError where that is none, or all.
    """
    held = round(share * count)
    if not 0 < held < count:
        raise TooFewExamplesError(
            f"{count} patches are too few to hold out {share:.0%} of them: train on all"
        )
    out = np.zeros(count, np.bool_)
    out[rng.permutation(count)[:held]] = True
    return out


def least_forgotten(counts: Ints, chance: NDArray[np.float64]) -> NDArray[np.float64]:
    """The system's own: what is kept in mind goes; ties at random."""
    return counts + chance


def most_forgotten(counts: Ints, chance: NDArray[np.float64]) -> NDArray[np.float64]:
    """A control: what is hard to keep in mind goes."""
    return chance - counts


def at_random(counts: Ints, chance: NDArray[np.float64]) -> NDArray[np.float64]:
    """A control: the ledger is not asked."""
    return chance


def swap(
    held_out: Bools, counts: Ints, number: int, order: Order, rng: np.random.Generator
) -> Bools:
    """[count]: who is held out next; as many as before. At most `number` of the trained ones, the
    first by `order`, change places with as many of the others, which are drawn at random."""
    outside, inside = np.flatnonzero(held_out), np.flatnonzero(~held_out)
    number = min(number, outside.size, inside.size)
    ranks = order(counts, rng.random(counts.size))[inside]
    out = inside[np.argsort(ranks, kind="stable")[:number]]
    back = rng.permutation(outside)[:number]
    changed = held_out.copy()
    changed[out], changed[back] = True, False
    return changed
