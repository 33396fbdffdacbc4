"""Blobs of what a network that ships changes: few bytes, one form, nothing else gets through."""

import struct
import zlib
from collections.abc import Callable
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from player.package import adapted, shipped
from player.package.adapted import is_adapted, pack_adapted, whole_blob
from player.package.architecture import Architecture, convolutions
from player.package.coded_changes import _CONTEXTS, decode_changes, encode_changes
from player.package.index import read_index
from player.package.integers import MAX_WEIGHT, SUM_LIMIT
from player.package.package_error import PackageError
from player.package.paths import EASY, HARD
from player.package.range_coder import SIGNED_CONTEXTS, Encoder
from player.package.shipped import shipped_blob
from player.package.sizes import part_bytes
from player.package.verify import verify_package
from player.package.weight_coder import WEIGHT_CONTEXTS, WeightCoder
from player.package.weights import FLOAT16, INT8_CODED, pack_weights, read_header, unpack_weights
from sr.packing import pack_changes, pack_integers
from sr.quant import reference
from sr.quant.integer_network import IntegerNetwork
from sr.scoring import upscale_patch
from tests.player.adapted_blobs import NAME, changed, put_shipped
from tests.player.coded_blobs import lean_integers
from tests.player.conftest import write_film
from tests.player.test_weights_sparse import same

ARCH = Architecture("chain", 2, (8, 12), (1, 2))
TENSORS = lean_integers(ARCH, 3.0)
BASE = pack_integers(ARCH, TENSORS)
LAYERS = [
    tuple(TENSORS[f"{name}.{kind}"] for kind in ("weight", "bias", "multiplier"))
    for name, _ in convolutions(ARCH)
]
MULTIPLIER = WEIGHT_CONTEXTS
BIAS, TOUCHED = MULTIPLIER + SIGNED_CONTEXTS, MULTIPLIER + 2 * SIGNED_CONTEXTS


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "shipped")
    put_shipped(tmp_path / "shipped", BASE)
    yield tmp_path / "shipped"
    shipped._by_hash.cache_clear()


def sealed(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(share=st.sampled_from([0.0, 0.02, 0.5, 1.0]), seed=st.integers(0, 2**32))
def test_the_integers_come_back(share, seed):
    tensors = changed(TENSORS, ARCH, share, seed)
    blob = pack_changes(BASE, tensors)
    whole = unpack_weights(whole_blob(blob))
    assert (whole.arch, whole.dtype) == (ARCH, INT8_CODED) and same(whole.tensors, tensors)
    assert whole_blob(blob) == pack_weights(ARCH, tensors, INT8_CODED, whole.self_test)
    assert pack_changes(BASE, whole.tensors) == blob


def test_the_bytes_lie_as_the_page_says():
    rows = {path: np.full(4, path, np.uint8) for path in ARCH.paths}
    blob = pack_adapted(BASE, TENSORS, rows)
    assert blob[:13] == b"PSRW\x04" + sha256(BASE).digest()[:8] and is_adapted(blob)
    assert blob[-12:-4] == bytes([EASY] * 4 + [HARD] * 4)
    assert blob == sealed(blob[:-4])
    assert same(unpack_weights(whole_blob(blob)).self_test, rows)


def test_the_form_stays_as_it_is():
    """Other bytes would be another format."""
    payload = encode_changes(ARCH, LAYERS, layers_of(changed(TENSORS, ARCH, 0.3, 7)))
    assert (len(payload), zlib.crc32(payload)) == (196, 172489099)


def layers_of(tensors):
    kinds = ("weight", "bias", "multiplier")
    return [tuple(tensors[f"{name}.{k}"] for k in kinds) for name, _ in convolutions(ARCH)]


def test_what_does_not_change_takes_next_to_nothing(monkeypatch):
    """Of 150,000 weights, and hash, self-test and checksum with it."""
    monkeypatch.undo()
    shipped._by_hash.cache_clear()
    base = shipped_blob("x4-coarse")
    rows = {path: np.zeros(4, np.uint8) for path in (EASY, HARD)}
    assert len(pack_adapted(base, unpack_weights(base).tensors, rows)) < 40


def test_a_multiplier_or_a_weight_costs_bytes_and_not_the_rest_of_the_network():
    sizes = []
    for share in (0.0, 0.01, 0.1):
        sizes.append(len(pack_changes(BASE, changed(TENSORS, ARCH, share))))
    assert sizes == sorted(sizes) and sizes[1] - sizes[0] < 40 < len(BASE) // 8


def test_coarse_changes_cost_no_more_than_fine_ones():
    """Of changes that are all whole eighths the low bits are not sent."""
    draw = np.random.default_rng(1)
    shape = TENSORS["trunk.1.weight"].shape
    fine = np.where(draw.random(shape) < 0.3, draw.integers(-2, 3, shape), 0)
    base = pack_integers(ARCH, {**TENSORS, "trunk.1.weight": np.zeros(shape, np.int8)})
    kept = unpack_weights(base).tensors
    sizes = []
    for steps in (1, 8):
        tensors = {**kept, "trunk.1.weight": (steps * fine).astype(np.int8)}
        sizes.append(
            len(pack_adapted(base, tensors, {p: np.zeros(4, np.uint8) for p in ARCH.paths}))
        )
    assert sizes[0] == sizes[1]


def test_other_blobs_are_whole_already():
    assert whole_blob(BASE) is BASE and not is_adapted(BASE)
    with pytest.raises(PackageError, match="version 1, 2 or 3; update the player"):
        read_header(pack_changes(BASE, TENSORS))


def test_only_a_network_of_integers_that_ships_can_be_changed(folder):
    blob = pack_changes(BASE, TENSORS)
    adapted._whole.cache_clear()
    reals = {k: v.astype(np.float32) for k, v in TENSORS.items() if not k.endswith("multiplier")}
    put_shipped(folder, pack_weights(ARCH, reals, FLOAT16))
    with pytest.raises(PackageError, match=r"^does not ship with this PocketSR; update it$"):
        whole_blob(blob)
    with pytest.raises(PackageError, match="only a network of integers"):
        pack_adapted((folder / f"{NAME}.bin").read_bytes(), TENSORS, {})
    with pytest.raises(PackageError, match="each path"):
        pack_adapted(BASE, TENSORS, {})


def test_every_truncation_and_extension_is_refused():
    body = pack_changes(BASE, changed(TENSORS, ARCH, 0.3))[:-4]
    for other in (*(body[:n] for n in range(5, len(body))), body + b"\0", body + body):
        with pytest.raises(PackageError):
            whole_blob(sealed(other))
    for other in (body, body + bytes(3), sealed(body)[:-1]):
        with pytest.raises(PackageError, match=r"checksum|outside"):
            whole_blob(other)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damage_is_refused_or_is_the_one_blob_of_another_network(data):
    payload = payload_of(pack_changes(BASE, changed(TENSORS, ARCH, 0.3)))
    damaged = bytearray(payload)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    try:
        layers = decode_changes(ARCH, LAYERS, bytes(damaged))
    except PackageError:
        return
    assert encode_changes(ARCH, LAYERS, layers) == damaged


def payload_of(blob: bytes) -> bytes:
    return blob[13:-12]


def off_the_grid(coder: Encoder) -> None:
    coder.even_bits(3, 0)
    coder.signed(MULTIPLIER, -368)


def large_bias(coder: Encoder) -> None:
    coder.even_bits(3, 0)
    coder.signed(MULTIPLIER, 0)
    coder.signed(BIAS, SUM_LIMIT)


def large_number(coder: Encoder) -> None:
    coder.even_bits(3, 0)
    coder.bit(MULTIPLIER, 1)
    for length in range(26):
        coder.bit(MULTIPLIER + 2 + length, 1)


def touch(coder: Encoder, weights: list[int], shift: int = 0) -> None:
    """The first output alone has its weights changed, and the rest of the network nothing."""
    for o, (name, shape) in ((o, c) for c in convolutions(ARCH) for o in range(c[1][0])):
        first = MULTIPLIER + (0 if name.startswith("trunk.") else 2 * SIGNED_CONTEXTS + 1)
        if o == 0:
            coder.even_bits(3, shift if name == "trunk.0" else 0)
        coder.signed(first, 0)
        coder.signed(first + SIGNED_CONTEXTS, 0)
        is_first = o == 0 and name == "trunk.0"
        coder.bit(first + 2 * SIGNED_CONTEXTS, int(is_first))
        if is_first:
            WeightCoder(coder, weights, shape, None).code_output(0)


def idle(coder: Encoder) -> None:
    touch(coder, [0] * 27)


def coarse(coder: Encoder) -> None:
    touch(coder, [2] + [0] * 26, shift=1)


def coarse_for_nothing(coder: Encoder) -> None:
    coder.even_bits(3, 5)
    for _ in range(8):
        for context in (MULTIPLIER, BIAS):
            coder.signed(context, 0)
        coder.bit(TOUCHED, 0)


def heavy(coder: Encoder) -> None:
    # To one side of -127..127, whichever way the weight itself lies.
    touch(coder, [int(MAX_WEIGHT * np.sign(w or 1)) for w in LAYERS[0][0][0].ravel()])


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (off_the_grid, "trunk.0, output 0: its multiplier is off the grid"),
        (large_bias, "trunk.0, output 0: its bias is not below"),
        (large_number, "a coded number is too large"),
        (idle, "trunk.0, output 0: of its weights none changes"),
        (coarse, "trunk.0 does not have the precision of its changes"),
        (coarse_for_nothing, "trunk.0 does not have the precision of its changes"),
        (heavy, "trunk.0 has a weight that is not in -127..127"),
    ],
)
def test_what_no_encoder_writes_is_refused_with_its_place(
    write: Callable[[Encoder], None], said: str
):
    coder = Encoder(_CONTEXTS)
    write(coder)
    with pytest.raises(PackageError, match=said):
        decode_changes(ARCH, LAYERS, coder.finish() + bytes(16))


def test_the_bounds_of_sums_hold_for_what_is_read():
    """A base whose sums are just below 2^24 may not be raised above."""
    weight, bias, multiplier = (array.copy() for array in LAYERS[0])
    bias[0] = SUM_LIMIT - 1 - 255 * np.abs(weight[0].astype(int)).sum()
    near = [(weight, bias, multiplier), *LAYERS[1:]]
    coder = Encoder(_CONTEXTS)
    coder.even_bits(3, 0)
    for o in range(8):
        coder.signed(MULTIPLIER, 0)
        coder.signed(BIAS, int(o == 0))
        coder.bit(TOUCHED, 0)
    with pytest.raises(PackageError, match=r"trunk\.0, output 0: sums reach .* not below 2\^24"):
        decode_changes(ARCH, near, coder.finish() + bytes(16))


def test_what_has_no_coded_form_is_not_written():
    bias, weight, grid = ({**TENSORS} for _ in range(3))
    bias["trunk.0.bias"] = TENSORS["trunk.0.bias"] + np.int32(1)
    with pytest.raises(PackageError, match="changes by no whole units"):
        pack_changes(BASE, bias)
    weight["trunk.1.weight"] = np.full_like(TENSORS["trunk.1.weight"], 127)
    weight["trunk.1.weight"][0] = 120
    far = pack_integers(ARCH, {**TENSORS, "trunk.1.weight": 1 - weight["trunk.1.weight"]})
    with pytest.raises(PackageError, match="a coded weight is of"):
        pack_adapted(far, weight, {p: np.zeros(4, np.uint8) for p in ARCH.paths})
    grid["trunk.0.multiplier"] = TENSORS["trunk.0.multiplier"] * np.float32(1.01)
    with pytest.raises(PackageError, match="not on the grid"):
        pack_changes(BASE, grid)


def test_the_self_test_is_the_references_and_so_is_every_pixel():
    """The one that its engine runs; and what is scored on the server is what the reference says."""
    tensors = changed(TENSORS, ARCH, 0.5)
    whole = unpack_weights(whole_blob(pack_changes(BASE, tensors)))
    lr = np.random.default_rng(1).integers(0, 256, (20, 24, 3)).astype(np.uint8)
    shown = upscale_patch(IntegerNetwork(whole.arch, whole.tensors), lr)[HARD]
    assert np.array_equal(shown, reference.upscale(ARCH, tensors, lr, HARD))
    assert not np.array_equal(shown, reference.upscale(ARCH, TENSORS, lr, HARD))


@pytest.fixture
def package(tmp_path, lr_frames, source_clip):
    blobs = [pack_changes(BASE, changed(TENSORS, ARCH, 0.5)), BASE]
    return write_film(tmp_path / "p", lr_frames, source_clip, weights=blobs)


def test_a_package_sends_the_changes_and_reads_whole_networks(package):
    index = read_index(package).index
    first, second = index.weights
    assert not first.shipped and second.shipped and first.arch == ARCH
    blob = (package / first.file).read_bytes()
    assert is_adapted(blob) and first.sent_bytes == first.bytes == len(blob)
    assert part_bytes(package, index)["weights"] == len(blob)
    assert first.read(package) == whole_blob(blob)
    found = verify_package(package)
    assert found.ok, found.faults


def test_a_player_without_the_network_says_so(package, folder):
    adapted._whole.cache_clear()
    put_shipped(folder, pack_integers(ARCH, changed(TENSORS, ARCH, 1.0)))
    faults = [str(fault) for fault in verify_package(package).faults]
    assert faults[0] == "sr/weights-000.bin: does not ship with this PocketSR; update it"


@pytest.fixture
def own(tmp_path, lr_frames, source_clip):
    """A package whose second network is changes of its first, which does not ship."""
    first = pack_integers(ARCH, changed(TENSORS, ARCH, 1.0))
    second = pack_changes(first, changed(unpack_weights(first).tensors, ARCH, 0.2, seed=1))
    blobs = [first, second]
    return write_film(tmp_path / "own", lr_frames, source_clip, weights=blobs), blobs


def test_a_network_may_be_changes_of_the_first_of_its_package(own):
    package, (base, changes) = own
    index = read_index(package).index
    first, second = index.weights
    assert second.first == first and first.first is None
    assert second.sent_bytes == len(changes) < len(base) // 2
    assert second.read(package) == whole_blob(changes, lambda: base) != first.read(package)
    found = verify_package(package)
    assert found.ok, found.faults
    with pytest.raises(PackageError, match="does not ship"):
        whole_blob(changes)
    with pytest.raises(PackageError, match="does not ship"):
        whole_blob(changes, lambda: BASE)  # another package's


def test_without_the_first_its_changes_are_nothing(own):
    package, _ = own
    (package / "sr/weights-000.bin").write_bytes(b"")
    faults = [str(fault) for fault in verify_package(package).faults]
    assert faults[0].startswith("sr/weights-000.bin: has 0 bytes, not")
    assert faults[1].startswith("sr/weights-001.bin: changes network 0: has 0 bytes, not")
