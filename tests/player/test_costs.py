"""What patches cost, counted by hand."""

import numpy as np

from player.costs import frame_macs, macs_per_pixel, model_switches, path_pixels
from player.package.architecture import Architecture
from player.package.paths import BICUBIC, EASY, HARD
from tests.player.route_code import route_code

CHAIN = Architecture("chain", 4, (32, 32, 32), (1, 3))


def test_a_path_of_the_chain_costs_its_layers():
    first, later, exits = 3 * 32 * 9, 32 * 32 * 9, 32 * 48
    assert macs_per_pixel(CHAIN, BICUBIC) == 3 * 5 * (4 + 16)  # rows at LR height, then columns
    assert macs_per_pixel(CHAIN, EASY) == first + exits
    assert macs_per_pixel(CHAIN, HARD) == first + 2 * later + exits


def test_static_networks_cost_all_of_their_layers():
    espcn = Architecture("espcn", 2, (64, 64, 32), (3,))
    layers = 9 * (3 * 64 + 64 * 64 + 64 * 32 + 32 * 12)
    assert macs_per_pixel(espcn, HARD) == layers
    wdsr = Architecture("wdsr", 2, (8, 16, 2), (2,))
    layers = 9 * (3 * 8 + 2 * 2 * 8 * 16 + 8 * 12) + 25 * 3 * 12
    assert macs_per_pixel(wdsr, HARD) == layers


def test_a_frame_costs_the_sum_of_its_patches():
    patches = np.array([[0, 0, 10, 20, 0, 0], [10, 0, 5, 20, 0, 1], [15, 0, 5, 20, 0, 2]], "i4")
    assert path_pixels(patches).tolist() == [200, 100, 100, 0, 0]
    bicubic, easy, hard = (macs_per_pixel(CHAIN, path) for path in (BICUBIC, EASY, HARD))
    assert frame_macs(patches, [CHAIN]) == 200 * bicubic + 100 * (easy + hard)


def test_switches_are_counted_in_raster_order_between_cells_that_run_a_network():
    nets = [[0, 0, 1], [1, 0, 0]]
    codes = np.array([[route_code(n, HARD) for n in row] for row in nets], np.uint8)
    assert model_switches(codes) == 2
    codes[0, 2] = route_code(5, BICUBIC)
    assert model_switches(codes) == 2  # 0 0 . 1 0 0
    codes[1, 0] = route_code(0, EASY, coarse=True)
    assert model_switches(codes) == 0
