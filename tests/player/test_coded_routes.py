"""Coded route maps: shorter, exact, one form each, read in bounded time and memory."""

import struct
import time
import zlib
from binascii import crc_hqx
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.package import coded_routes
from player.package.package_error import PackageError
from player.package.paths import EASY, HARD, MIDDLE, UPPER, merge_coarse, route_codes
from player.package.range_coder import Decoder
from player.package.route_maps import pack_routes, route_bits, unpack_routes
from tests.player.route_code import route_code

PATHS = np.array([0, EASY, HARD, MIDDLE, UPPER])


def film(
    shape: tuple[int, int, int], paths: int = 2, change: float = 0.05, hold: int = 4, seed: int = 0
) -> np.ndarray:
    """Codes of rectangles that come and go, each frame held; some cells change by themselves."""
    draw = np.random.default_rng(seed)
    codes, now = [], draw.integers(0, paths, shape[1:])
    now[:] = 0
    for t in range(shape[0]):
        if t % hold == 0:
            y, x = draw.integers(0, shape[1]), draw.integers(0, shape[2])
            now[y : y + 5, x : x + 9] = draw.integers(0, paths)
            noise = draw.random(shape[1:]) < change
            now = np.where(noise, draw.integers(0, paths, shape[1:]), now)
        codes.append(now)
    return merge_coarse(route_codes(PATHS[np.stack(codes)], networks=3))


def deflated(codes: np.ndarray) -> bytes:
    delta = codes.copy()
    delta[1:] ^= codes[:-1]
    return zlib.compress(delta.tobytes(), 9)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 13), st.integers(1, 13)),
    paths=st.integers(1, 5),
    change=st.sampled_from([0.0, 0.1, 1.0]),
    hold=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_a_map_comes_back_as_it_was(shape, paths, change, hold, seed):
    codes = film(shape, paths, change, hold, seed)
    blob = pack_routes(codes)
    assert np.array_equal(unpack_routes(blob), codes)
    assert route_bits(codes) == 8 * len(blob)


def test_the_layout_is_the_documented_one():
    codes = film((8, 6, 7))
    blob = pack_routes(codes)
    assert blob[:11] == b"PSRR\x04" + struct.pack("<HHH", 8, 6, 7)
    assert blob[11:13] == struct.pack("<H", crc_hqx(blob[:11] + blob[13:], 0))
    assert blob[13:16] == bytes([2, route_code(3, 0), route_code(3, EASY)])
    decoder = Decoder(blob[16:], coded_routes.SYMBOL_CONTEXTS)
    symbols = coded_routes.code_symbols(decoder, np.zeros((8, 6, 7), np.uint8), 2)
    decoder.finish()
    assert np.array_equal(symbols, codes & 0x7F == route_code(3, EASY))


def test_no_byte_of_a_small_map_can_be_another():
    """Without the sum this one became a map of code 1 by one flipped bit."""
    blob = pack_routes(np.full((1, 1, 1), 128, np.uint8))
    assert blob[4] == 4
    for place, flip in product(range(11, len(blob)), range(1, 256)):
        damaged = bytearray(blob)
        damaged[place] ^= flip
        with pytest.raises(PackageError):
            unpack_routes(bytes(damaged))


def test_a_map_from_before_the_sum_is_read_as_ever():
    codes = film((8, 6, 7))
    blob = pack_routes(codes)
    assert np.array_equal(unpack_routes(b"PSRR\x03" + blob[5:11] + blob[13:]), codes)


def test_the_form_stays_as_it_is():
    blob = pack_routes(film((24, 20, 31), 3, 0.02))
    assert (len(blob), zlib.crc32(blob)) == (121, 3779665131)


@pytest.mark.parametrize(("paths", "change"), [(2, 0.0), (2, 0.02), (3, 0.02), (4, 0.2)])
def test_it_takes_clearly_fewer_bytes_than_deflate(paths, change):
    codes = film((60, 30, 54), paths, change)
    assert len(pack_routes(codes)) < 0.6 * len(deflated(codes))


def test_a_frame_that_repeats_costs_next_to_nothing():
    still = np.repeat(film((1, 30, 54), 3), 240, axis=0)
    assert route_bits(still) - route_bits(still[:1]) <= 0.15 * 239


def test_marks_that_do_not_follow_from_the_cells_are_kept_by_the_other_form():
    codes = film((8, 6, 8))
    codes[3, 2, 2] ^= 0x80
    blob = pack_routes(codes)
    assert blob[4] == 1 and np.array_equal(unpack_routes(blob), codes)


def test_a_map_that_would_take_long_is_deflated():
    noise = film((30, 60, 107), 2, 1.0, hold=1)
    assert pack_routes(noise)[4] == 1


def test_a_segment_is_read_in_a_fraction_of_its_time():
    """The slowest map that is coded: bounded by its steps, here 0.1 to 0.3 s."""
    codes = film((30 * 4, 60, 107), 2, 0.01)
    blob = pack_routes(codes)
    assert blob[4] == 4
    started = time.process_time()
    unpack_routes(blob)
    assert time.process_time() - started < 1.5


def hostile(shape: tuple[int, int, int], listed: bytes, cells: bytes) -> bytes:
    return summed(struct.pack("<HHH", *shape), bytes([len(listed)]) + listed + cells)


def summed(shape: bytes, body: bytes) -> bytes:
    header = b"PSRR\x04" + shape
    return header + struct.pack("<H", crc_hqx(header + body, 0)) + body


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (hostile((1, 1, 1), b"", b"x"), "list of codes"),
        (hostile((1, 1, 1), bytes(range(9)), b"x"), "list of codes"),
        (hostile((1, 1, 1), b"\2\1", b"x"), "list of codes"),
        (hostile((1, 1, 1), b"\1\1", b"x"), "list of codes"),
        (hostile((1, 1, 1), b"\x81", b"x"), "list of codes"),
        (summed(struct.pack("<HHH", 1, 1, 1), b"\2"), "list of codes"),
        (hostile((1, 1, 1), b"\0\1", b"x")[:-1], "its sum is wrong"),
        (hostile((1, 1, 1), b"\0\1", b"x")[:12], "its sum is wrong"),
        (hostile((1, 1, 1), b"\x43", b"\0"), "path that does not exist"),
        (hostile((1, 2, 2), b"\0\1", b"\xff" * 9), "damaged"),
        (hostile((1, 2, 2), b"\0\1", b""), "damaged"),
        (hostile((1, 2, 2), b"\0\1", bytes(1)), "no cell has"),
        (hostile((60000, 30, 30), b"\0\1", bytes(9)), "outside the limits"),
        (hostile((1, 2048, 2048), b"\0\1", bytes(9)), "steps"),
    ],
)
def test_what_is_wrong_is_refused(blob, message):
    with pytest.raises(PackageError, match=message):
        unpack_routes(blob)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damage_is_refused_or_is_the_one_form_of_another_map(data):
    blob = bytearray(pack_routes(film((12, 9, 10), 3, 0.05)))
    for _ in range(data.draw(st.integers(1, 2))):
        blob[data.draw(st.integers(11, len(blob) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del blob[data.draw(st.integers(11, len(blob) - 1)) :]
    try:
        codes = unpack_routes(bytes(blob))
    except PackageError:
        return
    # Where deflate takes fewer bytes, such a map would have been deflated.
    assert pack_routes(codes) == bytes(blob) or len(pack_routes(codes)) < len(blob)
