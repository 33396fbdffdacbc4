"""Frames whose patches take different paths, in one loop over rows: bit for bit each path's own."""

from itertools import product

import numpy as np
import pytest

from compiler.targets import TARGETS, find_target
from player.package.paths import path_of, route_codes
from player.package.route_maps import patches_of
from player.package.scale import hr_px
from tests.compiler.int8_cases import ARCHITECTURES

# Height, width, side of a cell, in places: bands and spans of every length, cuts in both
# directions; a side of 6 is no multiple of PSR_UNIT, which takes the patches one by one.
FRAMES = ((50, 70, 12), (13, 41, 4), (5, 7, 4), (120, 50, 8), (40, 2100, 24), (37, 64, 6))
SPLIT = [arch for arch in ARCHITECTURES if len(arch.exits) > 1]


def routes(draw, height: int, width: int, cell: int, paths: tuple[int, ...]) -> np.ndarray:
    """Codes of noise, or of stripes: long spans with few borders."""
    cells = draw.choice(paths, (-(-height // cell), -(-width // cell)))
    return route_codes(np.sort(cells, axis=int(draw.integers(2))) if draw.integers(2) else cells)


def stitched(pool, network, codes: np.ndarray, cell: int, lr: np.ndarray) -> np.ndarray:
    """Every pixel from a whole frame on its cell's path."""
    height, width = lr.shape[:2]
    side = hr_px(cell, network.scale)
    of_pixel = path_of(codes).repeat(side, axis=0).repeat(side, axis=1)
    of_pixel = of_pixel[: hr_px(height, network.scale), : hr_px(width, network.scale), None]
    frame = np.zeros((*of_pixel.shape[:2], 3), np.uint8)
    for path in network.paths:
        whole = pool.frame([network], np.array([[0, 0, height, width, 0, path]], np.int32), lr)
        frame = np.where(of_pixel == path, whole, frame)
    return frame


def check(engine, network, picture) -> None:
    draw, u = np.random.default_rng(0), network.arch.units
    for threads, size in product((1, 3), FRAMES):
        height, width, cell = (side * u for side in size)
        height, width = height - u // 2, width - u // 2  # the last units are cut
        pool, lr = engine.pool(threads), picture(height, width)
        codes = routes(draw, height, width, cell, network.paths)
        patches = patches_of(codes, cell, cell, height, width)
        ours = pool.frame([network], patches, lr)
        assert np.array_equal(ours, stitched(pool, network, codes, cell, lr)), (threads, cell)


@pytest.mark.parametrize("chain", SPLIT, ids=lambda a: f"x{float(a.scale):g}-u{a.units}")
def test_int8(chain, int8_engine, int8_isas, int8_network, picture):
    for isa in int8_isas:
        check(int8_engine, int8_network(isa, chain), picture)


def test_fp32(arch, engine, networks, picture):
    check(engine, networks[arch], picture)


def test_tiles_cover_spans_without_running_over():
    """Spans are multiples of PSR_UNIT (4): what ran over would spoil another exit's columns."""
    shapes = {v.tile.pixels for t in TARGETS for vs in find_target(t).versions.values() for v in vs}
    for pixels, span in product(shapes, range(4, 64, 4)):
        left = span
        for shape in pixels:
            left -= left // shape * shape
        assert left == 0, (pixels, span)


def test_out_must_fit_the_frame(default_arch, engine, networks):
    lr, patches = np.zeros((4, 4, 3), np.uint8), np.array([(0, 0, 4, 4, 0, 0)], np.int32)
    with pytest.raises(Exception, match="PSR_E_ARG"):
        engine.pool(1).frame([networks[default_arch]], patches, lr, np.zeros((4, 4, 3), np.uint8))
