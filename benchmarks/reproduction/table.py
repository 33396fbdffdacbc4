"""Rows of results as tables in Markdown, made from the JSON alone."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS
from chunking.input_error import InputError

Row = Mapping[str, Any]
Forms = Mapping[str, str]  # head of a column -> how a row's numbers are written there
SAMPLE = {"mean", "standard_error", "runs"}  # what benchmarks.verdict.sample makes


def read(name: str) -> dict[str, Any]:
    """A result file of benchmarks/results."""
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return result


def read_results(path: Path) -> dict[str, Any]:
    """The entries of a result file by name; none where there is no file. Raises InputError."""
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["entries"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: no result of reproduce ({error}); move it away or give another --json"
        ) from error


def text_tables(entries: Mapping[str, Any]) -> str:
    """Markdown: for each entry a table of its rows and one of its claims."""
    return "\n\n".join(_entry_text(entry) for entry in entries.values())


def _entry_text(entry: Row) -> str:
    kind = "quick, " if entry["quick"] else ""
    head = f"## {entry['title']}\n\n{kind}seeds {' '.join(map(str, entry['seeds']))}"
    by = entry.get("table_by")
    rows = over_seeds(entry["rows"], by) if by else entry["rows"]
    return "\n\n".join([head, markdown(rows), markdown([_claim(c) for c in entry["claims"]])])


def _claim(claim: Row) -> Row:
    return {
        "claim": claim["claim"],
        "verdict": claim["verdict"],
        "measured": claim.get("measured", {}),
        "note": claim.get("note", ""),
    }


def over_seeds(rows: Sequence[Row], by: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each value of the columns `by`: how many, and mean ± deviation of numbers.

    The deviation is the sample's (n - 1). Other columns stay where all rows agree on them.
    """
    arms: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        arms.setdefault(tuple(json.dumps(row[column]) for column in by), []).append(row)
    return [_summary(members, by) for members in arms.values()]


def _summary(members: Sequence[Row], by: Sequence[str]) -> dict[str, Any]:
    summary: dict[str, Any] = {
        **{column: members[0][column] for column in by},
        "runs": len(members),
    }
    for column in _columns(members):
        values = [row.get(column) for row in members]
        if column in by or column == "seed":
            continue
        if all(value == values[0] for value in values):
            summary[column] = values[0]
        elif all(_is_number(value) for value in values):
            summary[column] = _mean_and_deviation(values)
    return summary


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _mean_and_deviation(values: Sequence[Any]) -> str:
    """At least two values, which differ."""
    return f"{_text(statistics.fmean(values))} ± {statistics.stdev(values):.2g}"


def markdown(rows: Sequence[Row]) -> str:
    """Rows as a table; the columns in the order in which they are first seen."""
    columns = _columns(rows)
    lines = [columns, ["---"] * len(columns)]
    lines += [[_text(row.get(column)) for column in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(column for row in rows for column in row))


def _text(value: Any) -> str:
    """A cell: four digits of a number, yes and no, mean ± standard error of a sample, the inside of
    lists and dictionaries."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    if isinstance(value, Mapping) and value.keys() == SAMPLE:
        error = value["standard_error"]
        return _text(value["mean"]) + ("" if error is None else f" ± {error:.2g}")
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_nested(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value)
    return str(value).replace("|", "\\|").replace("\n", " ")


def _nested(value: Any) -> str:
    nested = isinstance(value, Mapping | list | tuple)
    if nested and not (isinstance(value, Mapping) and value.keys() == SAMPLE):
        return f"({_text(value)})"
    return _text(value)


def lines(heads: Sequence[str], *rows: Sequence[str]) -> str:
    """A table of cells that are texts already."""
    return markdown([dict(zip(heads, row, strict=True)) for row in rows])


def formed(rows: Sequence[Row], forms: Forms) -> str:
    """A line for each row; a cell is empty where the row lacks what its form names."""

    def cell(form: str, row: Row) -> str:
        try:
            return form.format(**row)
        except (KeyError, TypeError):
            return ""

    return markdown([{head: cell(form, row) for head, form in forms.items()} for row in rows])
