"""From cells to what is claimed: curves, the plain side's envelope, bytes at equal quality, means.

cells of a shot --> points of an arm ---------.
                '-> of the plain side --envelope--> bytes for a quality --> BD-rate of a shot
shots -> mean of a clip -> mean of the clips, and its standard error
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import product
from statistics import fmean, stdev
from typing import Any

from benchmarks.bd_rate import BdRate, bd_rate
from benchmarks.rating.cells import (
    ABLATIONS,
    ARMS,
    BESIDE_HR,
    BESIDE_SHARP,
    PLAIN_SIDE,
    SHARP_SIDE,
    TUNES,
)
from benchmarks.rating.envelope import Point, envelope

Cells = Sequence[Mapping[str, Any]]

# Rows of PSNR are of streams tuned for it on both sides, rows of VMAF of streams as they come.
TUNE_OF = {"psnr_y": "psnr", "psnr_rgb": "psnr", "xpsnr_y": "psnr", "vmaf": "default",
           "vmaf_neg": "default"}  # fmt: skip
# The plain side's curve reaches beyond the arm's at both ends, on purpose.
LEAST_OVERLAP = 0.3
BEHIND, BEHIND_BYTES, BEHIND_BYTES_A_SEGMENT = 0.005, 400, 40  # what "never worse" allows


def metrics_of(codec: str, tune: str) -> list[str]:
    """The metrics that streams of this tuning are for: all of them where the codec has only one."""
    options = TUNES[tune][codec]
    return [m for m, wanted in TUNE_OF.items() if TUNES[wanted][codec] == options]


def points_of(cells: Cells, arm: str) -> list[Point]:
    """The points of an arm among the cells of one shot.

    `bicubic` and `generic` are the streams of scale 2 as players without, and with the generic
    network show them. A plain stream needs no index. Arms beside both sides have none where the
    sharp one was not measured.
    """
    if arm in BESIDE_SHARP and not any(c["arm"] in SHARP_SIDE for c in cells):
        return []
    source = {**BESIDE_SHARP, **BESIDE_HR, "generic": "plain-2"}.get(arm, arm)
    found = []
    for cell in (c for c in cells if c["arm"] == source):
        quality = cell["generic" if arm == "generic" else "quality"]
        plain = source in (*PLAIN_SIDE, *SHARP_SIDE) and arm != "generic"
        size = _stream_bytes(cell) if plain else cell["bytes"]["total"]
        found.append(Point(size, quality, cell["scale"], _lr(cell)))
    return found


def _lr(cell: Mapping[str, Any]) -> str:
    """How the film was made smaller for it; cells from before there was a choice do not say."""
    kind = cell.get("choice", ARMS[cell["arm"]].options).get("lr", "bicubic")
    return str(kind) if cell["scale"] > 1 else "bicubic"


def _stream_bytes(cell: Mapping[str, Any]) -> int:
    """What a server sends that knows nothing of PocketSR."""
    return int(cell["bytes"]["video"] + cell["bytes"]["manifests"])


def plain_points(cells: Cells, arm: str) -> list[Point]:
    """What an arm is compared with: all that the codec does without a network.

    Where the search took no network, its stream is one of those as well, of whatever scale: else
    it would seem to win by a scale that the other side was not given. A sharp one is that only for
    arms beside both sides: no ladder but ours is made so. Others have the codec at HR alone beside
    them.
    """
    if arm in BESIDE_HR:
        return points_of(cells, PLAIN_SIDE[0])
    searched = [c for c in cells if ARMS[c["arm"]].searched and not c["networks"]]
    own = [Point(_stream_bytes(c), c["quality"], c["scale"], _lr(c)) for c in searched]
    is_both = arm in BESIDE_SHARP
    sides = (*PLAIN_SIDE, *SHARP_SIDE) if is_both else PLAIN_SIDE
    made = (point for side in sides for point in points_of(cells, side))
    return [*(point for point in own if is_both or point.lr == "bicubic"), *made]


def of_shots(cells: Cells) -> dict[tuple[str, str, str], list[Mapping[str, Any]]]:
    """The cells of each (codec, tune, shot)."""
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for cell in cells:
        groups[cell["codec"], cell["tune"], cell["shot"]].append(cell)
    return dict(groups)


def over_plain_side(points: Sequence[Point], beside: Sequence[Point], metric: str) -> BdRate:
    """Bytes of an arm's points over those of the plain side's envelope, by one metric."""
    curve = [(point.bytes, point.quality[metric]) for point in points]
    return bd_rate(envelope(beside, metric).sampled(), curve, LEAST_OVERLAP)


def bd_rows(cells: Cells, arms: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each shot, arm and metric: a number, or the reason why there is none."""
    rows = []
    for (codec, tune, shot), group in of_shots(cells).items():
        for arm in arms:
            points, beside = points_of(group, arm), plain_points(group, arm)
            if not points:
                continue
            for metric in metrics_of(codec, tune):
                if not all(metric in p.quality for p in (*points, *beside)):
                    continue
                found = over_plain_side(points, beside, metric)
                first = group[0]
                named = {"codec": codec, "clip": first["clip"], "shot": shot, "arm": arm}
                kind = {"part": first["part"], "long": first["long"], "metric": metric}
                rows.append({**named, **kind, **vars(found), "points": len(points)})
    return rows


def mean_rows(rows: Cells) -> list[dict[str, Any]]:
    """Over the clips: the mean of each clip's shots, then of the clips, and its standard error."""
    groups: dict[tuple[str, ...], dict[str, list[Mapping[str, Any]]]] = {}
    for row in (r for r in rows if not r["long"] and r["percent"] is not None):
        key = row["part"], row["codec"], row["arm"], row["metric"]
        groups.setdefault(key, defaultdict(list))[row["clip"]].append(row)
    means = []
    for (part, codec, arm, metric), clips in groups.items():
        rates = [fmean(r["percent"] for r in shots) for shots in clips.values()]
        error = stdev(rates) / math.sqrt(len(rates)) if len(rates) > 1 else None
        overlap = fmean(r["overlap"] for shots in clips.values() for r in shots)
        named = {"part": part, "codec": codec, "arm": arm, "metric": metric}
        numbers = {"percent": fmean(rates), "standard_error": error, "worst": max(rates)}
        means.append({**named, **numbers, "overlap": overlap, "clips": len(rates)})
    return means


def worst_rows(cells: Cells, arms: Sequence[str]) -> list[dict[str, Any]]:
    """Never worse: of each arm and metric the point that is furthest behind the plain side.

    `behind`: bytes over the plain side's for the same quality, less 1; `broken`: how many points
    are behind by more than is allowed. Beyond the plain side's ends nothing is compared.
    """
    found: dict[tuple[str, str, str], list[tuple[float, float, str]]] = defaultdict(list)
    for (codec, tune, shot), group in of_shots(cells).items():
        spare = BEHIND_BYTES + BEHIND_BYTES_A_SEGMENT * max(c["segments"] for c in group)
        for arm, metric in product(arms, metrics_of(codec, tune)):
            points, beside = points_of(group, arm), plain_points(group, arm)
            if not all(metric in p.quality for p in (*points, *beside)):
                continue
            plain = envelope(beside, metric)
            for point in points:
                if (same := plain.bytes_for(point.quality[metric])) is not None:
                    allowed = max(BEHIND, spare / point.bytes)
                    found[codec, arm, metric].append((point.bytes / same - 1, allowed, shot))
    rows = []
    for (codec, arm, metric), margins in found.items():
        behind, _, shot = max(margins)
        broken = sum(margin > allowed for margin, allowed, _ in margins)
        named = {"codec": codec, "arm": arm, "metric": metric, "shot": shot}
        rows.append({**named, "behind": behind, "broken": broken, "points": len(margins)})
    return rows


def ablation_rows(cells: Cells) -> list[dict[str, Any]]:
    """What each part is worth: bytes with it left out over bytes with all, at the quality of each
    by the plain side's curve, in percent; mean and standard error over shots and rates."""
    gains: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for (codec, tune, _), group in of_shots(cells).items():
        for metric in metrics_of(codec, tune):
            over = _over_plain([c for c in group if c["arm"] in ABLATIONS], group, metric)
            for (arm, crf), without in over.items():
                if arm != "all" and ("all", crf) in over:
                    gains[codec, arm, metric].append(100 * (without / over["all", crf] - 1))
    return [
        {"codec": codec, "arm": arm, "metric": metric, "percent": fmean(found),
         "standard_error": stdev(found) / math.sqrt(len(found)) if len(found) > 1 else None,
         "cells": len(found)}
        for (codec, arm, metric), found in gains.items()
    ]  # fmt: skip


def _over_plain(cells: Cells, group: Cells, metric: str) -> dict[tuple[str, float], float]:
    """By arm and crf: a cell's bytes over the plain side's at its quality, where that is known."""
    beside = [p for p in plain_points(group, "all") if metric in p.quality]
    plain, found = envelope(beside, metric), {}
    for cell in (c for c in cells if metric in c["quality"]):
        if (same := plain.bytes_for(cell["quality"][metric])) is not None:
            found[cell["arm"], cell["crf"]] = cell["bytes"]["total"] / same
    return found


def control_row(cells: Cells) -> dict[str, Any] | None:
    """The network of zeros beside the plain stream of the same crf: the largest difference."""
    plain = {(c["codec"], c["tune"], c["shot"], c["crf"]): c for c in cells if c["arm"] == "plain"}
    differences = []
    for zero in (c for c in cells if c["arm"] == "zero"):
        other = plain.get((zero["codec"], zero["tune"], zero["shot"], zero["crf"]))
        if other is not None:
            shared = zero["quality"].keys() & other["quality"].keys()
            differences += [abs(zero["quality"][m] - other["quality"][m]) for m in shared]
    return (
        {"largest_difference": max(differences), "numbers": len(differences)}
        if differences
        else None
    )
