"""Each paper's effect on its own kind of task: CHEX, Chase, fair pruning, CD-MoE.

    python -m benchmarks.reproduce [--only chex chase fair condense] [--seeds 0 1 2] [--quick]
        [--json FILE] [--sets DIR] [--work DIR]

An entry is a function of `ReproduceOptions` that returns
`{"rows": [...], "claims": [{"claim", "verdict", "measured", "note"}], "table_by": [...]}`, with the
words of benchmarks/verdict.py for verdicts. Rows are flat; `table_by` (optional) names the columns
that tell arms apart: the table then shows means and standard deviations over the other rows, seeds
mostly. Entries keep their rows in the work folder as they make them, so a run that was stopped goes
on at the next row. A module's `claims(rows)` judges them again: python -m benchmarks.claims.

The result is merged into benchmarks/results/reproduce.json entry by entry, each with its own
environment. `--quick` writes to quick.json in the work folder, so that it replaces no result.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from benchmarks.harness import RESULTS, argument_parser, environment, write_json
from benchmarks.reproduction import ReproduceOptions
from benchmarks.reproduction.table import read_results, text_tables
from benchmarks.verdict import WORDS
from chunking.input_error import InputError

SCHEMA = "pocketsr.reproduce/2"
PACKAGES = ("torch", "numpy")
WORK = Path("build/reproduce")

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """A published system: the title of its table, its module, and what runs it."""

    title: str
    module: str  # in benchmarks/reproduction; imported only when it runs or is judged
    run: Callable[[ModuleType, ReproduceOptions], Result] = lambda module, o: module.run(o)

    def load(self) -> ModuleType:
        return import_module(f"benchmarks.reproduction.{self.module}")


def _condense(module: ModuleType, options: ReproduceOptions) -> Result:
    """CD-MoE's module reads no data set and takes the other options one by one."""
    result: Result = module.run(options.seeds, options.quick, options.work)
    return result


ENTRIES = {
    "chex": Entry("CHEX: a ResNet on CIFAR-10", "chex"),
    "chase": Entry("Chase: a ResNet on CIFAR-10", "chase"),
    "fair": Entry("Fair pruning: a degraded minority in CIFAR-10, sunglasses", "fair"),
    "fair_spurious": Entry("Fair pruning: a colour that misleads", "fair_spurious"),
    "condense": Entry("CD-MoE: a mixture-of-experts language model", "condense_lm", _condense),
    "tri_level": Entry("Tri-Level E-ViT: a transformer on CIFAR-10", "tri_level"),
    "data_tickets": Entry("Data tickets: a transformer on CIFAR-10", "data_tickets"),
    "metric": Entry("FlameFinder: flames in thermal patches", "metric_learning"),
    "graph": Entry("Graph tickets: a GCN on Cora and Citeseer", "graph_tickets"),
    "graph_fresh": Entry("Graph tickets chosen on validation nodes: GCN, GIN, GAT", "graph_fresh"),
}


def run_entry(name: str, options: ReproduceOptions) -> dict[str, Any]:
    """An entry's result as the JSON holds it. Raises ValueError for a result of another form."""
    result = dict(ENTRIES[name].run(ENTRIES[name].load(), options))
    problem = _problem(result)
    if problem:
        raise ValueError(f"entry {name}: {problem}; see benchmarks/reproduce.py for the form")
    return {
        "title": ENTRIES[name].title,
        "quick": options.quick,
        "seeds": list(options.seeds),
        "environment": environment(PACKAGES),
        **result,
    }


def _problem(result: Result) -> str | None:
    rows, claims = result.get("rows"), result.get("claims")
    if not isinstance(rows, list) or not rows:
        return "no rows"
    if not isinstance(claims, list) or not claims:
        return "no claims"
    for claim in claims:
        if not isinstance(claim.get("claim"), str) or claim.get("verdict") not in WORDS:
            return f"a claim without its words and a verdict ({', '.join(WORDS)}): {claim}"
    missing = [c for c in result.get("table_by", ()) if any(c not in row for row in rows)]
    return f"rows without the column {missing[0]} of table_by" if missing else None


def merge_entry(path: Path, name: str, result: Result) -> dict[str, Any]:
    """Write an entry's result into the file; the other entries stay. Returns the file's content."""
    entries = {**read_results(path), name: dict(result)}
    ordered = {key: entries[key] for key in (*ENTRIES, *entries) if key in entries}
    data = {"schema": SCHEMA, "entries": ordered}
    write_json(path, data)
    return data


def reproduce(names: Sequence[str], options: ReproduceOptions, path: Path) -> list[str]:
    """Run entries one after another, each written when done; returns what went wrong.

    An entry whose data cannot be read stops none of the others.
    """
    faults = []
    for name in names:
        work = options.work / ("quick" if options.quick else "full") / name
        work.mkdir(parents=True, exist_ok=True)
        own = ReproduceOptions(options.seeds, options.quick, work, options.sets)
        try:
            merge_entry(path, name, run_entry(name, own))
        except InputError as error:
            faults.append(f"{name}: {error}")
    return faults


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argument_parser("reproduce", (__doc__ or "").splitlines()[0], quick=True)
    parser.set_defaults(json=None)
    parser.add_argument("--only", nargs="+", choices=tuple(ENTRIES), default=tuple(ENTRIES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="N")
    parser.add_argument("--work", type=Path, default=WORK, metavar="DIR")
    parser.add_argument(
        "--sets",
        type=Path,
        default=Path(os.environ.get("POCKETSR_SETS", "sets")),
        metavar="DIR",
        help="folder with cifar10_subset.npz and faces_cmu (default: POCKETSR_SETS, then sets)",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, or 3 where data could not be read."""
    asked = _arguments(arguments)
    torch.set_num_threads(1)
    options = ReproduceOptions(tuple(asked.seeds), asked.quick, asked.work, asked.sets)
    default = asked.work / "quick.json" if asked.quick else RESULTS / "reproduce.json"
    path = asked.json or default
    faults = reproduce(asked.only, options, path)
    print(text_tables(read_results(path)))
    for fault in faults:
        print(f"reproduce: {fault}", file=sys.stderr)
    return InputError.exit_code if faults else 0


if __name__ == "__main__":
    sys.exit(main())
