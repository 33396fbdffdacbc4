"""Blobs of sparse int8 weights: the same integers in fewer bytes, and nothing else gets through."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from player.engines import dtype_of_package
from player.package.architecture import Architecture, convolutions
from player.package.entries import file_entry
from player.package.index import read_index, write_index
from player.package.integers import DENSE, SPARSE, SUM_LIMIT
from player.package.package_error import PackageError
from player.package.signature import signing_key
from player.package.verify import verify_package
from player.package.weights import INT8, INT8_SPARSE, pack_weights, unpack_weights
from sr.commands.compile import command as compile_command
from sr.commands.verify import command as verify_command
from sr.packing import pack_integers
from tests.player.conftest import ARCH
from tests.player.indexes import sign_again
from tests.player.sparse_blobs import (
    CHAIN,
    PAYLOAD_AT,
    integers,
    moved_bit,
    parts,
    sealed,
    wrong_blobs,
)

DEFAULT = Architecture("chain", 4, (32,) * 6, (2, 6))
SMALL = (CHAIN, Architecture("chain", 3, (4, 12), (1, 2)), Architecture("espcn", 3, (8, 4), (2,)))
WRONG = wrong_blobs()


def same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    return first.keys() == second.keys() and all(
        first[name].dtype == value.dtype and np.array_equal(first[name], value)
        for name, value in second.items()
    )


@settings(max_examples=80, deadline=None)
@given(
    arch=st.sampled_from(SMALL),
    density=st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)),
    seed=st.integers(0, 2**32),
)
def test_both_forms_give_back_the_same_integers(arch, density, seed):
    tensors = integers(arch, density, seed)
    rows = {path: np.arange(64, dtype=np.uint8) for path in arch.paths}
    dense, sparse = (pack_weights(arch, tensors, dtype, rows) for dtype in (INT8, INT8_SPARSE))
    for dtype, blob in ((INT8, dense), (INT8_SPARSE, sparse)):
        parsed = unpack_weights(blob)
        assert (parsed.arch, parsed.dtype, parsed.is_int8) == (arch, dtype, True)
        assert same(parsed.tensors, tensors)
        assert same(parsed.self_test, rows)
        # One network has one blob of each form, because nothing in it is left to choose.
        assert pack_weights(arch, parsed.tensors, dtype, parsed.self_test) == blob


def test_the_bytes_lie_as_the_page_says():
    """Read bit by bit: bitmap, the values of set bits, biases, multipliers."""
    tensors = integers(SMALL[1], 0.4)
    data = pack_weights(SMALL[1], tensors, INT8_SPARSE)
    assert data[8] == INT8_SPARSE == 4
    at = 12 + 2 * (2 + 2) + 4
    payload_at = at
    for name, shape in convolutions(SMALL[1]):
        weights = tensors[f"{name}.weight"].ravel().tolist()
        values = at + (len(weights) + 7) // 8
        for i, weight in enumerate(weights):
            is_stored = data[at + i // 8] >> i % 8 & 1
            assert is_stored == (weight != 0)
            if is_stored:
                assert struct.unpack_from("b", data, values) == (weight,)
                values += 1
        for kind, letter in (("bias", "i"), ("multiplier", "f")):
            wanted = tensors[f"{name}.{kind}"].tolist()
            assert list(struct.unpack_from(f"<{shape[0]}{letter}", data, values)) == wanted
            values += 4 * shape[0]
        at = values
    assert len(data) == at + 4
    assert struct.unpack_from("<I", data, payload_at - 4) == (at - payload_at,)


def test_the_form_written_out():
    weights = np.array([0, 5, 0, 0, -1, 0, 0, 0, 0, 127], np.int8)
    data = bytes([0b0001_0010, 0b10]) + b"\x05\xff\x7f"
    assert SPARSE.encode(weights) == data
    decoded, end = SPARSE.decode("x", b"??" + data + b"!", 2, 10)
    assert (decoded.tolist(), end) == (weights.tolist(), 7)
    assert [form.byte_range(10) for form in (DENSE, SPARSE)] == [(10, 10), (2, 12)]


@pytest.mark.parametrize(("of_100", "size"), [(10, 13726), (20, 18724), (50, 33730), (100, 58738)])
def test_the_size_of_the_default_network(of_100, size):
    """48 bytes around 50,016 weights: a bit for each, a byte for each that is left; 288 outputs."""
    tensors = integers(DEFAULT, 1.0)
    stored = 0
    for name, shape in convolutions(DEFAULT):
        count = int(np.prod(shape))
        kept = round(count * of_100 / 100)
        weight = np.zeros(count, np.int8)
        weight[:kept] = 1
        tensors[f"{name}.weight"] = weight.reshape(shape)
        stored += kept
    assert len(pack_weights(DEFAULT, tensors, INT8_SPARSE)) == size - 2 * 65
    assert size - 2 * 65 == 32 + 50_016 // 8 + stored + 8 * 288 + 4
    assert len(pack_weights(DEFAULT, tensors, INT8)) == 32 + 50_016 + 8 * 288 + 4


@pytest.mark.parametrize(
    ("density", "dtype"), [(0.0, INT8_SPARSE), (0.7, INT8_SPARSE), (0.95, INT8), (1.0, INT8)]
)
def test_packing_takes_the_shorter_form(density, dtype):
    tensors = integers(SMALL[1], density)
    blob = pack_integers(SMALL[1], tensors)
    parsed = unpack_weights(blob)
    assert parsed.dtype == dtype and same(parsed.tensors, tensors)
    other = INT8 if dtype == INT8_SPARSE else INT8_SPARSE
    assert len(blob) < len(pack_weights(SMALL[1], tensors, other, parsed.self_test))


def test_a_tie_goes_to_the_dense_form():
    tensors = integers(CHAIN, 1.0)
    tensors["trunk.0.weight"].reshape(-1)[:14] = 0
    tensors["exits.0.weight"].reshape(-1)[:6] = 0
    sizes = {len(pack_weights(CHAIN, tensors, dtype)) for dtype in (INT8, INT8_SPARSE)}
    assert len(sizes) == 1
    assert unpack_weights(pack_integers(CHAIN, tensors)).dtype == INT8


def test_the_good_blob_is_good():
    """The one that `wrong_blobs` damages: taken as it is, and with a weight beside its place."""
    blob = pack_weights(CHAIN, integers(CHAIN, 0.3), INT8_SPARSE)
    head, payload = parts(blob)
    assert sealed(head, payload) == blob
    first = unpack_weights(blob).tensors["trunk.0.weight"].ravel()
    second = unpack_weights(moved_bit(blob)).tensors["trunk.0.weight"].ravel()
    assert (first != second).sum() == 2
    assert np.array_equal(first[first != 0], second[second != 0])


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.name.replace(" ", "-"))
def test_what_is_wrong_is_refused(wrong):
    with pytest.raises(PackageError, match=r"^weights: "):
        unpack_weights(wrong.blob)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("the first bit behind the last weight", r"trunk\.0 has a bit set behind its last weight"),
        ("the last convolution's last value is a zero", r"exits\.0 stores a zero"),
        ("one value more", r"."),
        ("ends a byte early", r"ends within exits\.0"),
        ("a byte too many", r"1 bytes of the payload are left over"),
        ("declares all that there can be", r"payload's length"),
        ("a weight of -128", r"trunk\.0 holds -128"),
    ],
)
def test_the_message_names_the_place(name, message):
    (wrong,) = (wrong for wrong in WRONG if wrong.name == name)
    with pytest.raises(PackageError, match=message):
        unpack_weights(wrong.blob)


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_bound_on_sums_is_exact(sign):
    tensors = integers(CHAIN, 0.5)
    room = SUM_LIMIT - 255 * int(np.abs(tensors["trunk.0.weight"][2].astype(int)).sum())
    tensors["trunk.0.bias"][2] = sign * (room - 1)
    good = pack_weights(CHAIN, tensors, INT8_SPARSE)
    at = PAYLOAD_AT + 14 + int(np.count_nonzero(tensors["trunk.0.weight"])) + 4 * 2
    head, payload = parts(good)
    assert struct.unpack_from("<i", good, at) == (sign * (room - 1),)
    bias = at - PAYLOAD_AT
    beyond = payload[:bias] + struct.pack("<i", sign * room) + payload[bias + 4 :]
    with pytest.raises(PackageError, match=r"trunk\.0, output 2: sums reach 16777216"):
        unpack_weights(sealed(head, beyond))


def test_every_truncation_is_refused():
    blob = pack_weights(CHAIN, integers(CHAIN, 0.3), INT8_SPARSE)
    head, payload = parts(blob)
    for length in range(len(payload)):
        with pytest.raises(PackageError):
            unpack_weights(sealed(head, payload[:length]))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damage_is_refused_or_a_network_within_its_bounds(data):
    """And then it is the one blob of that network: no two blobs say the same."""
    head, payload = parts(pack_weights(CHAIN, integers(CHAIN, 0.3), INT8_SPARSE))
    damaged = bytearray(payload)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    blob = sealed(head, bytes(damaged))
    try:
        parsed = unpack_weights(blob)
    except PackageError:
        return
    assert pack_weights(CHAIN, parsed.tensors, INT8_SPARSE) == blob


def test_wdsr_has_no_sparse_form_either():
    with pytest.raises(PackageError, match=r"wdsr has no int8 form.*f16"):
        pack_weights(Architecture("wdsr", 2, (16, 64, 4), (4,)), {}, INT8_SPARSE)


@pytest.mark.parametrize("sparse", [1, 2])
def test_a_package_with_sparse_weights_gets_an_int8_engine(package_dir, sparse):
    """Be it one of its networks or all of them."""
    entries = read_index(package_dir).index.weights
    assert dtype_of_package(package_dir, entries) == "fp32"
    for entry in entries[:sparse]:
        blob = pack_weights(ARCH, integers(ARCH, 0.2), INT8_SPARSE)
        (package_dir / entry.file).write_bytes(blob)
    sign_again(package_dir)
    entries = read_index(package_dir).index.weights
    assert dtype_of_package(package_dir, entries) == "int8"


@pytest.fixture
def sparse_package(package_dir):
    """The package, signed again, with networks of sparse weights in the place of its own."""
    index, made = read_index(package_dir).index, []
    for i, entry in enumerate(index.weights):
        blob = pack_integers(ARCH, integers(ARCH, 0.2, seed=i))
        (package_dir / entry.file).write_bytes(blob)
        made.append(replace(entry, **vars(file_entry(package_dir, package_dir / entry.file))))
    write_index(package_dir, replace(index, weights=tuple(made)), signing_key())
    return package_dir


def test_verify_reads_sparse_weights(sparse_package):
    assert verify_package(sparse_package).ok
    (sparse_package / "sr/weights-000.bin").write_bytes(WRONG[0].blob)
    assert [f.file for f in verify_package(sparse_package).faults] == ["sr/weights-000.bin"]


@pytest.mark.slow  # TVM compiles for ten seconds
def test_compile_and_verify_take_sparse_weights(sparse_package):
    """The engine is of int8, and its self-test holds on both networks."""
    pytest.importorskip("tvm", reason="TVM missing: pip install 'pocketsr[compile]'")
    compiled = CliRunner().invoke(compile_command, [str(sparse_package), "--json"])
    assert compiled.exit_code == 0, compiled.output
    assert json.loads(compiled.stdout)["dtype"] == "int8"
    verified = CliRunner().invoke(verify_command, [str(sparse_package), "--json"])
    assert verified.exit_code == 0, verified.output
    assert json.loads(verified.stdout)["self_tested"] is True
