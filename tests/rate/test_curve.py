"""The hull of bytes and quality: properties, and a hull by brute force."""

import math
from itertools import pairwise

import numpy as np
import pytest

from sr.rate.curve import Point, along, hull


def points(*pairs):
    return [Point(size, {"psnr_y": value}) for size, value in pairs]


def test_what_costs_more_and_shows_less_is_no_corner():
    curve = hull(points((100, 30.0), (200, 29.0), (400, 36.0)), "psnr_y")
    assert [round(math.exp(x)) for x, _ in curve.corners] == [100, 400]
    assert curve.at(200) == pytest.approx(33.0)  # half-way in the logarithm
    assert curve.bytes_for(33.0) == pytest.approx(200)


def test_nothing_lies_above_and_the_inverse_is_one():
    rng = np.random.default_rng(0)
    for _ in range(50):
        sizes, values = rng.integers(50, 5000, 12), rng.uniform(25, 45, 12)
        cloud = [(int(s), float(q)) for s, q in zip(sizes, values, strict=True)]
        curve = hull(points(*cloud), "psnr_y")
        assert all(curve.at(size) >= value - 1e-9 for size, value in cloud if curve.covers(size))
        slopes = [(q - p) / (y - x) for (x, p), (y, q) in pairwise(curve.corners)]
        assert all(b < a for a, b in pairwise(slopes))
        for size in (60, 700, 4000):
            if curve.covers(size) and len(curve.corners) > 1:
                assert curve.bytes_for(curve.at(size)) == pytest.approx(size)


def test_beyond_the_ends_the_last_line_goes_on():
    curve = hull(points((100, 30.0), (200, 33.0), (400, 35.0)), "psnr_y")
    assert not curve.covers(800)
    assert curve.at(800) == pytest.approx(37.0)
    assert curve.at(50) == pytest.approx(27.0)
    assert curve.slope(200) == pytest.approx(2.5 / math.log(2), rel=0.1)


def test_equal_bytes_keep_the_better():
    assert hull(points((100, 30.0), (100, 31.0)), "psnr_y").at(100) == 31.0


def test_one_point_bounds_what_it_can():
    curve = hull(points((100, 30.0)), "psnr_y")
    assert curve.bytes_for(29.0) == pytest.approx(100)
    assert curve.bytes_for(31.0) == math.inf


def test_of_encodes_that_show_the_same_the_first_counts():
    """Of a film near black crf 8.5 and 9 showed 57.6121 dB both, and a search ended there."""
    line = ((54.0, 16.0), (56.0, 12.0), (57.0, 8.5), (57.0, 9.0))
    assert along(line, 57.0) == 8.5
    assert along(line, 58.0) == pytest.approx(5.0)
    assert along(((57.0, 8.5), (57.0, 9.0)), 60.0) == 8.5
    assert along(((57.0, 8.5), (57.0, 9.0), (58.0, 7.5)), 56.0) == pytest.approx(9.5)
