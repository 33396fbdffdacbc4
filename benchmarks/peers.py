"""The engine against other runtimes: the same network, weights, frames, threads and process.

    python -m benchmarks.peers [--quick] [--resume] [--others] [--only NAME ...] [--json FILE]

Ours takes and gives RGB bytes, as a player has and wants them, and repeats the frame's edges
itself. The others are given a frame with its halo in the layout that suits them best, ready made,
and what they give back is left as it is. docs/benchmarks.md says how each is set up.
"""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.entrants import Absence, Bench, Entrant, find_entrants
from benchmarks.harness import argument_parser, environment, write_json
from benchmarks.peer_groups import (
    measure_footprints,
    measure_new_sizes,
    measure_other,
    measure_quality,
    measure_whole,
)
from benchmarks.peer_summary import (
    HARD,
    PLAIN_TVM,
    Row,
    pick,
    print_summary,
    print_tables,
    summary,
)
from benchmarks.runtimes import OURS, PEERS, TVM_DEFAULT
from benchmarks.runtimes.interface import Size, size_name
from benchmarks.subject import OTHER_NETWORKS, Subject, generic_subject, seeded_subject

MAIN_SIZE: Size = (270, 480)  # LR height and width: to 1920x1080
OTHER_SIZES: tuple[Size, ...] = ((135, 240), (180, 320), (540, 960))
CLIP_SIZE: Size = (180, 320)  # of the clip's own frames
TVM_SIZE: Size = (135, 240)
_TVM_ROUNDS = 3
_BUILD = Path("build/peers")
_PACKAGES = ("apache-tvm", "torch", "numpy")


@dataclass(frozen=True)
class Plan:
    """How much is measured; `children`: processes for each footprint."""

    peers: tuple[str, ...]
    sizes: tuple[Size, ...]
    threads: tuple[int, ...]
    rounds: int
    new_sizes: int
    children: int


FULL = Plan(PEERS, (MAIN_SIZE, *OTHER_SIZES), (1, 2), rounds=11, new_sizes=24, children=3)
QUICK = Plan(
    ("openvino", "onnxruntime", "mnn"), (MAIN_SIZE,), (1,), rounds=5, new_sizes=8, children=1
)


class Store:
    """The rows of groups that are done, so that a run can go on after an interruption."""

    def __init__(self, path: Path, resume: bool) -> None:
        self.path = path
        self.groups: dict[str, list[Row]] = {}
        if resume and path.exists():
            self.groups = json.loads(path.read_text(encoding="utf-8"))

    def rows(self, group: str, measure: Callable[[], list[Row]]) -> list[Row]:
        """What was measured before under that name, or is measured now."""
        if group not in self.groups:
            print(f"measuring {group}", flush=True)
            self.groups[group] = measure()
            write_json(self.path, self.groups)
        return self.groups[group]


def measure_all(bench: Bench, plan: Plan, store: Store) -> list[Row]:
    """All groups but TVM's."""
    groups: dict[str, Callable[[], list[Row]]] = {}
    groups["quality"] = partial(measure_quality, bench, CLIP_SIZE)
    for threads in plan.threads:
        for size in plan.sizes:
            name = f"{size_name(size)}, threads: {threads}"
            groups[name] = partial(measure_whole, bench, size, threads)
        name = f"new sizes, threads: {threads}"
        groups[name] = partial(measure_new_sizes, bench, plan.new_sizes, threads)
    groups["footprint"] = partial(measure_footprints, bench, MAIN_SIZE, plan.children)
    return [row for name, measure in groups.items() for row in store.rows(name, measure)]


def measure_tvm(subject: Subject, folder: Path) -> list[Row]:
    """Its default lowering has no parallel loops, so one thread; a small frame, so that it ends."""
    entrants, _ = find_entrants((OURS, TVM_DEFAULT), subject, [TVM_SIZE], folder)
    exact = tuple(e for e in entrants if e.dtype == "fp32")
    bench = Bench(subject, exact, folder, _TVM_ROUNDS)
    rows = pick(measure_whole(bench, TVM_SIZE, 1), subject=HARD)
    return [{**row, "subject": PLAIN_TVM} for row in rows]


def measure_others(plan: Plan, store: Store) -> tuple[list[Row], list[Entrant]]:
    """The networks of other shapes, one thread; and who took part."""
    rows: list[Row] = []
    found: dict[str, Entrant] = {}
    for name, (arch, size) in OTHER_NETWORKS.items():
        subject = seeded_subject(arch, size)
        folder = benchmark_folder(subject)
        entrants, _ = find_entrants((OURS, *plan.peers), subject, [size], folder)
        bench = Bench(subject, tuple(entrants), folder, plan.rounds)
        rows += store.rows(name, partial(measure_other, bench, name, size))
        found |= {entrant.name: entrant for entrant in entrants}
    return rows, [*found.values()]


def add_others(path: Path, rows: list[Row], entrants: Sequence[Entrant]) -> dict[str, Any]:
    """The result at `path` with these rows in place of those of the same networks."""
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    kept = [row for row in result["rows"] if row["subject"] not in OTHER_NETWORKS]
    measured = {"rows": [*kept, *rows], "summary": summary([*kept, *rows])}
    return {**result, **measured, "environment_of_others": environment(versions(entrants))}


def benchmark_folder(subject: Subject) -> Path:
    """Where converted networks are kept for the next run."""
    folder = (_BUILD / subject.key).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def versions(entrants: Sequence[Entrant]) -> tuple[str, ...]:
    """The packages whose versions belong to a result."""
    found = {package for e in entrants for package in e.runtime.packages}
    return (*_PACKAGES, *sorted(found - set(_PACKAGES)))


def result_of(
    rows: list[Row], entrants: Sequence[Entrant], absent: list[Absence]
) -> dict[str, Any]:
    return {
        "schema": "pocketsr.peers/2",
        "environment": environment(versions(entrants)),
        "network": "generic x4: chain, widths 6 x 32, exits 2 and 6; path hard",
        "absent": absent,
        "rows": rows,
        "summary": summary(rows),
    }


def main() -> None:
    options = _options()
    os.environ["TVM_NUM_THREADS"] = "1"
    plan = QUICK if options.quick else FULL
    if options.only:
        plan = replace(plan, peers=tuple(options.only))
    store = Store(options.json.with_suffix(".part"), options.resume)
    if options.others:
        rows, entrants = measure_others(plan, store)
        result = add_others(options.json, rows, entrants)
    else:
        result = measure_both(plan, store)
    print_tables(result["rows"])
    print_summary(result["summary"])
    write_json(options.json, result)
    store.path.unlink()


def measure_both(plan: Plan, store: Store) -> dict[str, Any]:
    """The generic network and those of other shapes."""
    subject = generic_subject()
    folder = benchmark_folder(subject)
    sizes = [*dict.fromkeys((*plan.sizes, CLIP_SIZE)), None]
    entrants, absent = find_entrants((OURS, *plan.peers), subject, sizes, folder)
    bench = Bench(subject, tuple(entrants), folder, plan.rounds)
    rows = measure_all(bench, plan, store)
    rows = rows + store.rows("TVM", lambda: measure_tvm(subject, folder))
    rows = rows + measure_others(plan, store)[0]
    return result_of(rows, entrants, absent)


def _options() -> argparse.Namespace:
    parser = argument_parser("peers", __doc__, quick=True)
    parser.add_argument("--resume", action="store_true", help="go on after an interruption")
    parser.add_argument("--only", nargs="+", choices=PEERS, metavar="NAME", help="these peers")
    parser.add_argument(
        "--others", action="store_true", help="networks of other shapes alone, into the JSON"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
