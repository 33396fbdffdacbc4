"""int8 blobs in C: what the kernels cannot compute exactly is refused, with the right code."""

import struct
from collections.abc import Callable

import numpy as np
import pytest

from player.package.weights import INT8, pack_weights
from tests.compiler.int8_cases import ARCHITECTURES, blob, tensors
from tests.compiler.opening import ARCH, LIMIT, OK, SELFTEST, opened_code, patched

CHAIN = ARCHITECTURES[3]  # x2, width 4, one exit
PAYLOAD_AT = 12 + 2 * (1 + 1) + 4
FIRST_BIAS = PAYLOAD_AT + 4 * 3 * 9
FIRST_MULTIPLIER = FIRST_BIAS + 4 * 4


@pytest.fixture(scope="module")
def open_code(int8_engine) -> Callable[[bytes], int]:
    return lambda data: opened_code(int8_engine, data)


@pytest.fixture(scope="module")
def untested() -> bytes:
    """A blob without self-test, so that its numbers may be changed."""
    return pack_weights(CHAIN, tensors(CHAIN, "typical"), INT8)


def test_every_blob_opens(open_code):
    kinds = ("typical", "extreme", "least", "saturated")
    assert {open_code(blob(arch, kind)) for arch in ARCHITECTURES for kind in kinds} == {OK}


def test_the_places_are_what_this_page_thinks(untested):
    made = tensors(CHAIN, "typical")
    bias = np.frombuffer(untested, "<i4", 4, FIRST_BIAS)
    multiplier = np.frombuffer(untested, "<f4", 4, FIRST_MULTIPLIER)
    assert np.array_equal(bias, made["trunk.0.bias"])
    assert np.array_equal(multiplier, made["trunk.0.multiplier"])


@pytest.mark.parametrize("at", [PAYLOAD_AT, PAYLOAD_AT + 57, FIRST_BIAS - 1])
def test_a_weight_of_minus_128_is_refused(open_code, untested, at):
    assert open_code(patched(untested, at, b"\x81")) == OK
    assert open_code(patched(untested, at, b"\x80")) == LIMIT


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("output", range(4))
def test_sums_that_reach_2_to_the_24th_are_refused(open_code, untested, output, sign):
    weight = tensors(CHAIN, "typical")["trunk.0.weight"][output].astype(int)
    room = (1 << 24) - 1 - 255 * np.abs(weight).sum()
    at = FIRST_BIAS + 4 * output
    assert open_code(patched(untested, at, struct.pack("<i", sign * room))) == OK
    assert open_code(patched(untested, at, struct.pack("<i", sign * (room + 1)))) == LIMIT


@pytest.mark.parametrize("bias", [-(2**31), 2**31 - 1])
def test_the_largest_biases_are_refused(open_code, untested, bias):
    assert open_code(patched(untested, FIRST_BIAS, struct.pack("<i", bias))) == LIMIT


LEAST, MOST = 2.0**-40, float(np.nextafter(np.float32(64), np.float32(0)))
BELOW = float(np.nextafter(np.float32(LEAST), np.float32(0)))


@pytest.mark.parametrize("number", [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, -1.0, BELOW, 64.0])
@pytest.mark.parametrize("output", [0, 3])
def test_multipliers_out_of_range_are_refused(open_code, untested, output, number):
    at = FIRST_MULTIPLIER + 4 * output
    assert open_code(patched(untested, at, np.float32(number).tobytes())) == LIMIT


@pytest.mark.parametrize("number", [LEAST, 1.0, MOST])
def test_multipliers_in_range_are_not(open_code, untested, number):
    at = FIRST_MULTIPLIER
    assert open_code(patched(untested, at, np.float32(number).tobytes())) == OK


@pytest.mark.parametrize("path_from_end", [1, 2])
@pytest.mark.parametrize("by", [1, -1])
def test_the_self_test_is_exact(open_code, by, path_from_end):
    """A single sample that is off by one code value, on either path, is seen."""
    data = blob(ARCHITECTURES[0], "typical")
    row = len(data) - 4 - 65 * path_from_end + 1
    samples = np.frombuffer(data, np.uint8, 64, row)
    sample = int(np.flatnonzero((samples > 0) & (samples < 255))[-1])
    wrong = bytes([int(samples[sample]) + by])
    assert open_code(patched(data, row + sample, wrong)) == SELFTEST


def test_other_weights_fail_the_self_test(open_code):
    """Those of the exit, 12 x 4, as zeros: the residual is its bias alone."""
    data, exit_at = blob(CHAIN, "typical"), FIRST_MULTIPLIER + 4 * 4
    assert open_code(patched(data, exit_at, bytes(12 * 4))) == SELFTEST


def test_every_version_runs_the_self_test(int8_engine, int8_isas, open_code):
    data = blob(CHAIN, "typical")
    wrong = patched(data, len(data) - 5, bytes([data[-5] ^ 1]))
    for isa in int8_isas:
        int8_engine.select_isa(isa)
        assert (open_code(data), open_code(wrong)) == (OK, SELFTEST), isa


def test_floats_are_for_another_engine(open_code, engine, pairs):
    for pair in pairs.values():
        assert open_code(pair.blob) == ARCH
    for arch in ARCHITECTURES:
        assert opened_code(engine, blob(arch, "typical")) == ARCH


def test_every_flipped_bit_is_seen(open_code, untested):
    for at in range(0, len(untested), 3):
        damaged = bytearray(untested)
        damaged[at] ^= 1 << at % 8
        assert open_code(bytes(damaged)) != OK
