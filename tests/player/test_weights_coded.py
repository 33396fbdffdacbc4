"""Blobs of coded int8 weights: few bytes, one form a network, and nothing else gets through."""

import struct
import zlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.package.architecture import Architecture, convolutions
from player.package.integers import grid_multiplier
from player.package.limits import MAX_CODED_WEIGHTS
from player.package.package_error import PackageError
from player.package.paths import HARD
from player.package.self_test import self_test_input
from player.package.weights import (
    INT8,
    INT8_CODED,
    INT8_SPARSE,
    pack_weights,
    read_header,
    self_test_row,
    unpack_weights,
)
from sr.packing import pack_integers
from sr.quant import reference
from tests.player.coded_blobs import coded_parts, lean_integers, sealed
from tests.player.sparse_blobs import integers
from tests.player.test_weights_sparse import same

CHAIN = Architecture("chain", 2, (8, 12), (1, 2))
SMALL = (
    CHAIN,
    Architecture("chain", Fraction(3, 2), (4, 8, 4), (1, 2, 3), units=2),
    Architecture("espcn", 3, (8, 4), (2,)),
)


@settings(max_examples=60, deadline=None)
@given(
    arch=st.sampled_from(SMALL),
    size=st.one_of(st.sampled_from([0.0, 0.05, 1.0]), st.floats(0, 80)),
    seed=st.integers(0, 2**32),
)
def test_the_integers_come_back(arch, size, seed):
    tensors = lean_integers(arch, size, seed)
    rows = {path: np.arange(4, dtype=np.uint8) for path in arch.paths}
    blob = pack_weights(arch, tensors, INT8_CODED, rows)
    parsed = unpack_weights(blob)
    assert (parsed.arch, parsed.dtype, parsed.is_int8) == (arch, INT8_CODED, True)
    assert same(parsed.tensors, tensors) and same(parsed.self_test, rows)
    assert pack_weights(arch, parsed.tensors, INT8_CODED, parsed.self_test) == blob
    assert read_header(blob).arch == arch


def test_the_bytes_around_the_payload_lie_as_the_page_says():
    arch = SMALL[1]
    blob = pack_weights(
        arch, lean_integers(arch), INT8_CODED, {p: np.zeros(4, np.uint8) for p in arch.paths}
    )
    assert blob[:12] == b"PSRW" + bytes([3, 1, 0x32, 2, 5, 3, 3, 3])
    assert blob[12:18] == bytes([1, 2, 1, 1, 2, 3])  # widths in fours, exits
    assert blob[-19:-4] == bytes([1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0])
    assert blob[-4:] == struct.pack("<I", zlib.crc32(blob[:-4]))


def test_the_form_stays_as_it_is():
    """Of a network that is the same on every machine: other bytes would be another format."""
    arch = Architecture("chain", 2, (8, 8), (2,))
    draw, tensors = 1, {}
    for name, shape in convolutions(arch):
        numbers = []
        for _ in range(int(np.prod(shape))):
            draw = (draw * 1664525 + 1013904223) & 0xFFFFFFFF
            numbers.append((draw >> 24) % 7 // 3 * ((draw >> 16) % 60 - 30) // 8)
        tensors[f"{name}.weight"] = np.array(numbers, np.int8).reshape(shape)
        tensors[f"{name}.bias"] = np.arange(-3, shape[0] - 3, dtype=np.int32) * 96
        tensors[f"{name}.multiplier"] = grid_multiplier(0.01 * 1.1 ** np.arange(shape[0]))
    _, payload = coded_parts(arch, tensors)
    assert (len(payload), zlib.crc32(payload)) == (350, 3155986967)


def test_a_network_of_zeros_takes_next_to_nothing():
    arch = Architecture("chain", 4, (32,) * 6, (2, 6))
    tensors = lean_integers(arch)
    for name in tensors:
        if not name.endswith(".multiplier"):
            tensors[name] = np.zeros_like(tensors[name])
        else:
            tensors[name] = np.full_like(tensors[name], 0.5)
    _, payload = coded_parts(arch, tensors)
    assert len(payload) < 100  # of 50,016 weights


def test_outputs_and_inputs_that_are_not_used_are_seen():
    """By a fifth fewer bytes, biases included, than the weights have by their frequencies."""
    arch = Architecture("chain", 2, (32,) * 5, (5,))
    tensors = lean_integers(arch, 1.0, 1)
    bits = 0.0
    for name, _ in convolutions(arch):
        _, counts = np.unique(tensors[f"{name}.weight"], return_counts=True)
        bits -= (counts * np.log2(counts / counts.sum())).sum()
    _, payload = coded_parts(arch, tensors)
    assert 8 * len(payload) < 0.8 * bits


def test_packing_takes_the_shortest_form_and_its_self_test():
    for size in (0.3, 4.0, 60.0):
        tensors = lean_integers(CHAIN, size)
        blob = unpack_weights(pack_integers(CHAIN, tensors))
        assert blob.dtype == INT8_CODED and same(blob.tensors, tensors)
        patch, positions = self_test_input(CHAIN, HARD)
        output = reference.upscale(CHAIN, tensors, patch, HARD)
        assert np.array_equal(blob.self_test[HARD], self_test_row(INT8_CODED, output, positions))
        assert blob.self_test[HARD].tobytes() == struct.pack("<I", zlib.crc32(output.tobytes()))


def test_multipliers_beside_the_grid_have_no_coded_form():
    tensors = lean_integers(CHAIN)
    tensors["trunk.1.multiplier"][3] *= np.float32(1.01)
    with pytest.raises(PackageError, match=r"trunk\.1, output 3: multiplier .* not on the grid"):
        pack_weights(CHAIN, tensors, INT8_CODED)
    assert unpack_weights(pack_integers(CHAIN, tensors)).dtype in (INT8, INT8_SPARSE)


def test_more_weights_than_python_decodes_in_seconds_are_refused_before_and_stay_dense():
    arch = Architecture("chain", 4, (64,) * 9, (9,))
    assert sum(np.prod(shape) for _, shape in convolutions(arch)) > MAX_CODED_WEIGHTS
    head = b"PSRW" + bytes([3, 1, 0x41, 1, 5, 9, 1, 0]) + bytes([16] * 9 + [9])
    with pytest.raises(PackageError, match="above 262144"):
        unpack_weights(sealed(head, bytes(50)))
    assert unpack_weights(pack_integers(arch, lean_integers(arch))).dtype in (INT8, INT8_SPARSE)


def test_every_truncation_and_extension_is_refused():
    head, payload = coded_parts(CHAIN, lean_integers(CHAIN))
    for other in (*(payload[:n] for n in range(len(payload))), payload + b"\0", payload + payload):
        with pytest.raises(PackageError, match=r"damaged|length|header|precision|grid|weights"):
            unpack_weights(sealed(head, other))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damage_is_refused_or_is_the_one_blob_of_another_network(data):
    head, payload = coded_parts(CHAIN, lean_integers(CHAIN, 3.0))
    damaged = bytearray(payload)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    blob = sealed(head, bytes(damaged))
    try:
        parsed = unpack_weights(blob)
    except PackageError:
        return
    assert pack_weights(parsed.arch, parsed.tensors, INT8_CODED) == blob


def test_coded_and_other_weights_are_not_taken_for_each_other():
    tensors = integers(CHAIN, 0.5)
    dense = pack_weights(CHAIN, tensors, INT8)
    for at, value in ((4, 3), (8, 5)):
        body = bytearray(dense[:-4])
        body[at] = value
        with pytest.raises(PackageError, match="not known here"):
            unpack_weights(bytes(body) + struct.pack("<I", zlib.crc32(body)))
