"""Weights blobs of the whole family: they come back, older headers stay, the rest is refused."""

import struct
import zlib
from fractions import Fraction

import numpy as np
import pytest

from player.package.architecture import Architecture, convolutions, tensor_layout
from player.package.generic import GENERIC_SCALES, blob_path
from player.package.package_error import PackageError
from player.package.self_test import self_test_input
from player.package.weights import FLOAT16, FLOAT32, INT8, INT8_SPARSE, pack_weights, unpack_weights
from tests.player.random_architecture import SHAPES, random_architecture
from tests.player.sparse_blobs import integers

HALF_MORE = Fraction(3, 2)
HEADER = struct.Struct("<4s8B")
SEEDS = range(0, 130)


def floats(arch: Architecture, seed: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    # What a half holds as it is.
    return {s.name: draw.integers(-99, 99, s.shape).astype(np.float32) for s in tensor_layout(arch)}


def test_the_seeds_reach_every_scale_with_every_unit_depth_and_number_of_exits():
    archs = [random_architecture(seed) for seed in SEEDS]
    assert {(a.scale, a.units) for a in archs} == set(SHAPES)
    assert len(SHAPES) == 4 * 3 + 1  # of 3/2 units of 2 alone make whole pixels
    assert {len(a.widths) for a in archs} == set(range(1, 13))
    assert {len(a.exits) for a in archs} == {1, 2, 3, 4}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_blob_of_any_network_comes_back(seed):
    arch = random_architecture(seed, widest=24)
    rows = {path: np.full(64, path, np.uint8) for path in arch.paths}
    for dtype in (FLOAT32, FLOAT16, INT8, INT8_SPARSE):
        is_int8 = dtype in (INT8, INT8_SPARSE)
        tensors = integers(arch, 0.5, seed) if is_int8 else floats(arch, seed)
        data = pack_weights(arch, tensors, dtype, rows)
        blob = unpack_weights(data)
        assert (blob.arch, blob.dtype) == (arch, dtype)
        assert type(blob.arch.scale) is type(arch.scale)
        assert blob.tensors.keys() == tensors.keys()
        assert all(np.array_equal(blob.tensors[name], tensors[name]) for name in tensors)
        assert all(np.array_equal(blob.self_test[path], rows[path]) for path in arch.paths)
        assert pack_weights(blob.arch, blob.tensors, dtype, blob.self_test) == data


@pytest.mark.parametrize("seed", range(30))
def test_the_first_layer_sees_units_and_the_exits_make_their_hr_pixels(seed):
    arch = random_architecture(seed)
    shapes = dict(convolutions(arch))
    assert shapes["trunk.0"][1] == 3 * arch.units**2
    side = Fraction(arch.scale) * arch.units
    assert shapes["exits.0"][0] == 3 * side**2
    for path in arch.paths:
        patch, places = self_test_input(arch, path)
        inner = len(patch) - 2 * arch.halo_px(path)
        assert len(patch) % arch.units == 0 and inner % arch.units == 0 and inner >= 8
        assert arch.halo_px(path) % arch.units == 0
        assert places.min() >= 0 and places.max() < (inner * arch.scale) ** 2 * 3


@pytest.mark.parametrize(
    ("arch", "header"),
    [
        (Architecture("chain", 4, (32,) * 6, (2, 6)), (1, 1, 4, 3, FLOAT16, 6, 2, 0)),
        (Architecture("chain", 2, (8,), (1,)), (1, 1, 2, 3, FLOAT16, 1, 1, 0)),
        (Architecture("espcn", 3, (8, 4), (2,)), (1, 2, 3, 3, FLOAT16, 2, 1, 0)),
        (Architecture("wdsr", 2, (4, 8, 1), (1,)), (1, 3, 2, 3, FLOAT16, 3, 1, 0)),
        (Architecture("chain", 4, (8,) * 3, (1, 2, 3)), (2, 1, 0x41, 1, FLOAT16, 3, 3, 0)),
        (Architecture("chain", 2, (8,), (1,), 2), (2, 1, 0x21, 2, FLOAT16, 1, 1, 0)),
        (Architecture("chain", 1, (8,), (1,)), (2, 1, 0x11, 1, FLOAT16, 1, 1, 0)),
        (Architecture("chain", HALF_MORE, (8,), (1,), 2), (2, 1, 0x32, 2, FLOAT16, 1, 1, 0)),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, tuple) else "",
)
def test_the_header_is_version_1_wherever_an_older_engine_can_compute_the_network(arch, header):
    data = pack_weights(arch, floats(arch, 1))
    assert HEADER.unpack_from(data) == (b"PSRW", *header)
    numbers = (*arch.widths, *arch.exits)
    assert struct.unpack_from(f"<{len(numbers)}H", data, 12) == numbers


@pytest.mark.parametrize("scale", GENERIC_SCALES)
@pytest.mark.parametrize("dtype", ["int8", "fp32"])
def test_blobs_that_are_out_there_open_and_are_written_the_same_again(scale, dtype):
    data = blob_path(scale, dtype).read_bytes()
    stored = {"int8": INT8, "fp32": FLOAT16}[dtype]
    assert data[:12] == b"PSRW" + bytes([1, 1, scale, 3, stored, 6, 2, 2])
    blob = unpack_weights(data)
    assert pack_weights(blob.arch, blob.tensors, blob.dtype, blob.self_test) == data


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"units": 0}, r"units of 0 px is not of .* on 1\.\.3"),
        ({"units": 4}, r"units of 4 px is not of .* on 1\.\.3"),
        ({"scale": Fraction(5, 3)}, "scale 5/3 on units of 1 px is not of 1, 1.5, 2, 3, 4"),
        ({"scale": 5}, "scale 5 on units"),
        ({"scale": HALF_MORE}, "scale 1.5 makes no whole pixels of units of 1 px; use units of 2"),
        ({"scale": HALF_MORE, "units": 3}, "no whole pixels of units of 3 px"),
        ({"widths": (8,) * 13, "exits": (13,)}, r"depth 13 is not in 1\.\.12"),
        ({"widths": (), "exits": (0,)}, r"depth 0 is not in 1\.\.12"),
        ({"widths": (8, 5)}, r"widths \(8, 5\) are not multiples of 4"),
        ({"widths": (8, 0)}, "not multiples of 4"),
        ({"widths": (8, 260)}, r"in 4\.\.256"),
        ({"widths": (8,) * 5, "exits": (1, 2, 3, 4, 5)}, "exits .* are not rising depths"),
        ({"exits": (2, 1)}, "not rising depths"),
        ({"exits": (1,)}, "the last exit is not the depth 2"),
        ({"name": "espcn", "units": 2}, "espcn: only scales 2, 3, 4 on single pixels"),
        ({"name": "espcn", "scale": 1}, "espcn: only scales 2, 3, 4 on single pixels"),
    ],
)
def test_a_network_outside_the_family_is_refused(changes, reason):
    with pytest.raises(PackageError, match=reason):
        Architecture(**{"name": "chain", "scale": 2, "widths": (8, 8), "exits": (2,), **changes})


WHOLE = Architecture("chain", 2, (8, 8), (2,), 2)
FIRST = Architecture("chain", 2, (8, 8), (2,))
VERSION, SCALE, UNITS, WIDTHS, EXITS = 4, 6, 7, 9, 10


@pytest.mark.parametrize(
    ("arch", "at", "value", "reason"),
    [
        (WHOLE, UNITS, 0, "units of 0 px"),
        (WHOLE, UNITS, 4, "units of 4 px"),
        (WHOLE, UNITS, 255, "units of 255 px"),
        (WHOLE, SCALE, 0x53, "scale 5/3 is not 1, 1.5, 2, 3 or 4"),
        (WHOLE, SCALE, 0x42, "not a fraction in lowest terms"),
        (WHOLE, SCALE, 0x20, "not a fraction in lowest terms"),
        (WHOLE, SCALE, 0x01, "scale 0 is not"),
        (WHOLE, SCALE, 0x02, "not a fraction in lowest terms"),
        (WHOLE, VERSION, 4, "version 1, 2 or 3; update the player"),
        (WHOLE, VERSION, 0, "version 1, 2 or 3; update the player"),
        (WHOLE, WIDTHS, 13, r"depth 13 is not in 1\.\.12"),
        (WHOLE, EXITS, 5, r"exits 5 is not in 1\.\.4"),
        (FIRST, SCALE, 1, "scale 1 with 3 planes is not of version 1"),
        (FIRST, UNITS, 12, "scale 2 with 12 planes is not of version 1"),
        (FIRST, UNITS, 4, "scale 2 with 4 planes is not of version 1"),
        (FIRST, VERSION, 2, "not a fraction in lowest terms"),
    ],
)
def test_a_header_that_no_network_has_is_refused_with_its_checksum_right(arch, at, value, reason):
    body = bytearray(pack_weights(arch, floats(arch, 1))[:-4])
    body[at] = value
    with pytest.raises(PackageError, match=reason):
        unpack_weights(bytes(body) + struct.pack("<I", zlib.crc32(body)))


def test_widths_in_a_header_are_checked_before_the_payload():
    body = bytearray(pack_weights(WHOLE, floats(WHOLE, 1))[:-4])
    struct.pack_into("<H", body, 12, 6)
    with pytest.raises(PackageError, match="not multiples of 4"):
        unpack_weights(bytes(body) + struct.pack("<I", zlib.crc32(body)))
