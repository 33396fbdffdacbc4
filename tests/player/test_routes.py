"""Route maps: exact round trips, bounded parsing, and patches that cover a frame once."""

import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from player.package.package_error import PackageError
from player.package.paths import HARD, MIDDLE, UPPER, network_of, path_of
from player.package.route_maps import pack_routes, patches_of, unpack_routes
from tests.player.route_code import route_code

CODES = st.builds(route_code, st.integers(0, 15), st.integers(0, 4), st.booleans())
MAPS = st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=CODES)
)


@settings(max_examples=60, deadline=None)
@given(MAPS)
def test_a_map_comes_back_as_it_was(codes):
    np.testing.assert_array_equal(unpack_routes(pack_routes(codes)), codes)


def test_the_layout_is_the_documented_one():
    codes = np.array([[[1, 2]], [[1, 130]]], np.uint8)
    blob = pack_routes(codes)
    assert blob[:11] == b"PSRR\x01" + struct.pack("<HHH", 2, 1, 2)
    assert zlib.decompress(blob[11:]) == bytes([1, 2, 0, 128])


def test_a_code_holds_network_path_and_the_coarse_bit():
    codes = np.array([route_code(9, HARD, coarse=True), route_code(15, UPPER)], np.uint8)
    assert codes.tolist() == [0b1_0_1001_10, 0b0_1_1111_00]
    assert network_of(codes).tolist() == [9, 15]
    assert path_of(codes).tolist() == [HARD, UPPER]


@pytest.mark.parametrize(("path", "version"), [(HARD, 1), (MIDDLE, 2), (UPPER, 2)])
def test_a_deflated_map_says_whether_it_names_the_middle_paths(path, version):
    """Of a mark that does not follow from the cells there is no coded form."""
    blob = pack_routes(
        np.array([[[route_code(15, path), route_code(0, HARD, coarse=True)]]], np.uint8)
    )
    assert blob[4] == version


@settings(max_examples=60, deadline=None)
@given(MAPS.map(lambda m: m[:1]), st.data())
def test_patches_cover_every_pixel_once_with_its_route(codes, data):
    rows, columns = codes.shape[1:]
    fine_h, fine_w = 5, 3
    height = data.draw(st.integers((rows - 1) * fine_h + 1, rows * fine_h))
    width = data.draw(st.integers((columns - 1) * fine_w + 1, columns * fine_w))
    painted = np.full((height, width), -1, np.int64)
    for y, x, h, w, network, path in patches_of(codes[0], fine_h, fine_w, height, width):
        assert (painted[y : y + h, x : x + w] == -1).all()
        painted[y : y + h, x : x + w] = route_code(network, path)
    wanted = np.kron(codes[0] & 0x7F, np.ones((fine_h, fine_w), np.uint8))[:height, :width]
    np.testing.assert_array_equal(painted, wanted)


def test_equal_routes_become_one_rectangle():
    codes = np.array([[1, 1, 2], [129, 129, 2], [1, 2, 2]], np.uint8)
    patches = patches_of(codes, 10, 10, 25, 30).tolist()
    assert patches == [
        [0, 0, 20, 20, 0, 1],
        [0, 20, 20, 10, 0, 2],
        [20, 0, 5, 10, 0, 1],
        [20, 10, 5, 20, 0, 2],
    ]


def _map(cells: bytes, frames=1, rows=2, columns=2, version=1, magic=b"PSRR") -> bytes:
    return struct.pack("<4sBHHH", magic, version, frames, rows, columns) + cells


GOOD = zlib.compress(bytes(4))


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (b"", "outside the limits"),
        (_map(GOOD, magic=b"PSRX"), "not a route map"),
        (_map(GOOD, version=5), "update the player"),
        (_map(GOOD, frames=0), "outside the limits"),
        (_map(GOOD, rows=60000, columns=60000), "outside the limits"),
        (_map(GOOD + b"x"), "length is wrong"),
        (_map(zlib.compress(bytes(5))), "length is wrong"),
        (_map(zlib.compress(bytes(3))), "length is wrong"),
        (_map(GOOD[:-1]), "length is wrong"),
        (_map(b"\xff" * 9), "damaged"),
        (_map(zlib.compress(bytes(1 << 24))), "length is wrong"),
        (_map(zlib.compress(bytes([MIDDLE, 0, 0, 0]))), "path that does not exist"),
        (_map(zlib.compress(bytes([0, 0x40, 0, 0]))), "path that does not exist"),
        (_map(zlib.compress(bytes([0x41, 0, 0, 0])), version=2), "path that does not exist"),
    ],
)
def test_damage_is_refused_with_a_reason(blob, message):
    with pytest.raises(PackageError, match=message):
        unpack_routes(blob)


@settings(max_examples=150, deadline=None)
@given(MAPS, st.data())
def test_a_flipped_byte_never_changes_a_cell_unnoticed(codes, data):
    header_bytes = 11
    blob = bytearray(pack_routes(codes))
    blob[data.draw(st.integers(header_bytes, len(blob) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(PackageError):  # a few bits of a zlib stream mean nothing to the reader
        np.testing.assert_array_equal(unpack_routes(bytes(blob)), codes)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=64))
def test_rubbish_never_gets_past_the_parser(data):
    for blob in (data, b"PSRR\x01" + data):
        try:
            codes = unpack_routes(blob)
        except PackageError:
            continue
        assert codes.dtype == np.uint8 and codes.ndim == 3
