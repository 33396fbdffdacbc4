"""Points of bytes and quality, their upper hull, and what lies between.

    quality |        .--o      hull: what can be had for so many bytes, by encoding parts of a film
            |     o-'          with one neighbour and parts with the other
            |   ,'  x          below it: never the best use of the bytes
            |  o
            +-------------- log bytes

PSNR rises about evenly with the logarithm of the bytes, so that a straight line over it lies
close to the encodes between two points.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Point:
    """What so many bytes gave: a value of each metric (dB, or VMAF's points), and what made it."""

    bytes: int
    quality: Mapping[str, float]
    made_by: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As report.json has it."""
        quality = {name: round(value, 4) for name, value in self.quality.items()}
        return {**self.made_by, "bytes": self.bytes, **quality}


@dataclass(frozen=True)
class Curve:
    """One metric's hull, by rising bytes: [n] pairs of (ln bytes, quality), n at least 1."""

    corners: tuple[tuple[float, float], ...]

    def at(self, size_bytes: float) -> float:
        """The quality for so many bytes; beyond the ends along the last line."""
        return along(self.corners, math.log(size_bytes))

    def bytes_for(self, quality: float) -> float:
        """The bytes of so much quality; infinite where more bytes bring nothing any more."""
        turned = tuple((q, b) for b, q in self.corners)
        if len(turned) == 1:
            return math.exp(turned[0][1]) if quality <= turned[0][0] else math.inf
        return math.exp(min(along(turned, quality), 700.0))

    def covers(self, size_bytes: float) -> bool:
        """Whether so many bytes lie between two encodes, and nothing beyond is guessed."""
        return self.corners[0][0] <= math.log(size_bytes) <= self.corners[-1][0]

    def slope(self, size_bytes: float) -> float:
        """Quality for a factor of e more bytes, at so many bytes."""
        return self.at(size_bytes * math.sqrt(math.e)) - self.at(size_bytes / math.sqrt(math.e))


def hull(points: Iterable[Point], metric: str) -> Curve:
    """The upper hull of points that have the metric. Raises ValueError where none has."""
    corners: list[tuple[float, float]] = []
    for x, y in sorted((math.log(p.bytes), p.quality[metric]) for p in points):
        # What does not rise is dominated; what lies below the line to the new one is no corner.
        if corners and y <= corners[-1][1]:
            continue
        if corners and x == corners[-1][0]:
            corners.pop()
        while len(corners) > 1 and _below(corners[-2], corners[-1], (x, y)):
            corners.pop()
        corners.append((x, y))
    if not corners:
        raise ValueError(f"no point has {metric}")
    return Curve(tuple(corners))


def _below(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether b lies on or below the line from a to c."""
    return (b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0])


def along(line: tuple[tuple[float, float], ...], x: float) -> float:
    """y at x of a polygon by rising x, continued beyond its ends. Of points at one x the first
    counts: of a flat film two encodes may show the same.
    """
    line = tuple(p for i, p in enumerate(line) if not i or p[0] > line[i - 1][0])
    if len(line) == 1:
        return line[0][1]
    after = next((i for i, (at, _) in enumerate(line) if at >= x), len(line) - 1)
    (x0, y0), (x1, y1) = line[max(after - 1, 0)], line[max(after, 1)]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
