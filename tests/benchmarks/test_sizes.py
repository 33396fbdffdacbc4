"""The search's two rules of size, out of measured rows."""

import pytest

from benchmarks.sizes import LARGE, MIDDLE, SMALL, rules


def row(shape: tuple[int, int], weights: int, gain_db: float, blob_bytes: float) -> dict:
    return {
        "clip": "a", "scale": 2, "layers": shape[0], "channels": shape[1], "weights": weights,
        "gain_db": gain_db, "blob_bytes": blob_bytes,
    }  # fmt: skip


def test_rules_are_the_powers_that_the_rows_were_made_by():
    rows = [
        row(SMALL, 1000, 1.0, 5 * 1000**0.75),
        row(MIDDLE, 4000, 4**0.25, 5 * 4000**0.75),
        row(LARGE, 64000, 4**0.25 * 16**0.1, 5 * 64000**0.75),
    ]
    found = rules(rows)
    assert found["small_exponent"]["mean"] == pytest.approx(0.25)
    assert found["large_exponent"]["mean"] == pytest.approx(0.1)
    assert found["blob_bytes"] == {
        "mean": pytest.approx(5), "deviation": pytest.approx(0, abs=1e-9), "of": 3,
    }  # fmt: skip
    assert "large_exponent" not in rules(rows[:2])
