"""The registry of reproductions: rows that resume, entries that merge, tables from JSON alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks.reproduce as reproduce
from benchmarks.reproduce import ENTRIES, Entry, main
from benchmarks.reproduction import ReproduceOptions
from benchmarks.reproduction.rows import RowStore
from benchmarks.reproduction.table import markdown, over_seeds, read_results, text_tables
from chunking.input_error import InputError


class Killed(BaseException):
    """As a signal would: nothing catches it."""


def test_a_row_is_made_once_and_comes_back_the_same(tmp_path):
    made = []

    def make() -> dict:
        made.append(1)
        return {"accuracy": 0.1 + 0.2, "widths": (3, 4)}

    key = {"arm": "chex", "seed": 0}
    first = RowStore(tmp_path / "new").row(key, make)
    again = RowStore(tmp_path / "new").row({"seed": 0, "arm": "chex"}, make)
    assert first == again == {"accuracy": 0.1 + 0.2, "widths": [3, 4]} and len(made) == 1


def test_keys_that_differ_anywhere_are_other_rows(tmp_path):
    store = RowStore(tmp_path)
    long = "a" * 100
    keys = [
        {"arm": "a b"},
        {"arm": "a-b"},
        {"arm": "a", "b": None},
        {"arm": 1},
        {"arm": "1"},
        {"arm": long + "x"},
        {"arm": long + "y"},
        {"arm": "../../escape"},
        {"arm": {"steps": [1, 2]}},
    ]
    for i, key in enumerate(keys):
        store.row(key, lambda i=i: {"i": i})
    assert [store.get(key) for key in keys] == [{"i": i} for i in range(len(keys))]
    assert len(list(tmp_path.iterdir())) == len(keys)
    assert store.get({"arm": "no"}) is None


def test_a_run_killed_in_a_row_goes_on_at_that_row(tmp_path):
    made = []

    def table(dies_at: int | None) -> list[dict]:
        def make(i: int) -> dict:
            made.append(i)
            if i == dies_at:
                raise Killed
            return {"i": i}

        return [RowStore(tmp_path).row({"i": i}, lambda i=i: make(i)) for i in range(4)]

    with pytest.raises(Killed):
        table(dies_at=2)
    assert table(dies_at=None) == [{"i": i} for i in range(4)]
    assert made == [0, 1, 2, 2, 3]


def test_what_a_kill_leaves_of_a_write_is_no_row(tmp_path):
    store = RowStore(tmp_path)
    store.row({"i": 0}, lambda: {"i": 0})
    (file,) = tmp_path.iterdir()
    file.rename(file.with_name(f".{file.name}.part"))
    assert store.get({"i": 0}) is None
    assert store.row({"i": 0}, lambda: {"i": 5}) == {"i": 5}


def test_a_row_that_json_cannot_hold_is_not_kept(tmp_path):
    with pytest.raises(ValueError):
        RowStore(tmp_path).row({"i": 0}, lambda: {"loss": float("nan")})
    assert RowStore(tmp_path).get({"i": 0}) is None


def result(value: float) -> dict:
    rows = [{"arm": "ours", "seed": s, "accuracy": value + s} for s in (0, 1)]
    claim = {
        "claim": "ours is best",
        "verdict": "holds",
        "measured": {"gain": value},
        "note": "small",
    }
    return {"rows": rows, "claims": [claim]}


@pytest.fixture
def registry(monkeypatch, tmp_path) -> dict[str, Entry]:
    """Two entries instead of the real ones, which notice their options."""
    seen: list[ReproduceOptions] = []

    def run(module: object, options: ReproduceOptions) -> dict:
        seen.append(options)
        return result(0.5)

    def no_data(module: object, options: ReproduceOptions) -> dict:
        raise InputError(f"{options.sets}: the set is missing; give --sets")

    entries = {
        "good": Entry("The good one", "good", run),
        "none": Entry("Without data", "none", no_data),
    }
    monkeypatch.setattr(reproduce, "ENTRIES", entries)
    monkeypatch.setattr(reproduce, "import_module", lambda name: None)
    monkeypatch.chdir(tmp_path)
    run.seen = seen  # type: ignore[attr-defined]
    return entries


def test_entries_get_their_options_and_their_own_folder(registry, tmp_path, capsys):
    arguments = ["--only", "good", "--seeds", "4", "5", "--sets", "data", "--work", "w"]
    assert main([*arguments, "--json", "out.json"]) == 0
    assert main([*arguments, "--quick"]) == 0
    full, quick = registry["good"].run.seen
    assert full == ReproduceOptions((4, 5), False, Path("w/full/good"), Path("data"))
    assert quick.quick and quick.work == Path("w/quick/good") and quick.work.is_dir()
    assert read_results(Path("w/quick.json"))["good"]["quick"] is True
    assert read_results(Path("out.json"))["good"]["quick"] is False
    assert capsys.readouterr().out.count("## The good one") == 2


def test_one_entry_replaces_its_own_result_and_keeps_the_others(registry, tmp_path):
    path = tmp_path / "out.json"
    other = {"title": "Another", "quick": False, "seeds": [9], **result(0.25)}
    path.write_text(json.dumps({"schema": "x", "entries": {"other": other, "good": {"old": 1}}}))
    assert main(["--only", "good", "--json", str(path)]) == 0
    data = json.loads(path.read_text())
    assert data["schema"] == "pocketsr.reproduce/2"
    assert list(data["entries"]) == ["good", "other"] and data["entries"]["other"] == other
    good = data["entries"]["good"]
    assert good["rows"] == result(0.5)["rows"] and good["seeds"] == [0, 1, 2]
    assert {"processor", "packages", "utc"} <= good["environment"].keys() and "old" not in good


def test_an_entry_without_its_data_is_one_line_and_stops_no_other(registry, capsys):
    assert main(["--only", "none", "good", "--json", "out.json", "--sets", "nowhere"]) == 3
    assert list(read_results(Path("out.json"))) == ["good"]
    captured = capsys.readouterr()
    assert captured.err == "reproduce: none: nowhere: the set is missing; give --sets\n"
    assert "## The good one" in captured.out


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"rows": []}, "no rows"),
        ({"claims": []}, "no claims"),
        ({"claims": [{"claim": "x", "verdict": "yes"}]}, "holds, tie, reversed, one run"),
        ({"table_by": ["width"]}, "width"),
    ],
)
def test_a_result_of_another_form_is_not_written(registry, monkeypatch, change, word):
    bad = Entry("Bad", "bad", lambda module, options: {**result(1), **change})
    monkeypatch.setitem(registry, "good", bad)
    with pytest.raises(ValueError, match=word):
        main(["--only", "good", "--json", "out.json"])
    assert not Path("out.json").exists()


def test_a_result_file_that_is_none_is_named_and_left(registry, tmp_path):
    path = tmp_path / "out.json"
    path.write_text("{")
    with pytest.raises(InputError, match=r"out\.json.*move it away"):
        read_results(path)
    assert path.read_text() == "{"


def test_the_condensing_entry_gets_its_options_one_by_one(monkeypatch, tmp_path):
    class Module:
        @staticmethod
        def run(seeds, quick, work_folder) -> dict:
            assert (seeds, quick, work_folder) == ((1,), True, tmp_path)
            claim = {"claim": "greedy is best", "verdict": "tie", "measured": {1: {"mean": 0.1}}}
            return {**result(0.5), "claims": [claim], "environment": {"processor": "its own"}}

    monkeypatch.setattr(reproduce, "import_module", lambda name: Module)
    made = reproduce.run_entry("condense", ReproduceOptions((1,), True, tmp_path, tmp_path))
    assert made["rows"] == result(0.5)["rows"] and made["environment"]["processor"] == "its own"
    assert "1 (mean 0.1)" in text_tables(json.loads(json.dumps({"condense": made})))


def test_no_entry_is_imported_before_it_runs():
    code = (
        "import sys, benchmarks.reproduce; "
        "names = ('chex', 'chase', 'fair', 'fair_spurious', 'condense_lm', 'tri_level', "
        "'data_tickets', 'metric_learning', 'graph_tickets', 'graph_fresh'); "
        "sys.exit(any(f'benchmarks.reproduction.{name}' in sys.modules for name in names))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert list(ENTRIES) == [
        "chex", "chase", "fair", "fair_spurious", "condense", "tri_level", "data_tickets",
        "metric", "graph", "graph_fresh",
    ]  # fmt: skip


def test_means_and_deviations_over_seeds():
    rows = [
        {
            "arm": "a",
            "kept": 0.5,
            "seed": s,
            "accuracy": a,
            "macs": 7,
            "at": f"seed {s}",
            "ok": s > 0,
        }
        for s, a in enumerate((0.6, 0.7, 0.8))
    ]
    rows += [{"arm": "a", "kept": 0.25, "seed": 0, "accuracy": 0.5, "macs": 3}]
    half, quarter = over_seeds(rows, ["arm", "kept"])
    assert half == {"arm": "a", "kept": 0.5, "runs": 3, "accuracy": "0.7 ± 0.1", "macs": 7}
    assert quarter == {"arm": "a", "kept": 0.25, "runs": 1, "accuracy": 0.5, "macs": 3}


def test_a_table_has_every_column_once_and_cells_that_markdown_can_hold():
    rows = [{"arm": "a|b", "x": 0.123456}, {"arm": "c", "y": True, "x": 123456.7, "z": [1, 0.5]}]
    assert markdown(rows).splitlines() == [
        "| arm | x | y | z |",
        "| --- | --- | --- | --- |",
        "| a\\|b | 0.1235 |  |  |",
        "| c | 123457 | yes | 1, 0.5 |",
    ]


def test_the_tables_show_what_does_not_hold():
    entry = {"title": "T", "quick": True, "seeds": [0, 1], "table_by": ["arm"], **result(0.5)}
    entry["claims"][0]["verdict"] = "reversed"
    lines = text_tables({"t": entry}).splitlines()
    assert lines[:3] == ["## T", "", "quick, seeds 0 1"]
    assert "| ours | 2 | 1 ± 0.71 |" in lines
    assert "| ours is best | reversed | gain 0.5 | small |" in lines
