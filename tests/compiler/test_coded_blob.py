"""Coded int8 blobs in C: the same pixels as from dense weights, the same refusals as in Python."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.package.architecture import Architecture
from player.package.package_error import PackageError
from player.package.paths import HARD
from player.package.weights import INT8, INT8_CODED, pack_weights, unpack_weights
from sr.quant import reference
from tests.compiler.int8_cases import ARCHITECTURES
from tests.compiler.opening import ARCH, FORMAT, LIMIT, OK, SELFTEST, opened_code, patched
from tests.compiler.seeded import int8_blob
from tests.player.coded_blobs import coded_parts, lean_integers, sealed
from tests.player.random_architecture import random_architecture

CHAIN = Architecture("chain", 2, (8, 12), (1, 2))


@pytest.fixture(scope="module")
def open_code(int8_engine) -> Callable[[bytes], int]:
    return lambda data: opened_code(int8_engine, data)


@pytest.mark.parametrize(
    "subject",
    ARCHITECTURES,
    ids=lambda a: f"{a.name}-x{float(a.scale):g}-u{a.units}-{len(a.widths)}",
)
def test_coded_and_dense_give_the_same_pixels(subject, int8_engine, int8_isas):
    """In every version's packing; the self-test is the checksum of every pixel on every path."""
    made = lean_integers(subject, 2.0)
    patch = np.random.default_rng(1).integers(0, 256, (32, 64, 3)).astype(np.uint8)
    side = 2 * subject.halo_px(HARD) + 8 * subject.units
    patch = np.resize(patch, (side, side + 4 * subject.units, 3))
    wanted = reference.upscale(subject, made, patch, HARD)
    for isa in int8_isas:
        int8_engine.select_isa(isa)
        for dtype in (INT8, INT8_CODED):
            network = int8_engine.load(int8_blob(subject, made, dtype))
            assert np.array_equal(network.upscale(patch, HARD), wanted), (isa, dtype)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.floats(0, 80))
def test_any_network_is_read_as_it_was_written(open_code, seed, size):
    """Whose self-test is the reference's checksum, so that no other weights would do."""
    arch = random_architecture(seed % 1000)
    assert open_code(int8_blob(arch, lean_integers(arch, size, seed), INT8_CODED)) == OK


def test_another_checksum_or_path_in_the_self_test_is_refused(open_code):
    blob = int8_blob(CHAIN, lean_integers(CHAIN), INT8_CODED)
    for at in range(len(blob) - 14, len(blob) - 4):
        is_path = at in (len(blob) - 14, len(blob) - 9)
        wrong = patched(blob, at, bytes([blob[at] ^ 1]))
        assert open_code(wrong) == (FORMAT if is_path else SELFTEST)


def test_every_truncation_and_extension_is_refused(open_code):
    head, payload = coded_parts(CHAIN, lean_integers(CHAIN))
    others = [payload[:n] for n in range(len(payload))]
    for other in (*others, payload + b"\0", b"\xff" * len(payload)):
        assert open_code(sealed(head, other)) == FORMAT


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_both_parsers_say_the_same_of_damage(open_code, data):
    head, payload = coded_parts(CHAIN, lean_integers(CHAIN, data.draw(st.sampled_from([0.5, 9.0]))))
    damaged = bytearray(payload)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    blob = sealed(head, bytes(damaged))
    try:
        unpack_weights(blob)
    except PackageError:
        assert open_code(blob) in (FORMAT, LIMIT)
    else:
        assert open_code(blob) == OK


def test_a_network_with_more_weights_than_coded_ones_may_be_is_refused(open_code, monkeypatch):
    """Python refuses it as well, unless it is made to write one."""
    monkeypatch.setattr("player.package.coded_layers.MAX_CODED_WEIGHTS", 1 << 19)
    for depth, code in ((7, OK), (8, FORMAT)):
        arch = Architecture("chain", 4, (64,) * depth, (depth,))
        tensors = lean_integers(arch, size=0)
        assert open_code(pack_weights(arch, tensors, INT8_CODED)) == code


def test_coded_integers_are_not_for_an_engine_of_floats(engine):
    assert opened_code(engine, pack_weights(CHAIN, lean_integers(CHAIN), INT8_CODED)) == ARCH
