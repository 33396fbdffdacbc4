"""What a comparison shows: the one place where a claim is said to hold.

A claim is judged by margins, one a run: by how much the run clears what was claimed, in the
figure's own unit. A margin is positive where the run is in favour.

| word | the mean margin is |
|---|---|
| holds | above zero by more than two standard errors |
| reversed | below zero by more than two: the opposite of the claim's words was measured |
| tie | within two standard errors of zero: these runs cannot tell |
| one run | of a single run, which says nothing of how far runs lie apart |

Arms are compared run by run, within a clip and seed, so that what a clip is worth cancels out. A
claim about clips has a run for each clip, the mean of its seeds.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

HOLDS, TIE, REVERSED, ONE_RUN = "holds", "tie", "reversed", "one run"
WORDS = (HOLDS, TIE, REVERSED, ONE_RUN)
STANDARD_ERRORS = 2.0

Row = Mapping[str, Any]


def _mean_and_error(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and its standard error, None of a single value. Raises ValueError for no value."""
    if not values:
        raise ValueError("no runs, so there is nothing to judge")
    if len(values) == 1:
        return values[0], None
    return statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values))


def sample(values: Sequence[float]) -> dict[str, Any]:
    """A figure over runs as result files hold it, to four digits: more than any is known to."""
    mean, error = _mean_and_error(values)
    return {
        "mean": float(f"{mean:.4g}"),
        "standard_error": None if error is None else float(f"{error:.4g}"),
        "runs": len(values),
    }


def at_least(values: Sequence[float], bar: float = 0.0) -> str:
    """The verdict on "the figure is at least `bar`"."""
    # Nine decimals: what is equal but for the last bits of a float must not win by them.
    mean, error = _mean_and_error([round(value - bar, 9) for value in values])
    if error is None:
        return ONE_RUN
    # Equal margins have no error: then their sign decides, and runs that differ in nothing tie.
    if mean > STANDARD_ERRORS * error:
        return HOLDS
    return REVERSED if mean < -STANDARD_ERRORS * error else TIE


def at_most(values: Sequence[float], bar: float = 0.0) -> str:
    """The verdict on "the figure is at most `bar`"."""
    return at_least([-value for value in values], -bar)


def all_of(*words: str) -> str:
    """The verdict on a claim of several parts: that of its weakest."""
    weakest_first = (REVERSED, ONE_RUN, TIE, HOLDS)
    return min(words, key=weakest_first.index)


def values_of(
    rows: Sequence[Row], arm: str, column: str, by: Sequence[str] = ("seed",)
) -> dict[tuple[Any, ...], float]:
    """An arm's numbers in a column, each under its run: the values of the columns `by`."""
    return {tuple(r[name] for name in by): float(r[column]) for r in rows if r["arm"] == arm}


def column_of(rows: Sequence[Row], arm: str, column: str) -> list[float]:
    """An arm's numbers in a column, in the order of the rows."""
    return [float(row[column]) for row in rows if row["arm"] == arm]


def means_within(rows: Sequence[Row], arm: str, column: str, unit: str = "clip") -> list[float]:
    """An arm's numbers in a column, a mean for each value of `unit`."""
    units: dict[Any, list[float]] = {}
    for row in (row for row in rows if row["arm"] == arm):
        units.setdefault(row[unit], []).append(float(row[column]))
    return [fmean(values) for values in units.values()]


def paired(
    rows: Sequence[Row], arm: str, other: str, column: str, by: Sequence[str] = ("seed",)
) -> list[tuple[float, float]]:
    """A column of two arms, for each run that both have, a mean for each value of the first of
    `by`: seeds of one clip share what it is for an arm, and are no more runs."""
    left, right = (values_of(rows, name, column, by) for name in (arm, other))
    units: dict[Any, list[tuple[float, float]]] = {}
    for run in (run for run in left if run in right):
        units.setdefault(run[0], []).append((left[run], right[run]))
    return [(fmean(a for a, _ in runs), fmean(b for _, b in runs)) for runs in units.values()]


def differences(
    rows: Sequence[Row], arm: str, other: str, column: str, by: Sequence[str] = ("seed",)
) -> list[float]:
    """`arm` less `other`, in the pairs of `paired`."""
    return [a - b for a, b in paired(rows, arm, other, column, by)]


def comparison(
    words: str,
    rows: Sequence[Row],
    arms: tuple[str, str],
    column: str,
    least: float = 0.0,
    by: Sequence[str] = ("seed",),
) -> dict[str, Any]:
    """The claim `words`, that the first of `arms` is at least `least` above the second, seed by
    seed, as a result file holds it: verdict, and the two means with their difference."""
    ours, other = arms
    found = differences(rows, ours, other, column, by)
    means = {arm: sample(column_of(rows, arm, column))["mean"] for arm in arms}
    measured = {**means, "difference": sample(found)}
    return {"claim": words, "verdict": at_least(found, least), "measured": measured}
