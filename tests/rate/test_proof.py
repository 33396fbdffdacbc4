"""Never worse: where a package is ahead, where it is behind, and by how much it may be."""

import pytest

from sr.rate.curve import Point
from sr.rate.proof import compare

PLAIN = [Point(100_000, {"psnr_y": 36.0, "psnr_rgb": 34.0}),
         Point(200_000, {"psnr_y": 39.0, "psnr_rgb": 37.0})]  # fmt: skip


def package(size, y, rgb):
    return Point(size, {"psnr_y": y, "psnr_rgb": rgb})


def test_ahead_in_all_is_better():
    verdict = compare(package(150_000, 39.0, 37.0), PLAIN, "psnr_y", segments=3)
    assert verdict.better
    assert verdict.saved["psnr_y"] == pytest.approx(0.25)
    assert verdict.plain["psnr_y"] == pytest.approx(36 + 3 * 0.585, abs=0.01)


def test_ahead_in_luma_but_behind_in_colour_is_not():
    assert not compare(package(150_000, 39.0, 35.0), PLAIN, "psnr_y", segments=3).better


def test_half_a_percent_behind_in_another_metric_is_allowed():
    colour = 34 + 3 * 0.585 - 0.01  # 0.01 dB is about 0.3 % of the bytes here
    assert compare(package(150_000, 38.0, colour), PLAIN, "psnr_y", segments=1).better
    assert not compare(package(150_000, 38.0, colour - 0.1), PLAIN, "psnr_y", segments=1).better


def test_equal_is_not_better():
    assert not compare(package(100_000, 36.0, 34.0), PLAIN, "psnr_y", segments=1).better
