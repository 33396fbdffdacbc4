"""`python -m benchmarks.family`: its networks, its figures, and that the page says them."""

import json
from pathlib import Path

from benchmarks.family import DTYPES, NETWORKS, OLD, speed_row, summary, table
from benchmarks.harness import RESULTS

PAGE = Path(__file__).parents[2] / "docs" / "compiler.md"


def test_the_networks_differ_in_all_that_the_family_leaves_open():
    archs = set(NETWORKS.values())
    assert len(archs) == len(NETWORKS) >= 12
    assert {a.scale for a in archs} == {1, 1.5, 2, 3, 4}
    assert {a.units for a in archs} == {1, 2, 3}
    assert {len(a.exits) for a in archs} == {1, 2, 4}
    assert all(a.units == 1 and a.scale > 1 and len(a.exits) == 2 for a in OLD.values())


def test_a_speed_above_one_is_in_favour_of_the_family():
    row = speed_row([2.0, 4.0, 6.0, 8.0], [1.0, 2.0, 3.0, 8.0])
    assert row["ratio"] == 2.0
    assert (row["family_ms"], row["specialised_ms"]) == (2500.0, 5000.0)


def made_up() -> dict[str, object]:
    plays = dict.fromkeys(DTYPES, True)
    rates = {"default": 1.01, "wide": 0.98}
    speed = [
        {"network": n, "dtype": "int8", "routes": "hard", "ratio": r, "spread": 0.02}
        for n, r in rates.items()
    ]
    opening = [{"dtype": "int8", "parameters": 50_000, "ratio": 0.05}]
    return {
        "networks": [{"network": "default", **plays}, {"network": "wide", **plays, "fp32": False}],
        "speed": speed,
        "bytes": {"int8, one instruction set": 90_040, "int8, host": 120_000},
        "opening": opening,
        "int8_share_of_limit": {"family": 0.86, "specialised": 0.87},
    }


def test_a_network_that_is_refused_wants_an_engine_of_its_own():
    figures = summary(made_up())
    assert figures == {
        "engines_for_all_networks": 2,
        "least_speed_ratio": 0.98,
        "int8_one_isa_kb": 90.0,
        "most_open_over_frame": 0.05,
        "int8_share_of_limit": {"family": 0.86, "specialised": 0.87},
    }


def test_the_table_has_every_figure_and_every_network():
    result = made_up()
    text = table({**result, "summary": summary(result)})
    for cell in ("2 a target and dtype", "0.980", "90,040", "50,000", "0.86", "1.010 ± 0.010"):
        assert cell in text
    assert "wide: x4, 48 48 48" in text


def test_the_page_shows_the_recorded_result():
    result = json.loads((RESULTS / "family.json").read_text(encoding="utf-8"))
    assert table(result) in PAGE.read_text(encoding="utf-8")
    found = summary(result)
    assert result["summary"] == found
    assert found["engines_for_all_networks"] == 1
    assert found["least_speed_ratio"] >= 0.97
    assert found["int8_one_isa_kb"] <= 400
    assert found["most_open_over_frame"] < 1
    shares = found["int8_share_of_limit"]
    assert shares["family"] >= 0.97 * shares["specialised"]
