"""The picture of docs/systems.md: every difference in dB that a system's row tells of.

A dot is the mean over runs, its bar two standard errors to each side, the tick what was to be
shown: a claim holds where the whole bar lies to the right of its tick. Made of the result files
alone, as an SVG of few elements, so that a change of a figure is a change of a line.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from html import escape

from benchmarks.systems import SYSTEMS, claim, found_claim

COLOURS = {"holds": "#1a7f37", "tie": "#6e7781", "reversed": "#cf222e"}
_WIDTH, _ROW, _TOP = 1060, 22, 30  # px
_LEFT, _RIGHT = 580, 920  # of the axis; words stand to its left, figures to its right
_TICK_DB = 0.25
_LEGEND = "dB, mean ± two standard errors; | what was to be shown; (runs)"
_BARS = (  # what the words of a claim ask for, in dB
    (re.compile(r"at least ([\d.]+) dB above"), 1),
    (re.compile(r"at most ([\d.]+) dB below"), -1),
)


@dataclass(frozen=True)
class Mark:
    """A claim about a difference in dB; `bar`: what it was to exceed."""

    system: str
    words: str
    verdict: str
    mean: float
    error: float
    runs: int
    bar: float


def marks() -> Iterator[Mark]:
    """Those of all systems, in the order of the page; a claim of one run has no interval, and is
    left out."""
    for system in SYSTEMS:
        for shown in system.shown:
            if not isinstance(shown, partial) or shown.func is not claim:
                continue
            found = found_claim(*shown.args)
            value = found["measured"].get("difference_db")
            if value and value["standard_error"] is not None:
                words, numbers = found["claim"], (value["mean"], value["standard_error"])
                rest = (value["runs"], bar_of(words))
                yield Mark(system.name, words, found["verdict"], *numbers, *rest)


def bar_of(words: str) -> float:
    """The dB that a claim asks for."""
    for pattern, sign in _BARS:
        if found := pattern.search(words):
            return sign * float(found[1])
    return 0.0


def svg() -> str:
    """The picture."""
    rows = list(marks())
    ends = [m.mean + side * 2 * m.error for m in rows for side in (-1, 1)] + [m.bar for m in rows]
    low, high = _TICK_DB * (min(ends) // _TICK_DB), _TICK_DB * (max(ends) // _TICK_DB + 1)

    def x(db: float) -> float:
        return _LEFT + (db - low) / (high - low) * (_RIGHT - _LEFT)

    bottom = _TOP + _ROW * len(rows)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 26}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{_LEFT}" y="16">{_LEGEND}</text>',
    )
    steps = round((high - low) / _TICK_DB)
    axis = [_axis_line(x(db), db, bottom) for db in (low + _TICK_DB * i for i in range(steps + 1))]
    lines = [_line(mark, _TOP + _ROW * (i + 0.5), x) for i, mark in enumerate(rows)]
    return "\n".join([*head, *axis, *lines, "</svg>", ""])


def _axis_line(at: float, db: float, bottom: int) -> str:
    colour, number = ("#d0d7de", f"{db:+g}") if db else ("#57606a", "0")
    return (
        f'<path d="M{at:.1f} {_TOP}V{bottom}" stroke="{colour}"/>'
        f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{number}</text>'
    )


def _line(mark: Mark, y: float, x: Callable[[float], float]) -> str:
    colour, (low, high) = COLOURS[mark.verdict], (mark.mean + s * 2 * mark.error for s in (-1, 1))
    mean = round(mark.mean, 2) + 0.0  # no minus before a zero
    figure = f"{mean:+.2f} ± {mark.error:.2f} ({mark.runs})"
    return (
        f'<text x="8" y="{y + 4:.0f}"><tspan font-weight="bold">{escape(mark.system)}</tspan> '
        f"{escape(mark.words.replace('at least 0 dB above', 'above'))}</text>"
        f'<path d="M{x(low):.1f} {y:.0f}H{x(high):.1f}" stroke="{colour}" stroke-width="3"/>'
        f'<circle cx="{x(mark.mean):.1f}" cy="{y:.0f}" r="4" fill="{colour}"/>'
        f'<path d="M{x(mark.bar):.1f} {y - 8:.0f}v16" stroke="black"/>'
        f'<text x="{_RIGHT + 8}" y="{y + 4:.0f}" fill="{colour}">{figure}</text>'
    )
