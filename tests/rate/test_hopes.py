"""What a network may gain at most, by what is known before its trial."""

import pytest

from sr.rate.budget import Budget
from sr.rate.candidates import Candidate, candidates
from sr.rate.hopes import ADAPTED, Hopes
from sr.rate.rungs import HR, Rung
from sr.rate.trial import Trial

STEPS = 2000
X2, X2_SHARP = Rung(2), Rung(2, "sharp")


def network(rung: Rung, units: int) -> Candidate:
    """The largest on such units."""
    known = candidates(rung.scale, 96, 128, Budget(None, float("inf")))
    return [c for c in known if c.arch.units == units][-1]


def held(rung: Rung, units: int, gain: float) -> Trial:
    return Trial(network(rung, units), rung, 28.0, STEPS, gain)


def test_a_stream_smaller_than_the_film_hopes_for_more_and_a_sharp_one_for_less():
    hopes = Hopes("psnr_y", STEPS)
    at_hr, x2, x2_sharp = (hopes.of_rung(rung) for rung in (HR, X2, X2_SHARP))
    assert at_hr < x2_sharp < x2


@pytest.mark.parametrize("metric", ["psnr_y", "vmaf"])
def test_what_ships_bounds_what_is_trained(metric):
    largest, open_bound = network(X2, 1), Hopes(metric, STEPS).most(X2, 1, network(X2, 1))
    poor, good = (Hopes(metric, STEPS, {2: gain}) for gain in (0.05, 50.0))
    assert good.most(X2, 1, largest) == open_bound > Hopes(metric, STEPS).of_rung(X2)
    assert 0.05 < poor.most(X2, 1, largest) < 0.3 * open_bound
    assert poor.most(Rung(3), 1, network(Rung(3), 1)) == open_bound


def test_the_same_network_on_a_sharp_stream_gains_hardly_more_but_on_a_bicubic_one_it_may():
    largest = network(X2, 1)
    hopes = Hopes("psnr_y", STEPS, held={(X2, 1): held(X2, 1, 0.4)})
    assert 0.4 < hopes.most(X2_SHARP, 1, largest) < 0.7
    assert hopes.most(X2, 1, largest) > hopes.of_rung(X2)  # its own kind is no bound
    hopes = Hopes("psnr_y", STEPS, held={(X2_SHARP, 1): held(X2_SHARP, 1, 0.4)})
    assert 0.9 < hopes.most(X2, 1, largest) < 0.5 * hopes.of_rung(X2)


def test_larger_units_gain_no_more_than_smaller_ones_but_not_the_other_way_round():
    largest = network(HR, 1)
    fine = Hopes("psnr_y", STEPS, held={(HR, 1): held(HR, 1, 0.4)})
    assert fine.most(HR, 2, largest) == pytest.approx(0.4)
    coarse = Hopes("psnr_y", STEPS, held={(HR, 2): held(HR, 2, 0.4)})
    assert coarse.most(HR, 1, largest) > coarse.of_rung(HR)


def test_an_adapted_network_says_nothing_of_others_and_hopes_for_a_little_more_than_it_ships():
    trial = Trial(network(HR, 1), HR, 28.0, 0, 0.3)
    hopes = Hopes("psnr_y", STEPS, held={(HR, ADAPTED): trial})
    assert hopes.most(HR, 2, network(HR, 1)) > hopes.of_rung(HR)
    assert 0.3 < hopes.adapted(trial) < 0.5
