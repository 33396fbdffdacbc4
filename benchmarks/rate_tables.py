"""The tables of benchmarks.rate: BD-rates, points and what they cost, never worse, ablations."""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from benchmarks.rating.cells import PAPERS
from benchmarks.rating.curves import TUNE_OF, of_shots, plain_points, points_of
from benchmarks.rating.envelope import envelope
from benchmarks.reproduction.table import lines
from benchmarks.verdict import at_least
from chunking.lr import BICUBIC

Row = Mapping[str, Any]
METRICS = {"psnr_y": "PSNR-Y", "psnr_rgb": "PSNR-RGB", "xpsnr_y": "XPSNR", "vmaf": "VMAF",
           "vmaf_neg": "VMAF-NEG"}  # fmt: skip
CODECS = {"h264": "H.264", "h265": "H.265", "av1": "AV1"}
NONE = "-"
REPORTED = "reporting"
OURS = "cpu"  # the arm that rivals are beside
_SAVED = ("saved_psnr_y", "saved_psnr_rgb")


def means(result: Row) -> str:
    """BD-rate against the plain side, mean ± standard error over the reporting clips; `(of 2)`: of
    so many alone."""
    found = {
        (r["codec"], r["arm"], r["metric"]): r for r in result["means"] if r["part"] == REPORTED
    }
    rows = []
    for codec, arm in dict.fromkeys((c, a) for c, a, _ in found):
        of_arm = [found.get((codec, arm, metric)) for metric in METRICS]
        shown = [r for r in of_arm if r]
        overlap = min(r["overlap"] for r in shown)
        clips = max(r["clips"] for r in shown)
        fewer = {r["metric"]: f" (of {r['clips']})" for r in shown if r["clips"] < clips}
        told = (_percent(r) + fewer.get(m, "") for m, r in zip(METRICS, of_arm, strict=True))
        rows.append((codec, f"`{arm}`", *told, clips, f"{overlap:.0%}"))
    return _table(("codec", "arm", *METRICS.values(), "clips", "overlap"), *rows)


def clips(result: Row) -> str:
    """BD-rate in PSNR-Y of each shot and arm."""
    arms = list(dict.fromkeys(r["arm"] for r in result["rows"]))
    found = {
        (r["codec"], r["shot"], r["arm"]): r
        for r in result["rows"]
        if r["metric"] == "psnr_y" and r["part"] == REPORTED
    }
    rows = [
        (shot, codec, *(_percent(found.get((codec, shot, arm))) for arm in arms))
        for codec, shot in dict.fromkeys((c, s) for c, s, _ in found)
    ]
    return _table(("shot", "codec", *(f"`{arm}`" for arm in arms)), *rows)


def points(result: Row) -> str:
    """The operating points of the searched arms: what they show, and what a frame costs."""
    rows = []
    for (codec, tune, shot), group in of_shots(result["cells"]).items():
        if tune != TUNE_OF["psnr_y"]:
            continue
        for cell in (c for c in group if c["arm"] in ("cpu", "npu") and c["part"] == REPORTED):
            point = next(p for p in points_of([cell], cell["arm"]))
            plain = envelope(plain_points(group, cell["arm"]), "psnr_y").quality_at(point.bytes)
            beside = f"{plain:.2f}" if plain is not None else NONE
            kbps = 8 * point.bytes / 1000 / cell["seconds"]
            shown = f"{point.quality['psnr_y']:.2f}"
            network = _network(cell)
            phones = [f"{p['ms_a_frame']:.0f}" for p in cell.get("phones", ())]
            rows.append((
                shot, codec, f"`{cell['arm']}`", f"{kbps:,.0f}", shown, beside, network,
                f"{cell['engine_ms']:.1f}", " / ".join(phones) or NONE, f"{cell['skipped']:.0%}",
            ))  # fmt: skip
    return _table(
        ("shot", "codec", "class", "kbps", "PSNR-Y, dB", "plain there", "scale, network",
         "engine here, one thread, ms", "phones (estimates), ms", "skipped"),
        *rows,
    )  # fmt: skip


def worst(result: Row) -> str:
    """Of each arm the point that is furthest behind the plain side, and how many are too far."""
    rows = [
        (
            r["codec"], f"`{r['arm']}`", METRICS[r["metric"]], f"{100 * r['behind']:+.1f} %",
            r["shot"], f"{r['broken']} of {r['points']}",
        )
        for r in result["worst"]
    ]  # fmt: skip
    head = ("codec", "arm", "metric", "furthest behind", "there", "behind by more than is allowed")
    return _table(head, *rows)


def ablation(result: Row) -> str:
    """Bytes more without a part, percent at equal quality ± standard error."""
    found = {(r["codec"], r["arm"], r["metric"]): r for r in result["ablation"]}
    rows = []
    for codec, arm in dict.fromkeys((c, a) for c, a, _ in found):
        of_arm = [found.get((codec, arm, metric)) for metric in METRICS]
        cells = max(r["cells"] for r in of_arm if r)
        rows.append((codec, arm.removeprefix("no-"), *map(_percent, of_arm), cells))
    return _table(("codec", "without", *METRICS.values(), "points"), *rows)


def moved(result: Row) -> str:
    """What packages on moved frames save more than those on frames as they were, of the bytes of
    plain encodes; mean ± standard error over points."""
    gains: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for cell in result["cells"]:
        ways = {way["moved"]: way for way in cell.get("ways", ())}
        if len(ways) == 2:
            more = [100 * (ways[True][m] - ways[False][m]) for m in _SAVED]
            key = cell["choice"].get("lr", BICUBIC), cell["codec"]
            gains.setdefault(key, []).append((more[0], more[1]))
    rows = [
        (kind, codec, *(_percent(_mean_of(column)) for column in zip(*found, strict=True)),
         len(found))
        for (kind, codec), found in sorted(gains.items())
    ]  # fmt: skip
    return _table(("frames", "codec", "saved more, PSNR-Y", "PSNR-RGB", "points"), *rows)


def rivals(result: Row) -> str:
    """BD-rate in PSNR-Y and RGB of the papers' methods beside the search's, clip by clip."""
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    for r in result["rows"]:
        if r["part"] == REPORTED and r["percent"] is not None:
            found.setdefault((r["codec"], r["arm"], r["metric"]), {})[r["shot"]] = r["percent"]
    rows = []
    for codec, arm in dict.fromkeys((codec, arm) for codec, arm, _ in found if arm in PAPERS):
        told: list[str] = []
        clips = 0
        for metric in ("psnr_y", "psnr_rgb"):
            theirs, ours = (found.get((codec, a, metric), {}) for a in (arm, OURS))
            both = [shot for shot in theirs if shot in ours]
            clips = max(clips, len(both))
            if both:
                means = [_mean_of([side[shot] for shot in both]) for side in (theirs, ours)]
                ahead = at_least([theirs[shot] - ours[shot] for shot in both])
                told += [*map(_percent, means), ahead]
            else:
                told += [NONE] * 3
        rows.append((codec, f"`{arm}`", *told, clips))
    of_metric = [
        (name, f"`{OURS}`, {name}", f"`{OURS}` ahead in {name}") for name in ("PSNR-Y", "PSNR-RGB")
    ]
    head = ("codec", "method", *of_metric[0], *of_metric[1], "clips")
    return _table(head, *rows)


def networks(result: Row) -> str:
    """The papers' networks on one stream: luma and RGB, or bytes and work, beside each other."""
    rows = [
        (c["claim"], c["verdict"], *map(_sampled, c["measured"].items()),
         next(iter(c["measured"].values()))["runs"])
        for c in result["claims"]
    ]  # fmt: skip
    return _table(("on the same stream", "verdict", "measured", "and", "clips"), *rows)


_UNITS = {"difference_db": "{} dB of luma", "difference_rgb_db": "{} dB of RGB",
          "ratio": "{} of the bytes", "macs_ratio": "{} of the multiplications"}  # fmt: skip


def _sampled(measured: tuple[str, Row]) -> str:
    name, found = measured
    sign = "+" if name.endswith("_db") else ""
    error = found["standard_error"]
    spread = "" if error is None else f" ± {error:.2f}"
    return _UNITS[name].format(f"{found['mean']:{sign}.2f}{spread}")


def _mean_of(percents: Sequence[float]) -> Row:
    error = stdev(percents) / math.sqrt(len(percents)) if len(percents) > 1 else None
    return {"percent": fmean(percents), "standard_error": error}


def control(result: Row) -> str:
    """The network of zeros beside the stream alone."""
    row = result["control"]
    compared = (
        [("`zero` - `plain`", f"{row['largest_difference']:.2f}", row["numbers"])] if row else []
    )
    return _table(("control", "largest difference in any metric", "numbers compared"), *compared)


def _percent(row: Row | None) -> str:
    if row is None or row["percent"] is None:
        return NONE
    error = row.get("standard_error")
    return f"{row['percent']:+.1f} %" if error is None else f"{row['percent']:+.1f} ± {error:.1f} %"


def _network(cell: Row) -> str:
    if not cell["networks"]:
        return f"x{cell['scale']:g}, plain"
    arch = cell["networks"][0]
    return f"x{cell['scale']:g}, {len(arch['widths'])} of {arch['widths'][0]}, u {arch['units']}"


def _table(head: Sequence[str], *rows: Sequence[object]) -> str:
    return (
        lines(head, *([str(cell) for cell in row] for row in rows)) if rows else "Not measured yet."
    )


TABLES: Mapping[str, Callable[[Row], str]] = {
    f"rate.{table.__name__}": table
    for table in (means, clips, points, rivals, networks, worst, ablation, moved, control)
}
