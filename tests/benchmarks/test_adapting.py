"""The rules that benchmarks.adapting makes of its rows."""

import math

import pytest

from benchmarks.adapting import rules


def row(clip: str, steps: int, gain: float, size: int) -> dict:
    return {"clip": clip, "steps": steps, "stream_bytes": 10_000, "bytes": size,
            "shipped_db": 30.0, "adapted_db": 30.0 + gain}  # fmt: skip


def test_gains_grow_by_a_share_a_doubling_and_pay_for_their_bytes():
    rows = [row("a", 100, 0.1, 200), row("a", 400, 0.15, 300), row("a", 10, 0.01, 9)]
    rows += [row("b", 400, 0.2, 500), row("b", 100, 0.2, 400)]
    found = rules(rows)
    assert found["grown_a_doubling"] == pytest.approx((0.25 + 0.0) / 2)
    assert found["times_bytes_a_doubling"] == pytest.approx((1.5**0.5 + 1.25**0.5) / 2, abs=1e-4)
    assert found["bytes"] == 400
    assert found["stream_share"] == pytest.approx(400 / 10_000)
    spent = [3.5 * math.log2(1 + size / 10_000) for size in (300, 500)]
    assert found["net_db"] == pytest.approx((0.15 - spent[0] + 0.2 - spent[1]) / 2, abs=1e-4)
