"""Judge the claims of the kept results again, from the rows that they hold.

    python -m benchmarks.claims [--check]

Nothing is measured. A claim's words, control and verdict are the code's; where one changes, this
brings benchmarks/results/shrink*.json and reproduce.json after it. `--check` writes nothing and
ends in 1 where a file says something else than its rows do. What a file holds no rows for has no
claim in it: results of one run (times of engines, a single clip) are tables, not claims.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS, write_json
from benchmarks.reproduce import ENTRIES, SCHEMA
from benchmarks.shrink import SCHEMA as SHRINK_SCHEMA
from benchmarks.shrink import TABLES, result_file, table
from benchmarks.shrinking.claims import claims_of


def judged_shrink(name: str, result: dict[str, Any]) -> dict[str, Any]:
    """A table's result with the claims that its rows give today."""
    claims = claims_of(result["rows"], table(name).CLAIMS)
    return {**result, "schema": SHRINK_SCHEMA, "claims": claims}


def judged_reproduce(result: dict[str, Any]) -> dict[str, Any]:
    """The same for the papers' own tasks, entry by entry."""
    entries = {
        name: {**entry, "claims": ENTRIES[name].load().claims(entry["rows"])}
        for name, entry in result["entries"].items()
    }
    return {"schema": SCHEMA, "entries": entries}


def judged_again() -> dict[Path, dict[str, Any]]:
    """Every result file that has claims, as it should be."""
    read = {path: json.loads(path.read_text("utf-8")) for path in RESULTS.glob("*.json")}
    found = {
        path: judged_shrink(name, read[path])
        for name in TABLES
        if (path := result_file(name)) in read
    }
    papers = RESULTS / "reproduce.json"
    return {**found, papers: judged_reproduce(read[papers])}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.claims", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, tell what is old")
    asked = parser.parse_args(arguments)
    old = {
        path: result
        for path, result in judged_again().items()
        # Through JSON, where a number of layers as a key is a text.
        if json.loads(path.read_text("utf-8")) != json.loads(json.dumps(result))
    }
    for path, result in old.items():
        print(f"{path.name}: {'old' if asked.check else 'judged again'}")
        if not asked.check:
            write_json(path, result)
    return 1 if old and asked.check else 0


if __name__ == "__main__":
    sys.exit(main())
