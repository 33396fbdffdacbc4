"""The page of `pocketsr report`: what is known of a package, put into page.html."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import Environment
from markupsafe import Markup

from chunking.lr import BICUBIC
from player.package.entries import Index
from player.package.layout import REPORT_FILE
from player.package.scale import scale_number
from sr.encode.report.charts import rate_chart, time_chart
from sr.encode.report.moments import PATH_COLOURS, Moment
from sr.encode.report.sides import LR, OURS, PLAIN_ENCODE, SOURCE, Side

_TEMPLATE = Path(__file__).with_name("page.html")
_NAMES = {"psnr_y": "PSNR-Y, dB", "psnr_rgb": "PSNR-RGB, dB", "xpsnr_y": "XPSNR, dB",
          "vmaf": "VMAF", "vmaf_neg": "VMAF-NEG"}  # fmt: skip
_PART_COLOURS = {
    "video": "#0072b2", "weights": "#d55e00", "routes": "#e69f00", "router": "#f0e442",
    "index": "#cc79a7", "manifests": "#009e73", "audio": "#56b4e9", "text": "#999999",
}  # fmt: skip
_MOST_TRIED = 12

Shown = TypeVar("Shown")
_OVER_TIME = ("psnr_y", "vmaf")


@dataclass(frozen=True)
class Known:
    """What there is to show. `sizes`: bytes of each part; `report`: of report.json, which may be
    empty; `sides` and `moments` empty where the film was not at hand; `routes`: a picture and the
    number of its frame.
    """

    index: Index
    sizes: Mapping[str, int]
    title: str
    report: Mapping[str, Any]
    sides: Sequence[Side]
    moments: Sequence[Moment]
    routes: tuple[str, int] | None

    @property
    def seconds(self) -> float:
        """How long the film is."""
        ticks = sum(segment.duration for segment in self.index.segments)
        return max(1e-3, float(ticks * self.index.time_base))

    @property
    def metrics(self) -> list[str]:
        """Those that every side has."""
        return [
            m for m in _NAMES
            if self.sides and all(side.quality.mean(m) is not None for side in self.sides)
        ]  # fmt: skip


def page(known: Known, missing: Sequence[str]) -> str:
    """The HTML, with nothing in it from elsewhere. `missing`: what is not shown, and why."""
    unread: list[str] = []

    def read(name: str, make: Callable[[Known], Shown]) -> Shown | None:
        # report.json is no part of what was signed: it may hold anything.
        try:
            return make(known)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            unread.append(f"{name} ({REPORT_FILE} is not one of ours)")
            return None

    rate, tried = read("the rate", _rate), read("what the search tried", _tried)
    routes = read("the routes", _routes)
    environment = Environment(autoescape=True, trim_blocks=True)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    made = template.render(
        title=known.title,
        about=_about(known.index),
        said=_said(known.sides),
        missing=[*missing, *unread],
        metrics=[_NAMES[metric] for metric in known.metrics],
        sides=[_side(side, known.metrics) for side in known.sides],
        rate=rate,
        over_time=[_over_time(known, m) for m in _OVER_TIME if m in known.metrics],
        moments=[_moment(moment) for moment in known.moments],
        routes=routes,
        parts=_parts(known.sizes),
        tried=tried,
        command=known.report.get("command"),
    )
    # Names of files may be no UTF-8: such bytes are shown as a sign that there is none for.
    return made.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _side(side: Side, metrics: Sequence[str]) -> dict[str, Any]:
    cells = [f"{side.quality.mean(metric):.2f}" for metric in metrics]
    return {"name": side.name, "kbps": f"{side.kbps:,.0f}", "cells": cells}


def _over_time(known: Known, metric: str) -> Markup:
    series = {
        side.name: ([*map(float, side.times_s)], side.quality.of_frames(metric))
        for side in known.sides
    }
    return Markup(time_chart(series, metric))


def _about(index: Index) -> str:
    network = "" if index.weights else ", no network: the plain encode"
    return (
        f"{index.hr.width}x{index.hr.height} px, {index.frames} frames, from a stream of "
        f"{index.lr.width}x{index.lr.height} px (scale {scale_number(index.scale)}{network})"
    )


def _said(sides: Sequence[Side]) -> list[str]:
    """The package beside the plain encode of its bytes, in a sentence."""
    by_name = {side.name: side for side in sides}
    if OURS not in by_name:
        return []
    ours = by_name[OURS]
    text = f"{ours.kbps:,.0f} kbps: {ours.quality.mean('psnr_y'):.2f} dB of luma"
    if plain := by_name.get(PLAIN_ENCODE):
        ahead = (ours.quality.mean("psnr_y") or 0) - (plain.quality.mean("psnr_y") or 0)
        where = "above" if ahead >= 0 else "below"
        text += f", {abs(ahead):.2f} dB {where} a plain encode of {plain.kbps:,.0f} kbps"
    return [f"{text}."]


def _rate(known: Known) -> Markup | None:
    """What was made among the plain encodes of the search's sample."""
    points = known.report.get("search", {}).get("points", [])
    to_kbps = 8 / 1000 / known.seconds
    tried = [
        {"rung": _rung(p), "psnr_y": p["psnr_y"], "kbps": p["bytes"] * to_kbps}
        for p in points
        if p["network"] is None
    ]
    made = {
        s.name: {"kbps": s.kbps, "psnr_y": s.quality.mean("psnr_y") or 0.0} for s in known.sides
    }
    if not made and "made" in known.report:
        made = {OURS: known.report["made"]}
    return Markup(rate_chart(tried, made, "psnr_y")) if made and tried else None


def _moment(moment: Moment) -> dict[str, Any]:
    y, x, height, width = moment.box
    worse = (
        "the worst of all" if not moment.share else f"{moment.share:.0%} of the frames are worse"
    )
    scores = "  ".join(f"{name} {db:.2f} dB" for name, db in moment.psnr_y.items())
    return {
        "caption": f"Frame {moment.number} at {moment.time_s:.2f} s, {worse}; "
        f"{width}x{height} px from {x}, {y}",
        "pictures": moment.pictures,
        "left": PLAIN_ENCODE if PLAIN_ENCODE in moment.pictures else
        LR if LR in moment.pictures else SOURCE,
        "right": OURS,
        "scores": f"Luma of the whole frame: {scores}",
    }  # fmt: skip


def _routes(known: Known) -> dict[str, Any] | None:
    if known.routes is None:
        return None
    picture, number = known.routes
    key = [
        (name, f"rgb{PATH_COLOURS[name]}", f"{share:.0%}")
        for name, share in known.report.get("paths", {}).items()
        if share and name in PATH_COLOURS
    ]
    caption = f"Frame {number}, each patch in the colour of its path; shares of the whole film."
    return {"picture": picture, "key": key, "caption": caption}


def _parts(sizes: Mapping[str, int]) -> list[dict[str, Any]]:
    total = max(1, sum(sizes.values()))
    return [
        {"name": name, "bytes": size, "colour": _PART_COLOURS.get(name, "#999999"),
         "told": f"{size:,} ({size / total:.1%})"}
        for name, size in sizes.items()
        if size
    ]  # fmt: skip


def _tried(known: Known) -> dict[str, Any] | None:
    """The candidates of the search, the best first."""
    considered = known.report.get("search", {}).get("considered", [])
    to_kbps = 8 / 1000 / known.seconds
    rows = [
        (
            _rung(row),
            _network(row),
            f"{row['crf']:g}",
            f"{row['expected_bytes'] * to_kbps:,.0f}",
            f"{row['gmacs_a_frame']:g}",
            f"{row['worth']:.3f}",
        )
        for row in sorted(considered, key=lambda row: -row["worth"])[:_MOST_TRIED]
    ]
    head = ("scale", "network", "crf", "kbps", "GMAC a frame", "worth")
    return {"head": head, "rows": rows} if rows else None


def _rung(row: Mapping[str, Any]) -> str:
    """The scale, and how the film was made smaller; reports from before that was a choice name
    none."""
    kind = row.get("lr", BICUBIC)
    return f"x{row['scale']:g}" + ("" if kind == BICUBIC else f" {kind}")


def _network(row: Mapping[str, Any]) -> str:
    if not row["widths"]:
        return "none"
    if row.get("shipped"):
        return f"{row['shipped']}{', adapted' if row.get('adapted') else ''}"
    given = f", that of {row['given']}" if row.get("given") else ""
    return f"{len(row['widths'])} layers of {row['widths'][0]}{given}"
