"""The page of the laboratory's tables, docs/laboratory_tables.md, made from the JSON alone.

python -m benchmarks.laboratory
"""

import json
from pathlib import Path

from benchmarks.harness import RESULTS
from benchmarks.reproduction.table import markdown, read_results, text_tables
from benchmarks.shrink import result_file, summary, table

PAGE = Path(__file__).parents[1] / "docs" / "laboratory_tables.md"
TABLES = {
    "patches": "Which patches are trained on",
    "probes": "Routes out of a sample of the cells",
    "teacher": "A transformer as teacher",
    "router": "Routers without a map",
}
ENTRIES = ("graph", "metric", "tri_level", "data_tickets")
HEAD = """# The laboratory's tables

Made by `python -m benchmarks.laboratory` from [results](../benchmarks/results).
What was tried, and what came of it: [the laboratory](laboratory.md). In tables of runs ± is the
standard deviation, in verdicts the standard error ([benchmarks](benchmarks.md))."""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for name, title in TABLES.items():
        result = json.loads(result_file(name).read_text(encoding="utf-8"))
        command = f"`python -m benchmarks.shrink --table {name} --clips ...`"
        shown = ("claim", "verdict", "measured")
        claims = [{key: claim[key] for key in shown} for claim in result["claims"]]
        rows = summary(result["rows"], table(name).SHOWN)
        parts += [f"## {title}", command, rows, markdown(claims)]
    entries = read_results(RESULTS / "reproduce.json")
    for name in ENTRIES:
        text = text_tables({name: entries[name]})
        parts += [text.split("\n", 1)[0], f"`python -m benchmarks.reproduce --only {name}`"]
        parts += [text.split("\n", 1)[1].strip()]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
