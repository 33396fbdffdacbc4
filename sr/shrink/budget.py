"""What a deployed network may cost, and the widths that fit.

    "0.5x"      half the hard path's multiplications an LR pixel
    "26kB"      bytes of the weights blob, dense
    "8@host"    milliseconds of the engine on a target for a frame, from a latency table

`allocate` says how many channels each layer keeps: the cheapest loss of importance until a budget
fits. CHEX (Hou et al., CVPR 2022, section 3.3) keeps what lies above one quantile of all channels'
factors. That ignores what a channel costs, and steps between widths that the kernels do not feel.
Here each cut is judged by what it leaves of a layer's importance for the cost that it saves, in
whole steps of channels. Layers follow one another, so what they leave multiplies: half of two
layers is better than all of one and a sixth of the other. Sums of importance, tried first, made
bottlenecks of 4 channels between layers of 32.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, product

import numpy as np

from player.costs import macs_per_pixel
from player.package.architecture import Architecture, Tensors, convolutions
from player.package.paths import HARD

Cost = Callable[[Architecture], float]

_RATIO = re.compile(r"(\d*\.?\d+)x")
_BYTES = re.compile(r"(\d*\.?\d+)(B|kB|MB)")
_MILLISECONDS = re.compile(r"(\d*\.?\d+)@(.+)")
_BYTES_AN_OUTPUT = 8  # its bias and multiplier
_BYTES_OF = {"B": 1, "kB": 1000, "MB": 1_000_000}
Widths = tuple[int, ...]
_LEAST = 1e-12  # of a layer's importance, which may be zero
MOST_TRIED = 4096  # combinations of widths; more are not all looked at
LARGEST_CUT = 4  # steps: a cost may be a staircase of its own, and one step alone save nothing


class BudgetFormatError(ValueError):
    """A budget that cannot be read, in one line."""

    exit_code = 2


class BudgetError(Exception):
    """A budget that no widths meet; `smallest` is the least cost that there is."""

    exit_code = 4

    def __init__(self, limit: float, smallest: float, message: str | None = None) -> None:
        super().__init__(message or f"no widths cost {limit:.4g}; the smallest cost {smallest:.4g}")
        self.limit, self.smallest = limit, smallest


@dataclass(frozen=True)
class WidthRule:
    """Widths that may be: multiples of `step`, at least `floor`."""

    step: int
    floor: int


ENGINE_WIDTHS = WidthRule(step=16, floor=16)


@dataclass(frozen=True)
class Budget:
    """`cost` of the deployed architecture must not pass `limit` of `unit`.

    `rule`: the widths that may be. By default multiples of the engine's block of output channels:
    what is between costs what the next multiple costs.
    """

    limit: float
    unit: str
    cost: Cost
    rule: WidthRule = ENGINE_WIDTHS

    def fits(self, arch: Architecture) -> bool:
        return self.cost(arch) <= self.limit

    def stepped(self, step: int) -> "Budget":
        """The same with widths in multiples of `step`."""
        return replace(self, rule=WidthRule(step, step))

    def loosened(self, share: float, full: Architecture) -> float:
        """The limit with a `share` 0..1 of what `full` costs above it added."""
        return self.limit + share * max(0.0, self.cost(full) - self.limit)


def hard_macs(arch: Architecture) -> float:
    """Multiply-accumulates of the hard path for an LR pixel."""
    return float(macs_per_pixel(arch, HARD))


def dense_bytes(arch: Architecture) -> int:
    """Bytes of a network's int8 weights, biases and multipliers, none of them left out."""
    shapes = [shape for _, shape in convolutions(arch)]
    return sum(math.prod(shape) + _BYTES_AN_OUTPUT * shape[0] for shape in shapes)


def sparse_bytes(tensors: Tensors) -> int:
    """The same where only non-zero weights are stored (player/package/integers.py)."""
    weights = [value for name, value in tensors.items() if name.endswith(".weight")]
    held = [-(-w.size // 8) + int(np.count_nonzero(w)) for w in weights]
    return sum(held) + _BYTES_AN_OUTPUT * sum(len(w) for w in weights)


def parse_budget(text: str, full: Architecture) -> Budget:
    """A budget of multiplications or bytes, as against the network `full`.

    Raises BudgetFormatError.
    """
    if match := _RATIO.fullmatch(text):
        return Budget(float(match[1]) * hard_macs(full), "MACs a pixel", hard_macs)
    if match := _BYTES.fullmatch(text):
        limit = float(match[1]) * _BYTES_OF[match[2]]
        return Budget(limit, "bytes", lambda arch: float(dense_bytes(arch)))
    raise BudgetFormatError(
        f"--budget {text}: give a share of the multiplications such as 0.5x, or bytes such as 26kB"
    )


def parse_milliseconds(text: str) -> tuple[float, str]:
    """The limit and the target of "8@host". Raises BudgetFormatError."""
    if match := _MILLISECONDS.fullmatch(text):
        return float(match[1]), match[2]
    raise BudgetFormatError(
        f"--budget-ms {text}: give milliseconds a frame and a target, such as 8@host"
    )


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
