"""The four rows of numbers on the first screen of the README."""

from collections.abc import Mapping
from typing import Any

from benchmarks.rate_tables import CODECS
from benchmarks.reproduction.table import lines, read

Row = Mapping[str, Any]


def readme() -> str:
    demo, rate, peers, played = (read(name) for name in ("demo", "rate", "peers", "played"))
    engine, frames = peers["summary"], played["summary"]
    given = frames["given_away_db"].values()
    two = frames["ratio_to_fastest_peer_2_threads"].values()
    return lines(
        ("what", "measured", "command → result"),
        (
            f"{demo['rows'][0]['measure']['frames']} frames of Big Buck Bunny 720p, PSNR-Y / RGB, "
            "all bytes counted",
            "; ".join(map(_beside_plain, demo["rows"])),
            "`make demo` → [demo.json](benchmarks/results/demo.json)",
        ),
        _bytes_at_equal_quality(rate),
        (
            "int8 engine against the fastest other int8 runtime, 480x270 → 1920x1080",
            f"**{engine['int8_ratio_to_fastest_peer']:.2f}x** on one thread, "
            f"{engine['int8_ratio_to_fastest_peer_2_threads']:.2f}x on two "
            f"({engine['int8_fastest_peer']})",
            "`python -m benchmarks.peers` → [peers.json](benchmarks/results/peers.json)",
        ),
        (
            "frames as played, with routes, against the fastest runtime without, "
            f"mean of {len(given)} clips",
            f"**{frames['mean_ratio_1_thread']:.1f}x** on one thread, "
            f"{frames['mean_ratio_2_threads']:.1f}x on two ({min(two):.2f} to {max(two):.1f}), "
            f"for {min(given):.2f} to {max(given):.2f} dB",
            "`python -m benchmarks.played --clip PACKAGE FILM` → "
            "[played.json](benchmarks/results/played.json)",
        ),
    )


def _beside_plain(row: Row) -> str:
    """A codec of the demo: the package, and the plain encode of its bytes."""
    measure, plain = row["measure"], row["measure"]["plain"]
    own = f"{measure['psnr']['y']:.2f} / {measure['psnr']['rgb']:.2f} dB"
    beside = f"{plain['psnr_y']:.2f} / {plain['psnr_rgb']:.2f}"
    codec = CODECS[row["codec"]]
    return f"{codec} at {plain['kbps']:.0f} kbps **{own}**, the plain encode {beside}"


def _bytes_at_equal_quality(rate: Row) -> tuple[str, str, str]:
    """The search for a phone's CPU against plain encodes, by codec."""
    best, at_hr = (
        {
            r["codec"]: r
            for r in rate["means"]
            if (r["part"], r["arm"], r["metric"]) == ("reporting", arm, "psnr_y")
        }
        for arm in ("cpu", "cpu/hr")
    )
    shares = [
        f"{CODECS[codec]} **{r['percent']:+.1f} %** ({at_hr[codec]['percent']:+.0f} %; "
        f"clips: {r['clips']})"
        for codec, r in best.items()
    ]
    return (
        "bytes at equal PSNR-Y against the best plain encode, HR or smaller, BD-rate "
        "(in brackets against HR alone)",
        ", ".join(shares),
        "`python -m benchmarks.rate` → [rate.json](benchmarks/results/rate.json)",
    )
