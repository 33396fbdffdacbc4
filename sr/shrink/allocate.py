"""How many channels each layer keeps: the cheapest loss of importance until a budget fits.

CHEX (Hou et al., CVPR 2022, section 3.3) keeps what lies above one quantile of all channels'
factors. That ignores what a channel costs, and steps between widths that the kernels do not feel.
Here each cut is judged by what it leaves of a layer's importance for the cost that it saves, in
whole steps of channels. Layers follow one another, so what they leave multiplies: half of two
layers is better than all of one and a sixth of the other. Sums of importance, tried first, made
bottlenecks of 4 channels between layers of 32.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, product

Widths = tuple[int, ...]
_LEAST = 1e-12  # of a layer's importance, which may be zero
MOST_TRIED = 4096  # combinations of widths; more are not all looked at
LARGEST_CUT = 4  # steps: a cost may be a staircase of its own, and one step alone save nothing


@dataclass(frozen=True)
class WidthRule:
    """Widths that may be: multiples of `step`, at least `floor`."""

    step: int
    floor: int


class BudgetError(Exception):
    """A budget that no widths meet; `smallest` is the least cost that there is."""

    exit_code = 4

    def __init__(self, limit: float, smallest: float, message: str | None = None) -> None:
        super().__init__(message or f"no widths cost {limit:.4g}; the smallest cost {smallest:.4g}")
        self.limit, self.smallest = limit, smallest


def allocate(
    importance: Sequence[Sequence[float]],
    cost: Callable[[Widths], float],
    limit: float,
    rule: WidthRule,
) -> Widths:
    """The widths within `limit`, from each layer's channel importances (any order).

    The best there are where few combinations exist. Else cuts from the full widths, always where
    the product over layers of the importance kept falls least for the cost saved, and gives back
    at the end what still fits. Raises BudgetError where nothing fits.
    """
    falling = [sorted(layer, reverse=True) for layer in importance]
    kept = [list(accumulate(layer, initial=0.0)) for layer in falling]
    smallest = tuple(min(rule.floor, len(layer)) for layer in falling)
    if cost(smallest) > limit:
        raise BudgetError(limit, cost(smallest))
    widths: Widths = tuple(len(layer) for layer in falling)
    choices = [_widths_of(width, rule) for width in widths]
    if math.prod(len(layer) for layer in choices) <= MOST_TRIED:
        fitting = (w for w in product(*choices) if cost(w) <= limit)
        return max(fitting, key=lambda w: _loss(w, smallest, kept))
    while cost(widths) > limit:
        widths = min(_cuts(widths, rule), key=lambda cut: _price(widths, cut, kept, cost))
    return _given_back(widths, kept, cost, limit, rule)


def _widths_of(full: int, rule: WidthRule) -> list[int]:
    """Every width that a layer of `full` channels may have."""
    floor = min(rule.floor, full)
    return sorted({full, floor, *range(floor, full, rule.step)})


def _cuts(widths: Widths, rule: WidthRule) -> Iterator[Widths]:
    """Each layer cut to the next widths below."""
    for i, width in enumerate(widths):
        highest = (width - 1) // rule.step * rule.step
        lowest = max(rule.floor, highest - (LARGEST_CUT - 1) * rule.step)
        for less in range(highest, lowest - 1, -rule.step):
            yield (*widths[:i], less, *widths[i + 1 :])


def _price(
    widths: Widths, cut: Widths, kept: Sequence[Sequence[float]], cost: Callable[[Widths], float]
) -> float:
    saved = cost(widths) - cost(cut)
    return _loss(widths, cut, kept) / saved if saved > 0 else float("inf")


def _loss(widths: Widths, cut: Widths, kept: Sequence[Sequence[float]]) -> float:
    """How much more is kept with `widths` than with `cut`, as a logarithm."""
    layers = zip(kept, widths, cut, strict=True)
    return sum(math.log((k[w] + _LEAST) / (k[c] + _LEAST)) for k, w, c in layers)


def _given_back(
    widths: Widths,
    kept: Sequence[Sequence[float]],
    cost: Callable[[Widths], float],
    limit: float,
    rule: WidthRule,
) -> Widths:
    """Widths grown, the most important step first, as long as they fit."""
    while True:
        grown = [
            (*widths[:i], min(w + rule.step, len(kept[i]) - 1), *widths[i + 1 :])
            for i, w in enumerate(widths)
            if w < len(kept[i]) - 1
        ]
        fitting = [g for g in grown if cost(g) <= limit]
        if not fitting:
            return widths
        widths = max(fitting, key=lambda g: _loss(g, widths, kept))
