"""`python -m benchmarks.latency`: what it compares, and that its page says what it found."""

import json
from pathlib import Path

import pytest

from benchmarks.latency import SCALE, SIZE, UNSEEN, compare, summarise
from player.package.paths import HARD
from sr.latency.measure import PathTimes, benched_architectures, static_chain
from sr.latency.table import MS, Cache, LatencyTable, Machine

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks" / "results" / "latency.json"
MACHINE = Machine("host", "int8", "isa", "processor", "0", "now", 4, 1, *SIZE)


def flat_table() -> LatencyTable:
    """Every layer costs its blocks and groups."""
    rows = tuple(tuple(float(g * b) for b in range(1, 5)) for g in range(1, 17))
    exits = tuple(map(float, range(1, 17)))
    return LatencyTable(MACHINE, Cache(1 << 19, 232, 1), 5.0, (1.0, 2.0, 3.0, 4.0), rows, exits)


def test_no_network_that_is_compared_is_benched():
    unseen = {static_chain(SCALE, widths) for widths in UNSEEN}
    assert len(unseen) == len(UNSEEN) >= 8
    assert not unseen & set(benched_architectures(SCALE))


def test_rows_hold_the_error_and_the_ratios_to_the_first_network():
    table = flat_table()
    archs = [static_chain(4, widths) for widths in ((32,) * 6, (16,) * 6)]
    exact = [table.predict_ms(arch, HARD, *SIZE) / MS for arch in archs]
    rows = compare(table, archs, PathTimes((exact[0], exact[1] * 1.25), 1.0), SIZE)
    assert [row["error"] for row in rows] == pytest.approx([0.0, -0.2])
    assert rows[1]["time_ratio"] == pytest.approx(1.25 * exact[1] / exact[0])
    macs = [9 * (3 * w + 5 * w * w) + 48 * w for w in (32, 16)]
    assert rows[1]["macs_ratio"] == pytest.approx(macs[1] / macs[0])


def test_the_summary_counts_pairs_in_the_wrong_order():
    times = ((10.0, 10.0), (20.0, 31.0), (30.0, 30.0), (30.1, 40.0))
    rows = [{"measured_ms": m, "predicted_ms": p, "error": p / m - 1} for m, p in times]
    found = summarise(rows)
    assert found["worst_error"] == pytest.approx(0.55)
    assert (found["pairs"], found["pairs_in_wrong_order"]) == (5, 1)  # 30.0 and 30.1 are one


def test_the_page_says_what_was_measured():
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "latency.md").read_text(encoding="utf-8")
    for row in result["frame"]["rows"]:
        numbers = f"{row['time_ratio']:.2f} | {row['macs_ratio']:.2f} | {row['error']:+.1%} |"
        assert numbers in page, row["widths"]
    for part in (result, result["frame"]):
        summary = part["summary"]
        assert f"median {summary['median_error']:.1%}" in page
        assert f"worst {summary['worst_error']:.1%}" in page
