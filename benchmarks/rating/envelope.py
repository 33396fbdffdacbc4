"""The most that plain encodes show for so many bytes: what a ladder with the best size at each rate
would do.

    quality |           .--- HR
            |       .-'.---- scale 2
            |    .-'.-'           of each scale a curve through its encodes; of these the upper
            |  .' .'              envelope, which goes from one scale to another where they cross
            +----------------- log bytes

Between two encodes of one scale a monotone cubic goes, as in BD-rate. Between encodes of two
scales nothing goes: no encode lies there, and PSNR over the logarithm of the bytes may be convex,
so that a straight line would promise what nobody can make.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scipy.interpolate import PchipInterpolator

Curve = tuple[tuple[float, float], ...]  # bytes and quality, both rising

_SAMPLES = 64


@dataclass(frozen=True)
class Point:
    """What so many bytes of a stream of a scale, made smaller by a filter, showed."""

    bytes: int
    quality: Mapping[str, float]
    scale: float = 1
    lr: str = "bicubic"


@dataclass(frozen=True)
class Envelope:
    """One metric's curves, one a scale and filter."""

    curves: tuple[Curve, ...]

    def quality_at(self, size_bytes: float) -> float | None:
        """The best quality for so many bytes; None beyond all curves' ends."""
        found = [q for c in self.curves if (q := _quality_at(c, size_bytes)) is not None]
        # Fewer bytes of a scale that has no curve there, such as a single encode, will do as well.
        less = [q for c in self.curves for size, q in c if size <= size_bytes]
        return max([*found, *less]) if found else None

    def bytes_for(self, quality: float) -> float | None:
        """The fewest bytes of a quality; None beyond all curves' ends."""
        found = [b for c in self.curves if (b := _bytes_for(c, quality)) is not None]
        more = [size for c in self.curves for size, q in c if q >= quality]
        return min([*found, *more]) if found else None

    def sampled(self) -> Curve:
        """Close points along it, for those who take a curve by its points."""
        corners = [corner for curve in self.curves for corner in curve]
        if not corners:
            return ()
        low, high = (math.log(pick(corners)[0]) for pick in (min, max))
        evenly = [math.exp(low + (high - low) * i / _SAMPLES) for i in range(_SAMPLES + 1)]
        # The ends themselves, and not what rounding makes of them.
        sizes = sorted({*evenly[1:-1], *(size for size, _ in corners)})
        return _rising((s, q) for s in sizes if (q := self.quality_at(s)) is not None)


def envelope(points: Iterable[Point], metric: str) -> Envelope:
    """Of all points that have the metric."""
    sizes: dict[tuple[float, str], list[tuple[float, float]]] = defaultdict(list)
    for point in points:
        sizes[point.scale, point.lr].append((point.bytes, point.quality[metric]))
    return Envelope(tuple(_rising(sizes[size]) for size in sorted(sizes)))


def _rising(points: Iterable[tuple[float, float]]) -> Curve:
    """Those that more bytes made better than all before."""
    kept: list[tuple[float, float]] = []
    for size, quality in sorted(points, key=lambda p: (p[0], -p[1])):
        if not kept or (quality > kept[-1][1] and size > kept[-1][0]):
            kept.append((size, quality))
    return tuple(kept)


def _bytes_for(curve: Curve, quality: float) -> float | None:
    if len(curve) < 2 or not curve[0][1] <= quality <= curve[-1][1]:
        return None
    line = PchipInterpolator([q for _, q in curve], [math.log(size) for size, _ in curve])
    return math.exp(float(line(quality)))


def _quality_at(curve: Curve, size_bytes: float) -> float | None:
    if len(curve) < 2 or not curve[0][0] <= size_bytes <= curve[-1][0]:
        return None
    line = PchipInterpolator([math.log(size) for size, _ in curve], [q for _, q in curve])
    return float(line(math.log(size_bytes)))
