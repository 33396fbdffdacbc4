"""The C parser of weights blobs: whatever the bytes are, the right code and never a crash."""

import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.compiler.opening import (
    ARCH,
    CRC,
    FORMAT,
    LIMIT,
    OK,
    SELFTEST,
    opened_code,
    patched,
    sealed,
)

F32 = 1


@pytest.fixture(scope="module")
def blob(pairs, tiny_arch) -> bytes:
    return pairs[tiny_arch].blob


@pytest.fixture(scope="module")
def open_code(engine) -> Callable[[bytes], int]:
    return lambda data: opened_code(engine, data)


def test_the_whole_blob_opens(open_code, pairs):
    assert {open_code(pair.blob) for pair in pairs.values()} == {OK}


def test_every_flipped_bit_is_seen(open_code, blob):
    for at in range(0, len(blob), 7):
        damaged = bytearray(blob)
        damaged[at] ^= 1 << at % 8
        assert open_code(bytes(damaged)) in (FORMAT, CRC)


def test_every_truncation_is_seen(open_code, blob):
    for length in (*range(64), *range(64, len(blob), 97), len(blob) - 1):
        assert open_code(blob[:length]) in (FORMAT, CRC)


@pytest.mark.parametrize(
    ("at", "value", "code"),
    [
        (0, b"X", FORMAT),  # magic
        (4, b"\x00", FORMAT),  # version
        (4, b"\x03", FORMAT),
        (5, b"\x00", ARCH),
        (5, b"\x04", ARCH),
        (5, b"\x02", FORMAT),  # espcn: another length
        (6, b"\x03", FORMAT),  # another scale: another length
        (6, b"\x05", ARCH),
        (6, b"\x01", LIMIT),
        (7, b"\x04", LIMIT),  # planes
        (8, b"\x00", FORMAT),  # dtype
        (8, b"\x05", FORMAT),
        (8, b"\x03", ARCH),  # int8, for another engine
        (8, b"\x04", ARCH),  # and its sparse form
        (9, b"\x00", ARCH),
        (9, b"\x0d", ARCH),  # a depth of 13
        (10, b"\x00", ARCH),
        (10, b"\x05", ARCH),
        (11, b"\x05", LIMIT),
        (11, b"\x03", FORMAT),
        (11, b"\x00", FORMAT),  # a row too many behind the payload
        (12, struct.pack("<H", 12), FORMAT),  # another width: another length
        (12, struct.pack("<H", 18), ARCH),
        (12, struct.pack("<H", 260), ARCH),
        (14, struct.pack("<H", 2), ARCH),  # an exit beyond the depth
        (16, struct.pack("<I", 0xFFFFFFFF), FORMAT),  # payload bytes
    ],
)
def test_sealed_but_wrong_headers(open_code, blob, at, value, code):
    assert open_code(patched(blob, at, value)) == code


def test_bytes_too_many_are_refused(open_code, blob):
    assert open_code(sealed(blob[:-4] + b"\x00")) == FORMAT
    assert open_code(sealed(blob[:-4] + bytes(5 << 20))) == LIMIT


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [20, -4 - 65 - 4])  # the first weight, the last bias
def test_numbers_that_are_not_finite_are_refused(open_code, blob, number, at):
    at = at % len(blob)
    assert open_code(patched(blob, at, np.float32(number).tobytes())) == FORMAT


def test_a_wrong_result_fails_the_self_test(open_code, blob):
    sample = len(blob) - 4 - 10
    wrong = bytes([(blob[sample] + 100) % 256])
    assert open_code(patched(blob, sample, wrong)) == SELFTEST


def test_a_self_test_of_another_path_is_refused(open_code, blob):
    assert open_code(patched(blob, len(blob) - 4 - 65, b"\x01")) == FORMAT


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=200))
def test_noise_is_refused(open_code, body):
    assert open_code(sealed(b"PSRW\x01" + body)) in (FORMAT, ARCH, LIMIT)
    assert open_code(body) in (FORMAT, CRC)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_sealed_damage_never_crashes(open_code, blob, data):
    """Damage with a right checksum: the parser and the self-test have to find it, or bear it."""
    at = data.draw(st.integers(0, len(blob) - 5))
    value = data.draw(st.binary(min_size=1, max_size=4))
    open_code(patched(blob, at, value[: len(blob) - 4 - at]))
