"""The made-up pairs: repeatable, labelled by RGB alone, no easy way by temperature."""

import numpy as np
import pytest

from benchmarks.reproduction.flames.synthetic import synthetic_pairs


@pytest.fixture(scope="module")
def clear():
    return synthetic_pairs(120, seed=4)


def test_the_same_seed_gives_the_same_pairs(clear):
    again, other = synthetic_pairs(120, seed=4), synthetic_pairs(120, seed=5)
    np.testing.assert_array_equal(clear.thermal, again.thermal)
    assert not np.array_equal(clear.thermal, other.thermal)
    np.testing.assert_array_equal(clear.rgb[:10], synthetic_pairs(10, seed=4).rgb)


def test_half_are_flames_by_the_rule(clear):
    assert clear.fire.mean() == pytest.approx(0.5, abs=0.02)


def test_smoke_hides_rgb_and_keeps_labels(clear):
    obscured = synthetic_pairs(120, seed=4, smoke=1.0)
    np.testing.assert_array_equal(obscured.fire, clear.fire)
    assert np.ptp(obscured.rgb) == 0
    assert not np.array_equal(obscured.thermal, clear.thermal)


def test_the_hottest_pixel_tells_nothing(clear):
    """Every patch is stretched to 0..255, flame or not."""
    assert (clear.thermal.reshape(120, -1).max(axis=1) == 255).all()
    assert (clear.thermal.reshape(120, -1).min(axis=1) == 0).all()


def test_brightness_alone_is_a_poor_judge(clear):
    """No threshold on a patch's mean is right on more than four fifths."""
    means = clear.thermal.mean(axis=(1, 2))
    right = [max(((means > t) == clear.fire).mean(), ((means <= t) == clear.fire).mean())
             for t in means]  # fmt: skip
    assert max(right) < 0.85
