"""The rhythm of a film: how far apart its frames usually are, and where none comes for long."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

_NEAR = Fraction(3, 5), Fraction(8, 5)  # of the median: 2 and 3 fields are, a dropped frame is not
_HOLE_S, _HOLE_INTERVALS = 10, 20  # a hole is longer than both
_NAMED = 3  # holes, before the rest is only counted


def usual_interval(times: Sequence[int]) -> Fraction | None:
    """The mean of those distances of neighbours that are near their median; None below two times.

    A pause, or a last frame that lasts, changes a film's mean rate but not this.
    """
    gaps = sorted(later - earlier for earlier, later in pairwise(times))
    if not gaps:
        return None
    middle = gaps[len(gaps) // 2]
    near = [gap for gap in gaps if _NEAR[0] * middle <= gap <= _NEAR[1] * middle]
    return Fraction(sum(near), len(near))


def usual_rate(times: Sequence[int], time_base: Fraction, *stated: Fraction) -> Fraction | None:
    """Frames a second; what is `stated` where that is nearly the same, for times are rounded."""
    interval = usual_interval(times)
    if not interval:
        return None
    rate = 1 / (interval * time_base)
    near = (s for s in stated if abs(s / rate - 1) < Fraction(1, 50))
    return next(near, rate).limit_denominator(1001)


def holes(times: Sequence[int], time_base: Fraction) -> str | None:
    """One line about the places, in s from the first frame, where none comes for far longer than
    usually."""
    usual = usual_interval(times)
    if usual is None:
        return None
    least = max(_HOLE_S / time_base, _HOLE_INTERVALS * usual)
    found = [(a, b - a) for a, b in pairwise(times) if b - a > least]
    if not found:
        return None
    told = [
        f"{float(length * time_base):.1f} s from {float((start - times[0]) * time_base):.2f} s on"
        for start, length in found[:_NAMED]
    ]
    more = f" and {len(found) - _NAMED} times more" if len(found) > _NAMED else ""
    return f"no frame comes for {', '.join(told)}{more}: the picture before stands still"
