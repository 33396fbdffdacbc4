"""The plots of a report, as SVG to stand in the page: matplotlib's, with text that stays text."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from sr.encode.report.sides import LR, OURS, PLAIN_ENCODE

# Okabe and Ito, 2008: told apart by the colour-blind too.
COLOURS = {OURS: "#d55e00", LR: "#0072b2", PLAIN_ENCODE: "#009e73"}
_SIZE_INCH = (6.4, 3.6)
_STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "pocketsr", "font.family": "sans-serif",
    "font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "grid.color": "#8884", "figure.facecolor": "none", "axes.facecolor": "none",
    "savefig.facecolor": "none", "legend.frameon": False,
}  # fmt: skip


def rate_chart(
    tried: Sequence[Mapping[str, Any]], made: Mapping[str, Mapping[str, float]], metric: str
) -> str:
    """Quality over kbps (a logarithmic axis): plain encodes that the search `tried`, a line for
    each rung, and what was `made`, by the sides' names.
    """
    plt = _pyplot()
    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(figsize=_SIZE_INCH)
        for rung in sorted({row["rung"] for row in tried}):
            rows = sorted((r["kbps"], r[metric]) for r in tried if r["rung"] == rung)
            label = f"plain encodes {rung}, of a sample"
            axes.plot(*zip(*rows, strict=True), "o-", ms=3, lw=1, alpha=0.6, label=label)
        for name, row in made.items():
            axes.plot(row["kbps"], row[metric], "D", ms=8, color=COLOURS[name], label=name)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(plt.FuncFormatter(lambda kbps, _: f"{kbps:,.0f}"))
        axes.xaxis.set_minor_formatter(plt.FuncFormatter(lambda kbps, _: ""))
        axes.set_xlabel("kbps")
        axes.set_ylabel(_unit(metric))
        axes.legend(fontsize=9)
        return _svg(plt, figure)


def time_chart(series: Mapping[str, tuple[Sequence[float], Sequence[float]]], metric: str) -> str:
    """The quality of each frame over time, a line for each side: seconds and values."""
    plt = _pyplot()
    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(figsize=_SIZE_INCH)
        for name, (times_s, values) in series.items():
            axes.plot(times_s, values, lw=1.2, color=COLOURS[name], label=name)
        axes.set_xlabel("seconds")
        axes.set_ylabel(_unit(metric))
        axes.legend(fontsize=9)
        return _svg(plt, figure)


def _unit(metric: str) -> str:
    return {"psnr_y": "PSNR-Y, dB", "psnr_rgb": "PSNR-RGB, dB", "vmaf": "VMAF"}.get(metric, metric)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("svg")  # no window, whatever the system has
    import matplotlib.pyplot as plt

    return plt


def _svg(plt: Any, figure: Any) -> str:
    """From the tag on, as it stands in HTML, without a date: the same data, the same page."""
    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    return text.getvalue().partition("<svg")[1] + text.getvalue().partition("<svg")[2]
