"""The definition of the router's integers, against sums written out and golden values."""

import math
from dataclasses import replace

import numpy as np
import pytest

from player.package.router_blob import OFFSET_LIMIT, RouterBlob, RouterSizes, pack_router_blob
from player.package.self_test import self_test_stream
from sr.router import reference
from tests.router.random_router import DEFAULT, SIZES, noise, random_router, router_blob, size_name


def attended_by_hand(router, lr, row, column):
    """f' of one cell: Python's integers, one sum after the other, `round` for halves to even."""
    cell, side = router.sizes.cell_px, router.sizes.cell_px // 4
    height, width = (-(-n // cell) * cell // 4 for n in lr.shape[:2])

    def layer(name, inputs):
        weight, bias, multiplier = router.layers[name]
        rows = weight.reshape(len(weight), -1).tolist()
        products = (sum(w * v for w, v in zip(row, inputs, strict=True)) for row in rows)
        sums = [b + product for b, product in zip(bias.tolist(), products, strict=True)]
        scaled = [float(np.float32(s) * m) for s, m in zip(sums, multiplier, strict=True)]
        return [min(255, max(0, round(v))) for v in scaled]

    def embedded(y, x):
        y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
        return layer("embed", [
            int(lr[min(4 * y + dy, len(lr) - 1), min(4 * x + dx, lr.shape[1] - 1), colour])
            for colour in range(3) for dy in range(4) for dx in range(4)
        ])  # fmt: skip

    def mixed(y, x):
        around = [[embedded(y + dy, x + dx) for dx in (-1, 0, 1)] for dy in (-1, 0, 1)]
        channels = range(router.sizes.widths[0])
        return layer("mix", [pixel[c] for c in channels for line in around for pixel in line])

    inside = [[mixed(row * side + dy, column * side + dx) for dx in range(side)]
              for dy in range(side)]  # fmt: skip
    channels = range(router.sizes.widths[1])
    f = layer("pool", [pixel[c] for c in channels for line in inside for pixel in line])
    attention = layer("excite", layer("squeeze", f))
    return [(q * a + 128) // 256 for q, a in zip(f, attention, strict=True)]


@pytest.mark.parametrize("sizes", SIZES[:3], ids=size_name)
@pytest.mark.parametrize("extreme", [False, True])
def test_a_cell_is_its_sums_written_out(sizes, extreme):
    router, lr = (
        random_router(sizes, 2, extreme),
        noise(sizes.cell_px + 3, 2 * sizes.cell_px - 3, 1),
    )
    found = reference.attended(router, lr)
    assert found.shape == (2, 2, sizes.widths[2]) and found.dtype == np.uint8
    for row, column in ((0, 0), (1, 1)):
        assert found[row, column].tolist() == attended_by_hand(router, lr, row, column)


def decided(router, scores):
    """`decide` for a router of centres at 0 and features that are 0: offsets are the scores."""
    zeros = np.zeros_like(router.centres)
    router = replace(router, centres=zeros, offsets=np.array(scores, np.int32))
    return int(reference.decide(router, np.zeros(router.sizes.widths[2], np.uint8)))


def test_the_nearest_decides_and_the_lowest_of_equals():
    paths = np.array([1, 0, 2], np.uint8)
    router = replace(random_router(DEFAULT, 0), paths=paths, least_margins=np.zeros(3, np.int32))
    assert [decided(router, s) for s in ((1, 2, 3), (2, 1, 3), (3, 2, 1))] == [1, 0, 2]
    assert [decided(router, s) for s in ((1, 1, 3), (3, 1, 1), (5, 5, 5))] == [1, 0, 1]


def test_a_margin_below_the_least_is_the_safe_path():
    """The least margin is that of the nearest class; at the least itself the class decides."""
    paths, least = np.array([1, 0, 0], np.uint8), np.array([10, 0, 1], np.int32)
    router = replace(random_router(DEFAULT, 0), paths=paths, least_margins=least)
    assert [decided(router, (0, m, 99)) for m in (9, 10, 11)] == [2, 1, 1]
    assert decided(router, (0, 0, 99)) == 2 and decided(router, (99, 0, 0)) == 0
    assert decided(router, (99, 99, 98)) == 0 and decided(router, (98, 99, 98)) == 2


def test_the_largest_numbers_stay_within_32_bits():
    sizes = RouterSizes(4, 2, 1, (4, 4, 64, 4))
    most = OFFSET_LIMIT - 1
    router = replace(
        random_router(sizes, 0),
        centres=np.array([[0] * 64, [-1023] * 64], np.int16),
        offsets=np.array([-most, most], np.int32),
        least_margins=np.array([(1 << 31) - 1, 0], np.int32),
        paths=np.array([0, 0], np.uint8),
    )
    found = np.full((1, 64), 255, np.uint8)
    least, exact = 64 * 255**2 - most, 64 * (255 + 1023) ** 2 + most
    assert reference.scores(router, found).tolist() == [[least, exact]]
    assert exact - least < exact + most < (1 << 31) - 1 and reference.decide(
        router, found
    ).tolist() == [2]
    pack_router_blob(router)


def test_edges_are_repeated_to_whole_cells():
    router, lr = random_router(DEFAULT, 3), noise(13, 29, 4)
    whole = np.pad(lr, ((0, 11), (0, 7), (0, 0)), "edge")
    assert np.array_equal(reference.route(router, lr), reference.route(router, whole))
    assert reference.route(router, lr).shape == (math.ceil(13 / 12), math.ceil(29 / 12))


def test_a_cell_sees_itself_and_a_quarter_pixel_around():
    router, lr = random_router(DEFAULT, 3), noise(36, 36, 4)
    middle = reference.attended(router, lr)[1, 1]
    for margin, is_same in ((8, True), (9, False)):
        outside = np.ones((36, 36, 1), bool)
        outside[margin : 36 - margin, margin : 36 - margin] = False
        found = reference.attended(router, np.where(outside, 255 - lr, lr))[1, 1]
        assert np.array_equal(found, middle) == is_same


def golden_router(sizes):
    """Of the numbers of the self-test's generator alone, in the order of the blob."""
    counts = [int(np.prod(shape)) for shape in sizes.shapes.values()]
    numbers = (self_test_stream(sum(counts) + sizes.classes * sizes.widths[2]) >> 24).astype(int)
    *weights, centres = np.split(numbers, np.cumsum(counts))
    layers = {}
    for (name, shape), values in zip(sizes.shapes.items(), weights, strict=True):
        outputs, inputs = shape[0], int(np.prod(shape[1:]))
        weight = np.maximum(values - 128, -127).astype(np.int8).reshape(shape)
        bias = np.arange(outputs, dtype=np.int32) * 500
        multiplier = np.full(outputs, 1 / (40 * np.sqrt(inputs)), np.float32)
        layers[name] = (weight, bias, multiplier)
    zeros = np.zeros(sizes.classes, np.int32)
    centres = centres.reshape(sizes.classes, -1).astype(np.int16)
    paths = (np.arange(sizes.classes) % 3).astype(np.uint8)
    return RouterBlob(sizes, layers, centres, zeros, zeros, paths)


def test_the_numbers_are_those_of_version_1():
    """Checksums over features and paths of seeded routers; another value is another format."""
    found = [reference.self_test_crc(golden_router(sizes)) for sizes in SIZES]
    assert found == [1358352958, 853532853, 3102185142, 1273183323]


def test_the_default_router_is_small():
    assert len(router_blob()) == 12787
