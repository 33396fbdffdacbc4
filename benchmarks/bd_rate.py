"""BD-rate: how many more bytes a codec takes for the same quality, over the range both reach.

The mean of the difference of log rates over the qualities that both curves have, each curve
interpolated by piecewise cubic Hermite polynomials (PCHIP), as JVET's common test conditions do it
(Bjøntegaard, VCEG-M33, 2001; Bossen, JVET-T2010, 2020), by the package `bjontegaard` of FAU
Erlangen (BSD-3-Clause). What it would answer without sense is refused here, with the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Point = tuple[float, float]  # kbps, and a score of which more is better

MIN_POINTS = 4
MIN_OVERLAP = 0.5


@dataclass(frozen=True)
class BdRate:
    """`percent`: -10 is 10 % fewer bytes than the anchor; None for the `reason` told.

    `low` and `high` are the scores between which it was taken; `overlap` is that range as a share
    of what the two curves cover together.
    """

    percent: float | None
    overlap: float
    low: float
    high: float
    reason: str | None = None


def bd_rate(
    anchor: Sequence[Point], test: Sequence[Point], min_overlap: float = MIN_OVERLAP
) -> BdRate:
    """The BD-rate of `test` against `anchor`, each of at least four points in any order.

    No number where a curve has fewer, where more bytes give no higher score, or where the scores
    of both overlap by less than `min_overlap`.
    """
    curves = {"anchor": sorted(anchor), "test": sorted(test)}
    for name, curve in curves.items():
        if reason := _fault(curve):
            return BdRate(None, 0.0, 0.0, 0.0, f"{name}: {reason}")
    scores = [[score for _, score in curve] for curve in curves.values()]
    low, high = max(s[0] for s in scores), min(s[-1] for s in scores)
    whole = max(s[-1] for s in scores) - min(s[0] for s in scores)
    overlap = max(0.0, high - low) / whole
    if overlap < min_overlap:
        reason = f"the scores overlap by {overlap:.0%}, less than {min_overlap:.0%}"
        return BdRate(None, overlap, low, high, reason)
    # Imported here: it loads a plotter.
    import bjontegaard

    rates = [[rate for rate, _ in curve] for curve in curves.values()]
    percent = bjontegaard.bd_rate(
        rates[0], scores[0], rates[1], scores[1], "pchip",
        require_matching_points=False, min_overlap=0,
    )  # fmt: skip
    return BdRate(float(percent), overlap, low, high)


def _fault(curve: Sequence[Point]) -> str | None:
    """Why a curve, by rising rate, cannot be interpolated: a score must belong to one rate."""
    if len(curve) < MIN_POINTS:
        return f"{len(curve)} points, {MIN_POINTS} are needed"
    if curve[0][0] <= 0:
        return f"a rate of {curve[0][0]:g} kbps"
    for (rate, score), (more, higher) in pairwise(curve):
        if not (rate < more and score < higher):  # a score that is no number as well
            return f"not monotone: {more:g} kbps score {higher:g}, {rate:g} kbps {score:g}"
    return None
