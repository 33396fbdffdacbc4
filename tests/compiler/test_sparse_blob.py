"""Sparse int8 blobs in C: the same pixels as from dense weights, the same refusals as in Python."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.package.architecture import Architecture
from player.package.package_error import PackageError
from player.package.weights import INT8, INT8_SPARSE, pack_weights, unpack_weights
from sr.quant import reference
from tests.compiler.int8_cases import ARCHITECTURES, tensors
from tests.compiler.opening import ARCH, FORMAT, LIMIT, OK, SELFTEST, opened_code, patched
from tests.compiler.seeded import int8_blob
from tests.player.sparse_blobs import (
    CHAIN,
    integers,
    moved_bit,
    parts,
    sealed,
    thinned,
    wrong_blobs,
)

CODES = {"format": FORMAT, "limit": LIMIT}
HEIGHT, WIDTH = 5, 19  # in places


@pytest.fixture(scope="module")
def open_code(int8_engine) -> Callable[[bytes], int]:
    return lambda data: opened_code(int8_engine, data)


@lru_cache
def thin_tensors(arch: Architecture, density: float) -> dict[str, np.ndarray]:
    return thinned(tensors(arch, "typical"), density)


@pytest.mark.parametrize("density", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize(
    "subject",
    ARCHITECTURES,
    ids=lambda a: f"{a.name}-x{float(a.scale):g}-u{a.units}-{len(a.widths)}",
)
def test_sparse_and_dense_give_the_same_pixels(subject, density, int8_engine, int8_isas):
    """In every version's packing, on every path, and they are the reference's."""
    made = thin_tensors(subject, density)
    blobs = [int8_blob(subject, made, dtype) for dtype in (INT8, INT8_SPARSE)]
    draw = np.random.default_rng(1)
    for isa in int8_isas:
        int8_engine.select_isa(isa)
        dense, sparse = (int8_engine.load(blob) for blob in blobs)
        for path in subject.paths:
            halo = subject.halo_px(path)
            sides = (side * subject.units + 2 * halo for side in (HEIGHT, WIDTH))
            shape = (*sides, 3)
            patch = draw.integers(0, 256, shape).astype(np.uint8)
            wanted = reference.upscale(subject, made, patch, path)
            for network in (dense, sparse):
                assert np.array_equal(network.upscale(patch, path), wanted), (isa, path)


@settings(max_examples=60, deadline=None)
@given(density=st.floats(0, 1), seed=st.integers(0, 2**32))
def test_every_density_opens_and_passes_its_self_test(open_code, density, seed):
    """Whose samples are the reference's, so that other weights would not do."""
    made = thinned(tensors(CHAIN, "typical"), density, seed)
    for dtype in (INT8, INT8_SPARSE):
        assert open_code(int8_blob(CHAIN, made, dtype)) == OK


def test_other_sparse_weights_fail_the_self_test(open_code):
    arch = ARCHITECTURES[0]
    data = bytearray(int8_blob(arch, thin_tensors(arch, 0.3), INT8_SPARSE))
    at = 12 + 2 * 8 + 4 + 32 * 27 // 8  # the first value behind the first bitmap
    assert open_code(patched(bytes(data), at, bytes([data[at] ^ 0x40 or 1]))) == SELFTEST


def test_the_good_blob_opens(open_code):
    """The one that `wrong_blobs` damages."""
    blob = pack_weights(CHAIN, integers(CHAIN, 0.3), INT8_SPARSE)
    assert open_code(blob) == open_code(moved_bit(blob)) == OK


@pytest.mark.parametrize("wrong", wrong_blobs(), ids=lambda wrong: wrong.name.replace(" ", "-"))
def test_what_is_wrong_is_refused(open_code, wrong):
    assert open_code(wrong.blob) == CODES[wrong.kind]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("output", range(4))
def test_the_bound_on_sums_is_exact(open_code, output, sign):
    made = {name: value.copy() for name, value in integers(CHAIN, 0.5).items()}
    weight = made["trunk.0.weight"]
    room = (1 << 24) - 1 - 255 * int(np.abs(weight[output].astype(int)).sum())
    blob = pack_weights(CHAIN, made, INT8_SPARSE)
    at = 20 + 14 + int(np.count_nonzero(weight)) + 4 * output
    for bias, code in ((room, OK), (room + 1, LIMIT)):
        number = (sign * bias).to_bytes(4, "little", signed=True)
        assert open_code(patched(blob, at, number)) == code


def test_every_truncation_is_refused(open_code):
    head, payload = parts(pack_weights(CHAIN, integers(CHAIN, 0.3), INT8_SPARSE))
    found = {open_code(sealed(head, payload[:length])) for length in range(len(payload))}
    assert found == {FORMAT}


def test_every_flipped_bit_is_seen(open_code):
    blob = pack_weights(CHAIN, integers(CHAIN, 0.3), INT8_SPARSE)
    for at in range(len(blob)):
        damaged = bytearray(blob)
        damaged[at] ^= 1 << at % 8
        assert open_code(bytes(damaged)) != OK


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_both_parsers_say_the_same_of_damage(open_code, data):
    head, payload = parts(pack_weights(CHAIN, integers(CHAIN, 0.3), INT8_SPARSE))
    damaged = bytearray(payload)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    blob = sealed(head, bytes(damaged))
    try:
        unpack_weights(blob)
    except PackageError:
        assert open_code(blob) in (FORMAT, LIMIT)
    else:
        assert open_code(blob) == OK


def test_sparse_integers_are_not_for_an_engine_of_floats(engine):
    blob = int8_blob(CHAIN, thin_tensors(CHAIN, 0.3), INT8_SPARSE)
    assert opened_code(engine, blob) == ARCH
