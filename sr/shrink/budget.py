"""What a deployed network may cost: multiplications, bytes, or milliseconds of the engine.

"0.5x"      half the hard path's multiplications an LR pixel
"26kB"      bytes of the weights blob, dense
"8@host"    milliseconds of the engine on a target for a frame, from a latency table
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from player.costs import macs_per_pixel
from player.package.architecture import Architecture, Tensors, convolutions
from player.package.paths import HARD
from sr.shrink.allocate import WidthRule

ENGINE_WIDTHS = WidthRule(step=16, floor=16)
Cost = Callable[[Architecture], float]

_RATIO = re.compile(r"(\d*\.?\d+)x")
_BYTES = re.compile(r"(\d*\.?\d+)(B|kB|MB)")
_MILLISECONDS = re.compile(r"(\d*\.?\d+)@(.+)")
_BYTES_AN_OUTPUT = 8  # its bias and multiplier
_BYTES_OF = {"B": 1, "kB": 1000, "MB": 1_000_000}


class BudgetFormatError(ValueError):
    """A budget that cannot be read, in one line."""

    exit_code = 2


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
    """The same where only non-zero weights are stored (player/package/weight_forms.py)."""
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
