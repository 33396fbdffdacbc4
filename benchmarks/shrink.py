"""Less network and less data, against their controls, on real clips.

    python -m benchmarks.shrink [--table NAME] --clips DIR/a.mp4 ... [--seeds 0 1 2] [--arms ...]
        [--made]

| table | asks |
|---|---|
| stages | what CHEX, Chase, fair pruning and CD-MoE are worth at equal work |
| patches | what training on fewer patches, or on the right ones, saves the server |
| teacher | what a sparse vision transformer costs, and whether it teaches |
| probes | how many patches must be probed before routes are as good as with all |
| uniform | whether even widths with branches beat CHEX |
| branches | whether branches pay where nothing is shrunk |
| router | what is lost where the phone routes by itself, without a map |
| chunks | whether chunks by difficulty beat stretches of time, and several networks one |
| backbones | what the papers' networks learn in the time of the product's |
| rare | whether pruning spares content that is rare |
| experts | whether routed experts beat one network, and what is left of it condensed |
| coded | what stages are worth at a product's length, where weights are coded |
| sampling | how strongly crops should follow the error that there is at their place |
| exits | whether one trunk with several last layers does for several networks |

A row is one arm on one clip with one seed; every arm has the same number of steps, if it does not
say otherwise. Rows are kept in build/shrink as they are made; a run that was stopped goes on at
the next one, and `--made` reports those there are. JSON to benchmarks/results/shrink.json, of other
tables to shrink_NAME.json; what is printed is made of it alone. Rows that stand there are not made
again, and stay beside those of other clips, arms and seeds; those of other steps, frames or another
version are refused.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import torch

from benchmarks.harness import RESULTS, argument_parser, environment, write_json
from benchmarks.reproduction.rows import RowStore
from benchmarks.reproduction.table import markdown, over_seeds
from benchmarks.shrinking.base import DivergedError
from benchmarks.shrinking.claims import Claim, claims_of
from benchmarks.shrinking.clips import Clip, read_clip
from chunking.input_error import InputError
from sr.shrink.stage import StageError
from sr.usage_error import UsageError

SCHEMA = "pocketsr.shrink/2"
STORE = Path("build/shrink")
QUICK_STEPS = 120
# Name of the table -> module in benchmarks/shrinking.
TABLES = {
    "stages": "stages",
    "patches": "patches",
    "teacher": "teacher",
    "probes": "probes",
    "router": "routers",
    "uniform": "uniform",
    "branches": "branches",
    "chunks": "chunks",
    "backbones": "backbones",
    "rare": "rare",
    "experts": "experts",
    "coded": "coded",
    "sampling": "sampling",
    "exits": "exits",
}


class Table(Protocol):
    """What a table's module has; where something is told against other rows, `finish(rows)` and
    the `REFERENCE` arm that is made whatever is asked for; `read(path, frames)`, where its clips
    are not a film's first frames; and `QUICK_STEPS`, where its arms need more of them."""

    ARMS: Mapping[str, str]  # arm -> what it is
    CLAIMS: Sequence[Claim]
    SHOWN: Sequence[str]  # columns that are printed
    make: Callable[[Clip, str, int, int, Path], dict[str, Any]]  # clip, arm, seed, steps, store


def result_file(name: str) -> Path:
    """Where a table's result is kept."""
    return RESULTS / ("shrink.json" if name == "stages" else f"shrink_{name}.json")


def table(name: str) -> Table:
    """A table by its name."""
    return cast(Table, import_module(f"benchmarks.shrinking.{TABLES[name]}"))


@dataclass(frozen=True)
class Task:
    """One row to make."""

    table: str
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

    @property
    def kept(self) -> dict[str, Any]:
        """What finds it in the store: rows of another version are made anew."""
        return {**self.key, "schema": SCHEMA}

    @property
    def store(self) -> Path:
        """Where the table keeps what it makes."""
        return STORE / self.table


@cache
def _clip(name: str, path: Path, frames: int) -> Clip:
    read: Callable[[Path, int], Clip] = getattr(table(name), "read", read_clip)
    return read(path, frames)


def make_row(task: Task) -> dict[str, Any]:
    """Make one row, on one thread; kept in the store. Of a training that went astray the row says
    why, as `diverged`."""
    torch.set_num_threads(1)

    def make() -> dict[str, Any]:
        clip = _clip(task.table, task.clip, task.frames)
        try:
            return table(task.table).make(clip, task.arm, task.seed, task.steps, task.store)
        except DivergedError as error:
            return {"diverged": str(error)}

    return {**task.key, **RowStore(task.store / "rows").row(task.kept, make)}


def known_rows(path: Path, asked: Mapping[str, int | str]) -> list[dict[str, Any]]:
    """The rows of an earlier result, that others are to stand beside. Raises UsageError where they
    are not what is `asked`."""
    none: dict[str, Any] = {"rows": [], **asked}
    earlier = json.loads(path.read_text()) if path.exists() else none
    differs = [
        f"{name} {earlier[name]}, not {now}" for name, now in asked.items() if earlier[name] != now
    ]
    if differs:
        raise UsageError(f"{path} holds rows of {', '.join(differs)}: give another --json")
    return list(earlier["rows"])


def adopted(rows: Sequence[dict[str, Any]], tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """Rows of `tasks` go into the store, where there are none; the others are returned."""
    asked = {json.dumps(task.key): task for task in tasks}
    others = []
    for row in rows:
        key = {name: row[name] for name in tasks[0].key}
        task = asked.get(json.dumps(key))
        if task is None:
            others.append(row)
        else:
            own = {name: value for name, value in row.items() if name not in key}
            RowStore(task.store / "rows").row(task.kept, partial(dict, own))
    return others


def made_rows(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """The rows that are in the store already."""
    found = [(task, RowStore(task.store / "rows").get(task.kept)) for task in tasks]
    return [{**task.key, **row} for task, row in found if row is not None]


def make_rows(tasks: Sequence[Task], jobs: int) -> list[dict[str, Any]]:
    """All rows, some at a time; says which are done."""
    rows = []
    with ProcessPoolExecutor(jobs) as pool:
        for number, row in enumerate(pool.map(make_row, tasks), start=1):
            rows.append(row)
            shown = {name: row[name] for name in table(tasks[0].table).SHOWN if name in row}
            done = f"[{number}/{len(tasks)}] {row['clip']} seed {row['seed']}"
            print(f"{done}: {shown}", flush=True)
    return rows


def summary(rows: Sequence[dict[str, Any]], shown: Sequence[str]) -> str:
    """The table of means over clips and seeds, in the arms' order."""
    columns = [{name: row[name] for name in shown if name in row} for row in rows]
    return markdown(over_seeds(columns, ("arm",)))


def parse() -> argparse.Namespace:
    parser = argument_parser("shrink", __doc__.splitlines()[0], quick=True)
    parser.set_defaults(json=None)
    parser.add_argument("--table", choices=list(TABLES), default="stages")
    parser.add_argument(
        "--clips", type=Path, nargs="+", required=True, help="films, or folders as VSD4K has them"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", help="only these; all of the table, if not given")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--made", action="store_true", help="make no row, report those there are")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    known = table(options.table).ARMS
    if unknown := [arm for arm in options.arms or () if arm not in known]:
        parser.error(f"--arms: no arm {unknown[0]} in {options.table}; one of {', '.join(known)}")
    return options


def arms_of(name: str, asked: Sequence[str] | None) -> list[str]:
    """The arms to make, in the table's order, with the one that others are told against."""
    module = table(name)
    wanted = {*(asked or module.ARMS), getattr(module, "REFERENCE", None)}
    return [arm for arm in module.ARMS if arm in wanted]


def main() -> int:
    """Returns the exit code: 0, 2 where rows of another length lie there already or an arm needs
    more steps, or 3 where a clip cannot be read or a training went astray."""
    options = parse()
    try:
        return _report(options)
    except (InputError, UsageError, StageError) as error:
        print(f"shrink: {error}", file=sys.stderr)
        return error.exit_code


def _report(options: argparse.Namespace) -> int:
    module, arms = table(options.table), arms_of(options.table, options.arms)
    seeds, steps = options.seeds, options.steps
    if options.quick:
        seeds, steps = [0], getattr(module, "QUICK_STEPS", QUICK_STEPS)
    tasks = [
        Task(options.table, clip, seed, arm, steps, options.frames)
        for seed in seeds
        for clip in options.clips
        for arm in arms
    ]
    own = STORE / options.table / "quick.json" if options.quick else result_file(options.table)
    path = options.json or own
    asked = {"schema": SCHEMA, "steps": steps, "frames": options.frames}
    others = adopted(known_rows(path, asked), tasks)
    made = made_rows(tasks) if options.made else make_rows(tasks, options.jobs)
    order = {name: number for number, name in enumerate(module.ARMS)}
    rows = [*others, *(row for row in made if "diverged" not in row)]
    rows.sort(key=lambda row: order.get(row["arm"], len(order)))
    astray = [row for row in made if "diverged" in row]
    shown = {row["arm"] for row in (*rows, *astray)}
    if finish := getattr(module, "finish", None):
        finish(rows)
    result = {
        **asked,
        "environment": environment(("torch", "apache-tvm")),
        "table": options.table,
        "arms": {name: about for name, about in module.ARMS.items() if name in shown},
        "rows": rows,
        "claims": claims_of(rows, module.CLAIMS),
        **({"diverged": astray} if astray else {}),
    }
    write_json(path, result)
    print(summary(rows, module.SHOWN))
    print(markdown(result["claims"]))
    if astray:
        print(f"shrink: {len(astray)} of {len(made)} trainings diverged", file=sys.stderr)
    return InputError.exit_code if astray else 0


if __name__ == "__main__":
    sys.exit(main())
