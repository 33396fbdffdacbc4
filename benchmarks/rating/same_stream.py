"""The papers' methods on one stream: what their networks show, apart from what these cost.

At a rate all methods have the same LR stream, bicubic and of scale 2, and equal training, so that
packages differ in their networks alone. Beside BD-rates, where every byte counts, this is what the
papers claim. A run is a clip: the mean over the streams that both methods were measured on.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmarks.verdict import at_least, at_most, sample

Cell = Mapping[str, Any]

CODEC, TUNE = "h264", "psnr"
WITHIN_DB, SHARE = 0.1, 0.25  # of one network: below STDO's four, and of their bytes
BETTER = (("stdo", "nas"), ("stdo", "awdnn"), ("jstdo", "awdnn"), ("dydca", "jstdo"),
          ("repcam", "awdnn"), ("cafm", "awdnn"))  # fmt: skip
AS_GOOD = (("jstdo", "stdo"), ("dydca", "stdo"))


def same_stream_claims(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """What networks on one stream show, each claim with its verdict; none without its cells."""
    above = [(arm, other, 0.0, f"above {other}") for arm, other in BETTER]
    near = [
        (arm, other, -WITHIN_DB, f"at most {WITHIN_DB:g} dB below {other}")
        for arm, other in AS_GOOD
    ]
    found = []
    for arm, other, least_db, words in (*above, *near):
        luma, rgb = (_by_clip(cells, arm, other, _more_db(m)) for m in ("psnr_y", "psnr_rgb"))
        if luma:
            measured = {"difference_db": sample(luma), "difference_rgb_db": sample(rgb)}
            told = {"claim": f"{arm} is {words}", "verdict": at_least(luma, least_db)}
            found.append({**told, "measured": measured})
    for arm, other in AS_GOOD:
        shares = _by_clip(cells, arm, other, _weights_share)
        if shares:
            text = f"{arm}: bytes of weights at most {SHARE:g} of {other}"
            told = {"claim": text, "verdict": at_most(shares, SHARE)}
            work = _by_clip(cells, arm, other, _macs_share)
            found.append(
                {**told, "measured": {"ratio": sample(shares), "macs_ratio": sample(work)}}
            )
    return found


def _more_db(metric: str) -> Callable[[Cell, Cell], float]:
    return lambda ours, other: float(ours["quality"][metric] - other["quality"][metric])


def _weights_share(ours: Cell, other: Cell) -> float:
    return float(ours["bytes"]["weights"] / other["bytes"]["weights"])


def _macs_share(ours: Cell, other: Cell) -> float:
    return float(ours["macs_per_frame"] / other["macs_per_frame"])


def _by_clip(
    cells: Sequence[Cell], arm: str, other: str, compare: Callable[[Cell, Cell], float]
) -> list[float]:
    """Of each clip the mean of `compare` over the streams that both arms have."""
    kept = {
        (c["shot"], c["crf"], c["arm"]): c
        for c in cells
        if (c["codec"], c["tune"]) == (CODEC, TUNE)
    }
    found: dict[str, list[float]] = defaultdict(list)
    for (shot, crf, name), cell in sorted(kept.items()):
        beside = kept.get((shot, crf, other))
        if name == arm and beside and beside["bytes"]["video"] == cell["bytes"]["video"]:
            found[cell["clip"]].append(compare(cell, beside))
    return [fmean(values) for values in found.values()]
