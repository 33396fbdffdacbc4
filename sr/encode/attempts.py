"""Encodes on the way to a goal: what each came to, how far that is off, and what else to try."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from chunking.lr import BICUBIC
from sr.rate.budget import devices
from sr.rate.choice import LEAST_WORTH
from sr.rate.curve import Point, hull
from sr.rate.goal import METRICS
from sr.rate.judge import Judged
from sr.rate.proof import Verdict


@dataclass(frozen=True)
class Attempt:
    """A choice made in `folder` at a crf: the report of its encode, and how it was judged."""

    folder: Path
    choice: dict[str, Any]
    crf: float
    report: dict[str, Any]
    judged: Judged


Way = tuple[Attempt, Verdict]


@dataclass(frozen=True)
class Wanted:
    """A package's quality by `metric`, or where that is None the logarithm of its kbps."""

    metric: str | None
    value: float
    tolerance: float

    def excess(self, point: Point) -> float:
        """How far above it a package is; falls as crf rises."""
        if self.metric is None:
            return math.log(point.made_by["kbps"]) - self.value
        return point.quality[self.metric] - self.value

    def is_met(self, point: Point) -> bool:
        """Whether a package is near enough."""
        return abs(self.excess(point)) <= self.tolerance


def slope_of(wanted: Wanted, choice: dict[str, Any], made: Sequence[Attempt]) -> float:
    """What one crf more adds to the excess: by the last two attempts, at first by the sample."""
    if len(made) > 1:
        a, b = made[-2:]
        rise = wanted.excess(b.judged.shown) - wanted.excess(a.judged.shown)
        if rise * (b.crf - a.crf) < 0:
            return rise / (b.crf - a.crf)
    return float(choice["ln_bytes_per_crf" if wanted.metric is None else "quality_per_crf"])


def plain_at(found: dict[str, Any], scale: Any, lr: str | None = None) -> dict[str, Any]:
    """What the search found of the best plain encode at a scale, of any or of one kind of LR."""
    choices: list[dict[str, Any]] = found["considered"]  # by falling worth
    plain = (c for c in choices if c["scale"] == scale and not c["widths"])
    return next(c for c in plain if lr in (None, c.get("lr", BICUBIC)))


def rivals(
    found: dict[str, Any], size_bytes: int, scale: Any
) -> list[tuple[dict[str, Any], tuple[float, ...]]]:
    """The plain encodes to hold a package of so many bytes and a stream of this scale against, each
    with how far, in crf, from these bytes: at HR, as small, and what by the sample shows most for
    these bytes by one metric or another, as a ladder has it, of bicubic frames.

    Between two sizes a hull is a straight line, below what a few bytes more or less give either: of
    a size that is ahead two encodes show its own curve. Nor are two encodes of one crf a curve, so
    that at scale 1, where the package's stream is one of the plain encodes, another is finer.
    """
    beside = [(plain_at(found, 1), (-1.0,) if scale == 1 else (0.0,))]
    beside += [(plain_at(found, scale), (0.0,))] if scale != 1 else []
    points = [p for p in found["points"] if is_bicubic(p)]
    plain = [c for c in found["considered"] if is_bicubic(c) and not c["widths"]]
    scales = {p["scale"] for p in points} & {c["scale"] for c in plain}
    ahead = set()
    for metric in sorted(points[0].keys() & set(METRICS.values())):
        shown = {
            s: hull([Point(p["bytes"], p) for p in points if p["scale"] == s], metric)
            for s in sorted(scales)
        }
        ahead.add(max(shown, key=lambda s: shown[s].at(size_bytes)))
    ours = [choice for choice, _ in beside]
    bicubic = (plain_at(found, s, BICUBIC) for s in sorted(ahead))
    return beside + [(choice, (0.0, 2.0)) for choice in bicubic if choice not in ours]


def is_bicubic(told: dict[str, Any]) -> bool:
    """Whether a choice's frames are, or a point's: searches of before there were two kinds of
    downscaling name none."""
    return bool(told.get("lr", BICUBIC) == BICUBIC)


def network_choices(found: dict[str, Any], plain: dict[str, Any]) -> list[dict[str, Any]]:
    """The networks to make, one after the other: the best, and that of another scale which promises
    most. `plain`: the choice of the plain encode that stood its proof, which may be worth less than
    what the sample promised of a smaller one; only what promises more than it is tried."""
    least = LEAST_WORTH * plain["worth"]
    considered: list[dict[str, Any]] = found["considered"]  # by falling worth
    promising = [c for c in considered if c["widths"] and c["worth"] >= least]
    first = found["best"] if found["best"]["widths"] else next(iter(promising), None)
    if first is None:
        return []
    others = (c for c in promising if c["scale"] != first["scale"])
    return [first, *islice(others, 1)]


def decided(
    made: Attempt, plain: Attempt, ways: Sequence[Way], beside_crf: float
) -> dict[str, Any]:
    """What report.json tells of it: what was made, and beside what. `ways`: of the last choice, the
    better first; `beside_crf`: of the plain encode at the bytes of what was made."""
    judged, verdict = made.judged, ways[0][1] if ways else None
    beside = verdict.plain if made is not plain and verdict else judged.shown.quality
    return {
        "chosen": made.choice,  # not the best, where the proof refused that
        "made": judged.shown.to_json(),
        "stream": judged.stream.to_json(),
        "plain": {
            "kbps": judged.shown.made_by["kbps"],
            "crf": beside_crf,
            **{name: round(value, 4) for name, value in beside.items()},
        },
        "plain_of_the_goal": plain.judged.shown.to_json(),
        "verdict": verdict.to_json() if verdict else None,
        "ways": [
            {"moved": bool(a.choice.get("moved")), "crf": a.crf}
            | {**a.judged.shown.to_json(), **v.to_json()}
            for a, v in ways
        ],
        "skipped": round(judged.skipped, 4),
        "phones": [
            {
                "device": d.name,
                "ms_a_frame": round(d.ms(judged.macs_per_frame), 2),
                "fps": round(1000 / max(d.ms(judged.macs_per_frame), 1e-3), 1),
                "estimate": True,
            }
            for d in devices()
        ],
    }
