"""The stages that make networks smaller, against their controls, at the same work on real clips.

    python -m benchmarks.shrink --clips DIR/a.mp4 ... [--seeds 0 1 2] [--arms chex ...] [--made]

A row is one arm on one clip with one seed: PSNR of its integers over whole frames, by group as
well, bytes, multiplications, the engine's milliseconds, the server's seconds. Every arm has the
same number of steps of the same crops. Rows are kept in build/shrink as they are made; a run that
was stopped goes on at the next one, and `--made` reports those there are. The engine's times are
taken at the end, all networks in turns in one process. JSON to benchmarks/results/shrink.json; the
tables are made of it alone.
"""

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import process_time
from typing import Any

import torch

from benchmarks.harness import argument_parser, environment, write_json
from benchmarks.reproduction.rows import RowStore
from benchmarks.reproduction.table import markdown, over_seeds
from benchmarks.shrinking.arms import ARMS
from benchmarks.shrinking.claims import claims_of
from benchmarks.shrinking.clips import Clip, read_clip
from benchmarks.shrinking.judge import engine_ms, judge
from benchmarks.shrinking.training import train_arm
from player.package.weights import Architecture
from sr.shrink.budget import hard_macs

STORE = Path("build/shrink")
SHOWN = ("arm", "psnr_db", "worst_group_db", "spread_db", "bytes", "macs_ratio", "time_ratio")


@dataclass(frozen=True)
class Task:
    """One row to make."""

    clip: Path
    seed: int
    arm: str
    steps: int
    frames: int

    @property
    def key(self) -> dict[str, Any]:
        """What the row depends on."""
        return {
            "clip": self.clip.stem,
            "seed": self.seed,
            "arm": self.arm,
            "steps": self.steps,
            "frames": self.frames,
        }


@cache
def _clip(path: Path, frames: int) -> Clip:
    return read_clip(path, frames)


def make_row(task: Task) -> dict[str, Any]:
    """Train and judge one arm, on one thread; kept in the store."""
    torch.set_num_threads(1)
    clip = _clip(task.clip, task.frames)

    def make() -> dict[str, Any]:
        began = process_time()
        network = train_arm(ARMS[task.arm], clip, task.seed, task.steps, STORE)
        seconds = process_time() - began
        return {"server_s": round(seconds, 1), **judge(network, clip, clip.sampler(task.seed))}

    return {**task.key, **RowStore(STORE / "rows").row(task.key, make)}


def made_rows(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """The rows that are in the store already."""
    store = RowStore(STORE / "rows")
    found = [(task, store.get(task.key)) for task in tasks]
    return [{**task.key, **row} for task, row in found if row is not None]


def make_rows(tasks: Sequence[Task], jobs: int) -> list[dict[str, Any]]:
    """All rows, some at a time; says which are done."""
    rows = []
    with ProcessPoolExecutor(jobs) as pool:
        for number, row in enumerate(pool.map(make_row, tasks), start=1):
            rows.append(row)
            done = f"[{number}/{len(tasks)}] {row['clip']} seed {row['seed']} {row['arm']}"
            print(f"{done}: {row['psnr_db']:.2f} dB, {row['widths']}", flush=True)
    return rows


def add_ratios(rows: list[dict[str, Any]]) -> None:
    """To every row its multiplications and its measured time against the dense network's."""
    full = ARMS["dense"].arch
    widths = sorted({tuple(row["widths"]) for row in rows} | {full.widths})
    archs = [Architecture(full.name, full.scale, w, full.exits) for w in widths]
    ms = dict(zip(widths, engine_ms(archs), strict=True))
    for row in rows:
        own = ms[tuple(row["widths"])]
        row["macs_ratio"] = row["macs"] / hard_macs(full)
        row["engine_ms"], row["time_ratio"] = own, own / ms[full.widths]


def add_drops(rows: list[dict[str, Any]]) -> None:
    """To every row how far its groups fall below the dense network's, and how far apart."""
    dense = {(r["clip"], r["seed"]): r for r in rows if r["arm"] == "dense"}
    for row in rows:
        reference = dense[row["clip"], row["seed"]]["group_db"]
        drops = [a - b for a, b in zip(reference, row["group_db"], strict=True)]
        row["group_drop_db"], row["spread_db"] = drops, max(drops) - min(drops)


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """The table of means over clips and seeds, in the arms' order."""
    shown = [{name: row[name] for name in SHOWN} for row in rows]
    return markdown(over_seeds(shown, ("arm",)))


def parse() -> argparse.Namespace:
    parser = argument_parser("shrink", __doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, nargs="+", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--made", action="store_true", help="make no row, report those there are")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    return parser.parse_args()


def main() -> None:
    options = parse()
    seeds, steps = ([0], 120) if options.quick else (options.seeds, options.steps)
    arms = list(dict.fromkeys(["dense", *options.arms]))
    tasks = [
        Task(clip, seed, arm, steps, options.frames)
        for seed in seeds
        for clip in options.clips
        for arm in arms
    ]
    rows = made_rows(tasks) if options.made else make_rows(tasks, options.jobs)
    add_ratios(rows)
    add_drops(rows)
    result = {
        "schema": "pocketsr.shrink/1",
        "environment": environment(("torch", "apache-tvm")),
        "steps": steps,
        "frames": options.frames,
        "arms": {name: ARMS[name].about for name in arms},
        "rows": rows,
        "claims": claims_of(rows),
    }
    write_json(options.json, result)
    print(summary(rows))
    print(markdown(result["claims"]))


if __name__ == "__main__":
    main()
