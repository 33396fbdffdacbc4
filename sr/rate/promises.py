"""What a network with so much gain would make of the goal: its crf, its bytes, their worth."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from sr.rate.budget import Budget
from sr.rate.candidates import Candidate
from sr.rate.choice import Choice
from sr.rate.curve import Curve, Point, along, hull
from sr.rate.goal import BYTES_TOLERANCE, LAST_CRF, TOLERANCE, Goal
from sr.rate.rungs import HR, Rung
from sr.rate.sample import StreamShelf

_HALVINGS = 12  # of gains that trials have found
_ROUTES_SHARE, _INDEX_BYTES = 0.005, 350  # of the video's bytes; which a plain encode needs not
_INDEX_COUNTS = 0.003  # of the bytes: where an index is more of them, luck is worth its encodes
_AROUND = (0.25, -0.25, 0.5, -0.5)  # crf


@dataclass(frozen=True)
class Promises:
    """What a network with so much gain would make of the goal."""

    shelf: StreamShelf
    goal: Goal
    budget: Budget
    here: Point
    at_hr: Curve

    def value(self, point: Point) -> float:
        """What the goal measures."""
        return point.quality[self.goal.metric]

    def settled(self, rung: Rung, candidate: Candidate, gains: Mapping[float, float]) -> Choice:
        """The choice whose gain is what trials found at its crf, `gains` by theirs: a straight line
        between two of them, and beyond the outer ones as much as there."""
        crfs = sorted(gains)
        by_crf = [gains[crf] for crf in crfs]
        low, high = min(gains.values()), max(gains.values())
        for _ in range(_HALVINGS if high > low else 0):
            # The more it gains, the coarser the stream may be; where less is gained, it may not.
            middle = (low + high) / 2
            found = np.interp(self.choice(rung, candidate, middle).crf, crfs, by_crf)
            low, high = (middle, high) if found > middle else (low, middle)
        return self.choice(rung, candidate, (low + high) / 2)

    def choice(self, rung: Rung, candidate: Candidate | None, gain: float) -> Choice:
        """The crf at which the stream and its network reach the goal, and what that costs."""
        points = self.shelf.points(rung)
        crfs = [float(p.made_by["crf"]) for p in points]
        sizes = tuple((c, math.log(p.bytes)) for c, p in zip(crfs, points, strict=True))
        values = tuple((c, self.value(p)) for c, p in zip(crfs, points, strict=True))
        if candidate and candidate.price > self.budget.macs:
            # Routes skip what gains least: less is lost than the share, but how much is a guess.
            gain *= math.sqrt(self.budget.macs / candidate.price)
        extra = candidate.blob_bytes + _INDEX_BYTES if candidate else 0.0
        share = 1 + _ROUTES_SHARE + candidate.stream_share if candidate else 1.0

        def total(crf: float) -> float:
            return math.exp(along(sizes, crf)) * share + extra

        if self.goal.kbps is not None:
            crf = _solve(total, self.here.bytes)
        else:
            by_value = tuple(sorted((v, c) for c, v in values))
            crf = along(by_value, self.value(self.here) - gain)
        crf = min(max(crf, 0.0), LAST_CRF[self.shelf.coding.codec])
        quality = along(values, crf) + gain
        worth = self.at_hr.bytes_for(quality) / total(crf)
        # Over two crfs, around this one.
        slopes = [(along(line, crf + 1) - along(line, crf - 1)) / 2 for line in (values, sizes)]
        loss = _loss_per_bit(points, gain)
        most = self.budget.macs if math.isfinite(self.budget.macs) else None
        return Choice(
            rung, crf, candidate, total(crf), quality, worth, loss, slopes[0], slopes[1], most
        )

    def luckiest(self, plain: Choice) -> Choice:
        """Of crfs around a small plain encode's the one that gives most for its bytes: from a
        quarter to the next a codec strays from its own curve by as much as an index costs."""
        if plain.rung == HR or _INDEX_COUNTS * plain.bytes > _INDEX_BYTES:
            return plain
        middle, best = self.shelf.bounded(plain.crf), plain
        for crf in (middle, *(middle + off for off in _AROUND)):
            if not 1 <= crf <= LAST_CRF[self.shelf.coding.codec]:
                continue
            point = self.shelf.point(plain.rung, crf)
            worth = self.at_hr.bytes_for(self.value(point)) / point.bytes
            if best is plain or (worth > best.worth and self._is_met(point)):
                quality = self.value(point)
                best = replace(plain, crf=crf, bytes=point.bytes, quality=quality, worth=worth)
        return best

    def _is_met(self, point: Point) -> bool:
        """Whether a plain encode does what is asked for; of a plain encode's quality, about."""
        if self.goal.kbps is not None:
            return abs(math.log(point.bytes / self.here.bytes)) <= BYTES_TOLERANCE
        if self.goal.value is not None:
            return abs(self.value(point) - self.goal.value) <= TOLERANCE[self.goal.metric]
        return True


def _solve(total: Callable[[float], float], wanted: float) -> float:
    """The crf of so many bytes in all, by halving; `total` falls as crf rises."""
    low, high = 0.0, max(LAST_CRF.values())
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if total(middle) > wanted else (low, middle)
    return low


def _loss_per_bit(points: list[Point], gain: float) -> float:
    """-dD/dR of the codec: mean squared error (unit range, RGB) for a bit more, at its middle."""
    curve = hull(points, "psnr_rgb")
    middle = math.exp((curve.corners[0][0] + curve.corners[-1][0]) / 2)
    error = 10 ** (-(curve.at(middle) + gain) / 10)
    return error * math.log(10) / 10 * max(curve.slope(middle), 0.0) / (8 * middle)
