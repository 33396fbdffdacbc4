"""The table `stages`: what makes networks smaller, against the controls, at the same work.

A row is one arm on one clip with one seed: PSNR of its integers over whole frames, by group as
well, bytes, multiplications, the engine's milliseconds, the server's seconds. The engine's times
are taken at the end, all networks in turns in one process.
"""

from pathlib import Path
from time import process_time
from typing import Any

from benchmarks.shrinking import arms, claims
from benchmarks.shrinking.clips import Clip
from benchmarks.shrinking.judge import engine_ms, judge
from benchmarks.shrinking.training import train_arm
from player.package.architecture import Architecture
from sr.shrink.budget import hard_macs

ARMS = {name: arm.about for name, arm in arms.ARMS.items()}
CLAIMS = claims.STAGES
REFERENCE = "dense"
QUICK_STEPS = 300  # fewer leave CHEX no update
SHOWN = ("arm", "psnr_db", "worst_group_db", "spread_db", "bytes", "macs_ratio", "time_ratio")


def make(clip: Clip, arm: str, seed: int, steps: int, store: Path) -> dict[str, Any]:
    """Train and judge one arm."""
    began = process_time()
    network = train_arm(arms.ARMS[arm], clip, seed, steps, store)
    seconds = process_time() - began
    return {"server_s": round(seconds, 1), **judge(network, clip, clip.sampler(seed))}


def finish(rows: list[dict[str, Any]]) -> None:
    """What is told against the dense network: to every row its ratios and drops."""
    add_ratios(rows)
    add_drops(rows)


def add_ratios(rows: list[dict[str, Any]]) -> None:
    """To every row its multiplications and its measured time against the dense network's."""
    full = arms.ARMS[REFERENCE].arch
    widths = sorted({tuple(row["widths"]) for row in rows} | {full.widths})
    archs = [Architecture(full.name, full.scale, w, full.exits) for w in widths]
    ms = dict(zip(widths, engine_ms(archs), strict=True))
    for row in rows:
        own = ms[tuple(row["widths"])]
        row["macs_ratio"] = row["macs"] / hard_macs(full)
        row["engine_ms"], row["time_ratio"] = own, own / ms[full.widths]


def add_drops(rows: list[dict[str, Any]]) -> None:
    """To every row how far its groups fall below the dense network's, and how far apart."""
    dense = {(r["clip"], r["seed"]): r for r in rows if r["arm"] == REFERENCE}
    for row in rows:
        reference = dense[row["clip"], row["seed"]]["group_db"]
        drops = [a - b for a, b in zip(reference, row["group_db"], strict=True)]
        row["group_drop_db"], row["spread_db"] = drops, max(drops) - min(drops)
