"""The report of an encode, for people."""

import shlex
from pathlib import Path
from typing import Any


def lines(report: dict[str, Any], out: Path) -> list[tuple[str, Any]]:
    """The report for people."""
    return [
        ("package", out),
        ("frames", report["frames"]),
        *network_lines(report),
        *plain_lines(report),
        *stage_lines(report["stages"]),
        *router_lines(report["router"]),
        *(("lost", line) for line in report.get("lost", [])),
        ("next", f"pocketsr play {shlex.quote(str(out))}"),
    ]


def network_lines(report: dict[str, Any]) -> list[tuple[str, str]]:
    """What the package has for a network, and how much of the film takes it."""
    scale, weights = report["scale"], report["weights_bytes"]
    if report["method"] == "plain":
        return [("network", "none" if scale == 1 else f"none: scale {scale}, shown by bicubic")]
    told = f"{sum(weights)} bytes"
    if report.get("shipped"):
        changes = f", {told} of changes" if report.get("adapted") else ""
        told = f"{report['shipped']}, which lies with the player{changes}"
    elif len(weights) > 1:
        told = f"{len(weights)} of {told}"
    paths = ", ".join(f"{name} {share:.0%}" for name, share in report["paths"].items())
    return [("network", f"{told}; scale {scale}"), ("paths", paths)]


def ladder_lines(report: dict[str, Any], out: Path) -> list[tuple[str, Any]]:
    """The report of a ladder for people: a line a rung."""
    rows = []
    for rung in report["rungs"]:
        plain, network = rung["plain"], "no network"
        if rung["widths"]:
            size = f"{rung['weights_bytes'] / 1000:.1f} kB"
            network = f"{len(rung['widths'])} layers of {max(rung['widths'])}, {size}"
            network += f", that of {rung['network_of']}" if rung.get("network_of") else ""
        shown = f"{rung['psnr_y']:.2f} dB Y, plain {plain['psnr_y']:.2f}"
        rows.append(
            (rung["folder"], f"{rung['kbps']:.0f} kbps  {shown}  scale {rung['scale']}, {network}")
        )
    dropped = [
        ("left out", f"{rung['asked_kbps']:g} kbps: {rung['reason']}") for rung in report["dropped"]
    ]
    lost = [("lost", line) for line in report["lost"]]
    return [
        ("ladder", out),
        *rows,
        *dropped,
        *lost,
        ("next", f"pocketsr play {shlex.quote(str(out))}"),
    ]


def plain_lines(report: dict[str, Any]) -> list[tuple[str, str]]:
    """The package beside the plain encode of the same bytes."""
    made, beside = report.get("made"), {"plain encode": report.get("plain")}
    if "plain" not in report:
        beside = {"stream alone": report.get("stream")}
    return [
        (name, f"{side['kbps']:.0f} kbps  {side['psnr_y']:.2f} dB Y  {side['psnr_rgb']:.2f} dB RGB")
        for name, side in {"made": made, **beside}.items()
        if made and side
    ]


def router_lines(row: dict[str, Any] | None) -> list[tuple[str, str]]:
    """What the router is, for people; nothing where none was asked for."""
    if row is None:
        return []
    if not row["bytes"]:
        return [("router", f"none: {row['reason']}")]
    return [
        (
            "router",
            f"{row['bytes']} bytes, {', '.join(row['classes'])}; {row['regret_db']:.2f} dB below "
            f"the map, on its own frames",
        )
    ]


def stage_lines(networks: list[list[dict[str, Any]]]) -> list[tuple[str, str]]:
    """What each stage did, for people."""
    return [
        (
            row["stage"],
            f"{row['before']['macs']} -> {row['after']['macs']} MACs a pixel, "
            f"{row['before']['bytes']} -> {row['after']['bytes']} bytes, "
            f"widths {', '.join(str(w) for w in row['after']['widths'])}",
        )
        for rows in networks
        for row in rows
    ]
