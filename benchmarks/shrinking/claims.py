"""What the rows say: one claim, whether it holds, and the means that it is read from.

Means are over clips and seeds; differences are taken within a clip and seed first, so that what a
clip is worth cancels out, and their sample deviation over clips and seeds stands beside them.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
MOST_TIME = 0.6  # of the dense network's, at half of its multiplications


@dataclass(frozen=True)
class Difference:
    """A column of one arm less that of another, pair by pair."""

    mean: float
    deviation: float

    def to_json(self) -> dict[str, float]:
        return {"mean": round(self.mean, 4), "deviation": round(self.deviation, 4)}


def values_of(rows: Sequence[Row], arm: str, column: str) -> dict[tuple[str, int], float]:
    """An arm's numbers by clip and seed."""
    return {(r["clip"], r["seed"]): float(r[column]) for r in rows if r["arm"] == arm}


def difference(rows: Sequence[Row], arm: str, other: str, column: str = "psnr_db") -> Difference:
    """`arm` less `other`, over the clips and seeds that both have."""
    left, right = values_of(rows, arm, column), values_of(rows, other, column)
    found = [left[key] - right[key] for key in left if key in right]
    spread = statistics.stdev(found) if len(found) > 1 else 0.0
    return Difference(statistics.fmean(found), spread)


def mean(rows: Sequence[Row], arm: str, column: str) -> float:
    return statistics.fmean(values_of(rows, arm, column).values())


@dataclass(frozen=True)
class Claim:
    """`judge` returns whether it holds and what was measured; `needs` the arms that it reads."""

    text: str
    needs: tuple[str, ...]
    judge: Callable[[Sequence[Row]], tuple[bool, dict[str, Any]]]


def above(arm: str, other: str, least_db: float) -> Claim:
    """At least so much more PSNR."""

    def judge(rows: Sequence[Row]) -> tuple[bool, dict[str, Any]]:
        found = difference(rows, arm, other)
        return found.mean >= least_db, {"difference_db": found.to_json()}

    text = f"{arm} is at least {least_db:g} dB above {other}"
    return Claim(text, (arm, other), judge)


def near(arm: str, other: str, most_db: float) -> Claim:
    """At most so much below."""

    def judge(rows: Sequence[Row]) -> tuple[bool, dict[str, Any]]:
        found = difference(rows, arm, other)
        return found.mean >= -most_db, {"difference_db": found.to_json()}

    return Claim(f"{arm} is at most {most_db:g} dB below {other}", (arm, other), judge)


def ratio(arm: str, other: str, column: str, most: float, text: str) -> Claim:
    """A column's mean at most so much of another arm's, over what both have."""

    def judge(rows: Sequence[Row]) -> tuple[bool, dict[str, Any]]:
        left, right = values_of(rows, arm, column), values_of(rows, other, column)
        shared = left.keys() & right.keys()
        found = sum(left[key] for key in shared) / sum(right[key] for key in shared)
        return found <= most, {"ratio": round(found, 4)}

    return Claim(f"{arm}: {text} at most {most:g} of {other}", (arm, other), judge)


def fast(arm: str) -> Claim:
    """Half the multiplications take at most MOST_TIME of the dense network's time."""

    def judge(rows: Sequence[Row]) -> tuple[bool, dict[str, Any]]:
        macs, time = mean(rows, arm, "macs_ratio"), mean(rows, arm, "time_ratio")
        measured = {"macs_ratio": round(macs, 3), "time_ratio": round(time, 3)}
        return macs <= 0.5 and time <= MOST_TIME, measured

    text = f"{arm}: half the multiplications take at most {MOST_TIME:g} of the time"
    return Claim(text, (arm,), judge)


STAGES: tuple[Claim, ...] = (
    above("chex", "uniform", 0.15),
    above("chex", "uniform, engine's steps", 0.15),
    near("chex", "dense then L1", 0.05),
    ratio("chex", "dense then L1", "server_s", 1.0, "the server's seconds"),
    near("chex, no expansion", "dense then L1", 0.05),
    ratio("chex, no expansion", "dense then L1", "server_s", 1.0, "the server's seconds"),
    above("chex", "uniform, expanded", 0.0),
    above("chex", "chex, random regrow", 0.0),
    above("chex, quarter", "uniform, quarter", 0.3),
    near("chase", "sparse, all channels", 0.1),
    above("chase", "chase, random channels", 0.0),
    above("chase", "chase, once at the end", 0.0),
    ratio("chase", "dense", "bytes", 0.6, "bytes of weights"),
    ratio("fair", "group-blind", "spread_db", 0.5, "the groups' spread of drops"),
    near("fair", "group-blind", 0.1),
    above("condense", "condense: dense", 0.1),
    above("condense", "condense: one expert, always on", 0.0),
    above("condense", "condense: random experts", 0.0),
    above("condense", "condense: shared only", 0.0),
    fast("chex"),
    fast("chase"),
    fast("fair"),
    fast("condense"),
)


def claims_of(rows: Sequence[Row], claims: Sequence[Claim]) -> list[dict[str, Any]]:
    """Every one of `claims` whose arms all have rows."""
    arms = {row["arm"] for row in rows}
    found = []
    for claim in claims:
        if arms.issuperset(claim.needs):
            holds, measured = claim.judge(rows)
            found.append({"claim": claim.text, "holds": holds, "measured": measured})
    return found
