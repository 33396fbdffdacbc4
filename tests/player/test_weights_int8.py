"""Weights blobs of integers: they come back, and nothing that breaks a bound gets through."""

import struct
import zlib

import numpy as np
import pytest

from player.package.architecture import Architecture, convolutions
from player.package.integers import (
    LEAST_MULTIPLIER,
    SUM_LIMIT,
    bias_units,
    grid_multiplier,
    largest_sums,
)
from player.package.package_error import PackageError
from player.package.paths import HARD
from player.package.weights import INT8, pack_weights, unpack_weights

CHAIN = Architecture("chain", 2, (4, 8), (1, 2))
ESPCN = Architecture("espcn", 3, (8, 4), (2,))
PAYLOAD_AT = 12 + 2 * (2 + 2) + 4  # of CHAIN


def integers(arch: Architecture, seed: int = 0) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    tensors: dict[str, np.ndarray] = {}
    for name, shape in convolutions(arch):
        tensors[f"{name}.weight"] = draw.integers(-127, 128, shape).astype(np.int8)
        tensors[f"{name}.bias"] = draw.integers(-(10**5), 10**5, shape[0]).astype(np.int32)
        tensors[f"{name}.multiplier"] = draw.uniform(1e-4, 1, shape[0]).astype(np.float32)
    return tensors


def resealed(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


@pytest.mark.parametrize("arch", [CHAIN, ESPCN])
def test_integers_come_back_as_they_were(arch):
    tensors = integers(arch)
    rows = {path: np.arange(64, dtype=np.uint8) for path in arch.paths}
    blob = unpack_weights(pack_weights(arch, tensors, INT8, rows))
    assert (blob.arch, blob.dtype) == (arch, INT8)
    assert blob.tensors.keys() == tensors.keys()
    for name, value in tensors.items():
        assert blob.tensors[name].dtype == value.dtype
        assert np.array_equal(blob.tensors[name], value), name
    assert np.array_equal(blob.self_test[HARD], rows[HARD])


def test_the_bytes_lie_as_the_page_says():
    """Weight, bias, multiplier of one convolution after the other, with nothing between."""
    tensors = integers(CHAIN)
    data = pack_weights(CHAIN, tensors, INT8)
    assert data[8] == INT8
    at = PAYLOAD_AT
    for name in ("trunk.0", "trunk.1", "exits.0", "exits.1"):
        for kind, dtype in (("weight", "i1"), ("bias", "<i4"), ("multiplier", "<f4")):
            wanted = tensors[f"{name}.{kind}"]
            found = np.frombuffer(data, dtype, wanted.size, at)
            assert np.array_equal(found, wanted.ravel()), name
            at += found.nbytes
    assert len(data) == at + 4
    assert struct.unpack_from("<I", data, PAYLOAD_AT - 4)[0] == at - PAYLOAD_AT


def test_the_largest_sum_is_what_the_worst_pixels_give():
    draw = np.random.default_rng(5)
    weight = draw.integers(-127, 128, (6, 8, 3, 3)).astype(np.int8)
    bias = draw.integers(-1000, 1000, 6).astype(np.int32)
    worst = [
        max(abs(int(b) + 255 * int(w[w > 0].sum())), abs(int(b) + 255 * int(w[w < 0].sum())))
        for w, b in zip(weight.astype(int), bias, strict=True)
    ]
    assert (np.array(worst) <= largest_sums(weight, bias)).all()
    same_sign = np.abs(weight), np.abs(bias)
    reached = 255 * same_sign[0].astype(int).sum(axis=(1, 2, 3)) + same_sign[1]
    assert np.array_equal(reached, largest_sums(*same_sign))


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_bound_is_exact(sign):
    tensors = integers(CHAIN)
    room = SUM_LIMIT - int(largest_sums(tensors["trunk.1.weight"], np.zeros(8, np.int32))[3])
    tensors["trunk.1.bias"][3] = sign * (room - 1)
    pack_weights(CHAIN, tensors, INT8)
    tensors["trunk.1.bias"][3] = sign * room
    with pytest.raises(PackageError, match=r"trunk\.1, output 3: sums reach 16777216"):
        pack_weights(CHAIN, tensors, INT8)


@pytest.mark.parametrize("value", [2.0**-41, 64.0, np.inf, np.nan, 0.0, -1.0])
def test_multipliers_outside_their_range_are_refused(value):
    tensors = integers(CHAIN)
    tensors["exits.0.multiplier"][1] = value
    with pytest.raises(PackageError, match=r"exits\.0, output 1: multiplier"):
        pack_weights(CHAIN, tensors, INT8)


def test_multipliers_at_their_ends_are_taken():
    tensors = integers(CHAIN)
    tensors["exits.0.multiplier"][:2] = 2.0**-40, np.nextafter(np.float32(64), np.float32(0))
    pack_weights(CHAIN, tensors, INT8)


def test_minus_128_is_refused():
    tensors = integers(CHAIN)
    tensors["trunk.0.weight"][0, 0, 0, 0] = -128
    with pytest.raises(PackageError, match=r"trunk\.0 holds -128"):
        pack_weights(CHAIN, tensors, INT8)


def test_tensors_of_another_type_or_missing_are_refused():
    tensors = integers(CHAIN)
    wide = {**tensors, "trunk.0.weight": tensors["trunk.0.weight"].astype(np.int16)}
    with pytest.raises(PackageError, match=r"trunk\.0 is of int16"):
        pack_weights(CHAIN, wide, INT8)
    del tensors["exits.1.multiplier"]
    with pytest.raises(PackageError, match=r"exits\.1\.multiplier .* missing"):
        pack_weights(CHAIN, tensors, INT8)


def test_wdsr_is_refused_with_the_reason():
    arch = Architecture("wdsr", 2, (16, 64, 4), (4,))
    with pytest.raises(PackageError, match=r"wdsr has no int8 form.*f16"):
        pack_weights(arch, {}, INT8)


@pytest.mark.parametrize(
    ("offset", "data", "message"),
    [
        (0, b"\x80", "holds -128"),
        (4 * 3 * 9, struct.pack("<i", 1 << 24), "sums reach"),
        (4 * 3 * 9, struct.pack("<i", -(2**31)), "sums reach"),
        (4 * 3 * 9 + 16, struct.pack("<f", 64), "multiplier"),
        (4 * 3 * 9 + 16, struct.pack("<I", 0x7FC00000), "multiplier"),
    ],
)
def test_a_blob_that_breaks_a_bound_is_refused(offset, data, message):
    """With its checksum right: damage is not the only danger."""
    body = bytearray(pack_weights(CHAIN, integers(CHAIN), INT8)[:-4])
    body[PAYLOAD_AT + offset : PAYLOAD_AT + offset + len(data)] = data
    with pytest.raises(PackageError, match=message):
        unpack_weights(resealed(bytes(body)))


def test_a_blob_that_says_wdsr_is_int8_is_refused():
    arch = Architecture("wdsr", 2, (4, 4, 1), (1,))
    from player.package.architecture import tensor_layout

    floats = {s.name: np.zeros(s.shape, np.float32) for s in tensor_layout(arch)}
    body = bytearray(pack_weights(arch, floats)[:-4])
    body[8] = INT8
    with pytest.raises(PackageError, match="wdsr has no int8 form"):
        unpack_weights(resealed(bytes(body)))


def test_every_byte_of_damage_and_every_length_is_refused():
    blob = pack_weights(CHAIN, integers(CHAIN), INT8)
    for at in range(0, len(blob), 7):
        damaged = bytearray(blob)
        damaged[at] ^= 0x41
        with pytest.raises(PackageError):
            unpack_weights(bytes(damaged))
    for length in range(0, len(blob), 11):
        with pytest.raises(PackageError):
            unpack_weights(blob[:length])
        with pytest.raises(PackageError):
            unpack_weights(resealed(blob[:length]))


def test_random_bytes_under_a_right_checksum_never_crash():
    """Either refused with the one error, or a blob within every bound."""
    blob = pack_weights(CHAIN, integers(CHAIN), INT8)
    draw = np.random.default_rng(8)
    for _ in range(300):
        body = bytearray(blob[:-4])
        for at in draw.integers(0, len(body), 3):
            body[at] = draw.integers(256)
        try:
            parsed = unpack_weights(resealed(bytes(body)))
        except PackageError:
            continue
        if parsed.dtype == INT8:
            for name, _ in convolutions(parsed.arch):
                sums = largest_sums(
                    parsed.tensors[f"{name}.weight"], parsed.tensors[f"{name}.bias"]
                )
                assert (sums < SUM_LIMIT).all()


def test_the_grid_has_eight_multipliers_an_octave():
    """Each value goes to the nearest of them, and those of the grid stay where they are."""
    octaves = 2.0 ** np.arange(-40, 6)
    grid = np.outer(octaves, np.arange(8, 16) / 8).ravel()
    assert np.array_equal(grid_multiplier(grid), grid)
    values = 2 ** np.random.default_rng(1).uniform(-40, 5.8, 500)
    distances = np.abs(values[:, None] - grid)
    assert np.array_equal(grid_multiplier(values), grid[distances.argmin(axis=1)])
    assert grid_multiplier(np.array([0.0, 1e30])).tolist() == [LEAST_MULTIPLIER, 60]


def test_a_unit_of_biases_is_worth_the_precision_in_outputs():
    multiplier = np.float32([2.0**-40, 0.001, 0.9, 1.0, 1.99, 60])
    assert bias_units(multiplier, -2).tolist() == [1 << 31, 256, 1, 1, 1, 1]
    worth = bias_units(multiplier, 3) * multiplier
    assert np.array_equal((worth[1:5] >= 8) & (worth[1:5] < 16), [True] * 4)
