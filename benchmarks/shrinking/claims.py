"""What the tables of benchmarks.shrink claim, each with the verdict that its rows give.

Differences are taken within a clip and seed first, then a clip's are one run: seeds of a clip share
what it is for an arm. benchmarks/verdict.py says what holds. A bar is what was asked for before
anything was measured, so that a clear gain may still fall short of it.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.verdict import (
    Row,
    all_of,
    at_least,
    at_most,
    differences,
    means_within,
    paired,
    sample,
)

MOST_TIME = 0.6  # of the dense network's, at half of its multiplications
RUN = ("clip", "seed")
Judged = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Claim:
    """`judge` returns the verdict and what was measured; `needs` the arms that it reads."""

    text: str
    needs: tuple[str, ...]
    judge: Callable[[Sequence[Row]], Judged]


def above(arm: str, other: str, least_db: float, column: str = "psnr_db", part: str = "") -> Claim:
    """At least so much more PSNR; `part` names what another column than the default tells of."""
    text = f"{arm}{part} is at least {least_db:g} dB above {other}"
    return _difference(text, arm, other, least_db, column)


def near(arm: str, other: str, most_db: float, column: str = "psnr_db", part: str = "") -> Claim:
    """At most so much below."""
    text = f"{arm}{part} is at most {most_db:g} dB below {other}"
    return _difference(text, arm, other, -most_db, column)


def _difference(text: str, arm: str, other: str, least_db: float, column: str) -> Claim:
    def judge(rows: Sequence[Row]) -> Judged:
        found = differences(rows, arm, other, column, RUN)
        return at_least(found, least_db), {"difference_db": sample(found)}

    return Claim(text, (arm, other), judge)


def ratio(arm: str, other: str, column: str, most: float, text: str) -> Claim:
    """A column's sum at most so much of another arm's, over what both have."""

    def judge(rows: Sequence[Row]) -> Judged:
        pairs = paired(rows, arm, other, column, RUN)
        whole = statistics.fmean(b for _, b in pairs)
        found = statistics.fmean(a for a, _ in pairs) / whole
        # A ratio of sums, run by run to first order: what a run is off that line, over the mean.
        by_run = [found + (a - found * b) / whole for a, b in pairs]
        return at_most(by_run, most), {"ratio": sample(by_run)}

    return Claim(f"{arm}: {text} at most {most:g} of {other}", (arm, other), judge)


def fast(arm: str) -> Claim:
    """Half the multiplications take at most MOST_TIME of the dense network's time."""

    def judge(rows: Sequence[Row]) -> Judged:
        macs, time = (means_within(rows, arm, column) for column in ("macs_ratio", "time_ratio"))
        measured = {"macs_ratio": sample(macs), "time_ratio": sample(time)}
        return all_of(at_most(macs, 0.5), at_most(time, MOST_TIME)), measured

    text = f"{arm}: half the multiplications take at most {MOST_TIME:g} of the dense network's time"
    return Claim(text, (arm,), judge)


# What a stage is told against has as many multiplications in the engine's blocks, and so the same
# time: fixed widths without branches and with the one folding branch, and widths cut by magnitude.
FIXED, FIXED_BRANCH = "condense: dense", "uniform"
BLIND, NARROW = "group-blind", "even blocks"

STAGES: tuple[Claim, ...] = (
    above("chex", FIXED, 0.15),
    above("chex", FIXED_BRANCH, 0.0),
    above("chex", BLIND, 0.0),
    ratio("chex", BLIND, "server_s", 1.0, "the server's seconds"),
    near("chex, no expansion", FIXED, 0.05),
    above("chex", "even widths", 0.15),
    above("chex", "even widths, expanded", 0.0),
    above("chex", "chex, random regrow", 0.0),
    above("chex, quarter", "even widths, quarter", 0.3),
    above("chase", NARROW, 0.0),
    ratio("chase", NARROW, "bytes", 1.0, "bytes of weights"),
    near("chase", "sparse, all channels", 0.1),
    above("chase", "chase, random channels", 0.0),
    above("chase", "chase, once at the end", 0.0),
    ratio("chase", "dense", "bytes", 0.6, "bytes of weights"),
    ratio("fair", BLIND, "spread_db", 0.5, "the groups' spread of drops"),
    near("fair", BLIND, 0.1),
    ratio("fair", "chex", "spread_db", 1.0, "the groups' spread of drops"),
    above("fair", "chex", 0.0, "worst_group_db", ", the worst group,"),
    above("condense", FIXED, 0.1),
    above("condense", FIXED_BRANCH, 0.0),
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
            verdict, measured = claim.judge(rows)
            found.append({"claim": claim.text, "verdict": verdict, "measured": measured})
    return found
