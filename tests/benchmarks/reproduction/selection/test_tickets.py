"""Which patches a ticket holds."""

import numpy as np
import pytest

from benchmarks.reproduction.selection.tickets import (
    TicketError,
    chance,
    drawn,
    error_left,
    gained,
    ticket,
)
from chunking.grid import Grid
from chunking.lr import downscale
from player.package.generic import blob_path
from player.package.weights import unpack_weights
from sr.packing import network_of
from sr.scoring import path_sse
from sr.training.data import FramePair


def test_a_ticket_is_the_share_with_most_information():
    information = np.array([[[3.0, 1.0], [2.0, 5.0]]])
    assert ticket(information, 0.5).tolist() == [[[True, False], [False, True]]]
    assert ticket(information, 0.75).sum() == 3
    with pytest.raises(TicketError, match="cannot give a ticket"):
        ticket(np.ones((1, 1, 1)))


def test_a_drawn_ticket_holds_patches_as_often_as_their_information_says():
    information = np.repeat([[1.0, 4.0]], 2000, axis=0)
    marks = ticket(drawn(information, 0), 0.1)
    share = marks[:, 1].sum() / marks.sum()
    assert 0.75 < share < 0.82  # 0.8 for the first draw, a little less as the rich run out
    assert not np.array_equal(marks, ticket(drawn(information, 1), 0.1))
    assert ticket(drawn(np.zeros((2, 4)), 0), 0.5).sum() == 4


def test_the_error_that_is_left_is_psnr_turned_round():
    left = error_left(np.array([30.0, 20.0]))
    assert left[1] / left[0] == pytest.approx(10)
    assert not np.array_equal(chance((4,), 0), chance((4,), 1))


@pytest.fixture(scope="module")
def pairs() -> list[FramePair]:
    rng = np.random.default_rng(2)
    hr = np.kron(rng.integers(0, 256, (40, 60, 3), np.uint8), np.ones((6, 6, 1), np.uint8))
    return [FramePair(downscale(hr, 4), hr)]


def test_what_a_network_gained_is_bicubics_error_less_its_own(pairs):
    network, grid = network_of(unpack_weights(blob_path(4).read_bytes())), Grid(60, 90)
    (sse,) = path_sse(network, pairs, grid)
    assert np.array_equal(gained(network, pairs, grid)[0], sse[0] - sse[2])
