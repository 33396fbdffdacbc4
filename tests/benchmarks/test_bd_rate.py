"""BD-rate against published numbers, and what gets none."""

import math

import pytest

from benchmarks.bd_rate import bd_rate

pytest.importorskip("bjontegaard")

# Netflix/vmaf, python/test/bd_rate_calculator_test.py, BDrateCalculatorJCTVCTest: curves and
# results of JCT-VC's spreadsheet. (kbps, dB) of the anchor and of the test.
JCTVC = [
    ([(108048.8736, 43.6471), (61279.976, 40.3953), (33905.6656, 37.247), (18883.6928, 34.2911)],
     [(108061.2784, 43.6768), (61299.9936, 40.4232), (33928.7472, 37.2761), (18910.912, 34.3147)],
     -0.465215420752807),
    ([(40433.8848, 37.5761), (7622.7456, 35.3756), (2394.488, 33.8977), (1017.6184, 32.0603)],
     [(40370.12, 37.5982), (7587.0024, 35.4025), (2390.0944, 33.9194), (1017.0984, 32.0822)],
     -1.8779823450567612),
]  # fmt: skip
CURVE = [(100.0, 30.0), (200.0, 33.0), (400.0, 35.5), (800.0, 37.0)]


@pytest.mark.parametrize(("anchor", "test", "percent"), JCTVC)
def test_it_is_that_of_the_standard_committees(anchor, test, percent):
    found = bd_rate(anchor, test)
    assert found.percent == pytest.approx(percent, abs=1e-6)
    assert found.reason is None and found.overlap > 0.99


def test_the_same_scores_in_fewer_bytes():
    fewer = [(rate * 0.9, score) for rate, score in CURVE]
    assert bd_rate(CURVE, fewer).percent == pytest.approx(-10)
    assert bd_rate(fewer, CURVE).percent == pytest.approx(100 / 9)
    assert bd_rate(CURVE, CURVE[::-1]).percent == pytest.approx(0)


def test_curves_of_other_lengths_and_the_range_that_both_have():
    found = bd_rate(CURVE, [(r, s + 1.4) for r, s in CURVE] + [(1600.0, 39.4)])
    assert (found.low, found.high) == pytest.approx((31.4, 37.0))
    assert found.overlap == pytest.approx(5.6 / 9.4)
    assert found.percent < -10


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        (CURVE[:3], "test: 3 points, 4 are needed"),
        ([(0.0, 29.0), *CURVE], "test: a rate of 0 kbps"),
        ([*CURVE, (900.0, 36.9)], "test: not monotone: 900 kbps score 36.9, 800 kbps 37"),
        ([*CURVE, (800.0, 38.0)], "test: not monotone"),
        ([*CURVE, (900.0, math.nan)], "test: not monotone"),
        ([(r, s + 6) for r, s in CURVE], "the scores overlap by 8%, less than 50%"),
        ([(r, s + 60) for r, s in CURVE], "the scores overlap by 0%, less than 50%"),
    ],
)
def test_what_has_no_sense_has_no_number(test, reason):
    found = bd_rate(CURVE, test)
    assert found.percent is None and found.reason.startswith(reason)
