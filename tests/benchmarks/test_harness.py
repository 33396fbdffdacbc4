"""The harness: turns are fair, medians are medians, results are whole."""

import json
import re
from pathlib import Path

import pytest

from benchmarks import harness
from benchmarks.harness import Timing, environment, interleave, write_json


def test_contenders_run_in_turns():
    order: list[str] = []
    runs = {name: lambda name=name: order.append(name) for name in "ab"}
    timings = interleave(runs, rounds=3, warm_up=1)
    assert "".join(order) == "ab" * 4
    assert {name: len(t.samples_s) for name, t in timings.items()} == {"a": 3, "b": 3}


def test_median_and_spread():
    timing = Timing((1.0, 2.0, 3.0, 4.0, 100.0))
    assert timing.median_s == 3.0
    assert timing.spread == pytest.approx((52.0 - 1.5) / 3.0)
    assert Timing((1.0, 1.0)).spread == 0.0


def test_the_record_is_json_and_replaces_the_old_one(tmp_path):
    path = tmp_path / "new" / "result.json"
    for value in (1, 2):
        write_json(path, {"value": value, "environment": environment(["numpy"])})
    assert json.loads(path.read_text())["value"] == 2
    assert [p.name for p in path.parent.iterdir()] == ["result.json"]


BENCHMARKS = [
    path
    for path in sorted(Path(harness.__file__).parent.glob("*.py"))
    if re.search(r"(argument_parser|parse_arguments)\(", path.read_text(encoding="utf-8"))
    and path != Path(harness.__file__)
]


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_who_can_be_asked_to_be_quick_is(path):
    text = path.read_text(encoding="utf-8")
    offered = "quick=True" in text or "parse_arguments(" in text
    assert offered == bool(re.search(r"\w\.quick\b", text))


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ([], harness.RESULTS / "x.json"),
        (["--quick"], harness.QUICK / "x.json"),
        (["--quick", "--json", "own.json"], Path("own.json")),
        (["--json", "own.json", "--quick"], Path("own.json")),
    ],
)
def test_what_is_measured_quickly_takes_no_results_place(given, written):
    options = harness.argument_parser("x", None, quick=True).parse_args(given)
    assert options.json == written and options.quick == ("--quick" in given)
