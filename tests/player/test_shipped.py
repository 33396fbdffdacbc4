"""Networks that lie with every player: whole, known by their hash, and never sent."""

import json
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from player.package import shipped
from player.package.architecture import convolutions
from player.package.generic import anchor_blob
from player.package.index import read_index, write_index
from player.package.package_error import PackageError
from player.package.scale import scale_number
from player.package.self_test import self_test_input
from player.package.shipped import FOLDER, is_shipped, shipped_blob, shipped_by_hash, shipped_names
from player.package.signature import signing_key
from player.package.verify import verify_package
from player.package.weights import INT8, pack_weights, self_test_row, unpack_weights
from sr.quant import reference
from tests.player.conftest import ARCH, tiny_blob, write_film


def silent_blob() -> bytes:
    """A network of two paths that add nothing."""
    tensors = {}
    for name, shape in convolutions(ARCH):
        tensors |= {
            f"{name}.weight": np.zeros(shape, np.int8),
            f"{name}.bias": np.zeros(shape[0], np.int32),
            f"{name}.multiplier": np.ones(shape[0], np.float32),
        }
    return pack_weights(ARCH, tensors, INT8)


NAMES = sorted(path.stem for path in FOLDER.glob("*.bin"))


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_network_is_whole(name):
    blob = unpack_weights(shipped_blob(name))
    assert blob.is_int8 and name.startswith(f"x{scale_number(blob.arch.scale)}-")
    path = blob.arch.paths[0]
    patch, positions = self_test_input(blob.arch, path)
    made = reference.upscale(blob.arch, blob.tensors, patch, path)
    assert (self_test_row(blob.dtype, made, positions) == blob.self_test[path]).all()
    log = json.loads((FOLDER / f"{name}.json").read_text())
    assert log["bytes"] == len(shipped_blob(name)) and name in log["command"]


def test_all_of_them_are_small():
    assert len(NAMES) >= 4
    assert sum(path.stat().st_size for path in FOLDER.glob("*.bin")) < 2_000_000


def test_names_are_of_their_scale():
    assert set(shipped_names(4)) == {name for name in NAMES if name.startswith("x4-")}
    with pytest.raises(PackageError, match="x9-none: no network that ships"):
        shipped_blob("x9-none")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Another network in the place of those that ship."""
    place = tmp_path / "shipped"
    place.mkdir()
    (place / "x2-none.bin").write_bytes(silent_blob())
    monkeypatch.setattr(shipped, "FOLDER", place)
    shipped._by_hash.cache_clear()
    yield place
    shipped._by_hash.cache_clear()


@pytest.fixture
def package(folder, tmp_path, lr_frames, source_clip):
    """A package with that network, and one of its own."""
    weights = [silent_blob(), tiny_blob(2, True)]
    return write_film(tmp_path / "p", lr_frames, source_clip, weights=weights)


def test_a_shipped_network_is_named_and_not_sent(package):
    first, second = read_index(package).index.weights
    assert first.shipped and first.sent_bytes == 0 and not second.shipped
    assert sorted(p.name for p in (package / "sr").glob("weights-*")) == ["weights-001.bin"]
    assert first.read(package) == silent_blob()
    found = verify_package(package)
    assert found.ok
    sent = [p for p in package.rglob("*") if p.suffix in (".m4s", ".mp4", ".bin")]
    assert found.bytes == sum(p.stat().st_size for p in sent if p.name != "index.bin")


def test_a_player_without_it_says_so(package, folder):
    (folder / "x2-none.bin").write_bytes(anchor_blob(2))  # another one
    shipped._by_hash.cache_clear()
    (fault,) = verify_package(package).faults
    assert str(fault) == "shipped: does not ship with this PocketSR; update it"
    with pytest.raises(PackageError, match="update it"):
        read_index(package).index.weights[0].read(package)


def test_a_hash_of_nothing_is_no_network(folder):
    """Bytes of a package cannot choose a file: a hash is looked up, never a name."""
    with pytest.raises(PackageError):
        shipped_by_hash("../../x2-none")
    assert is_shipped(silent_blob()) and not is_shipped(b"")
    whole = sha256(silent_blob()).hexdigest()
    assert shipped_by_hash(whole[:40]) == (folder / "x2-none.bin").read_bytes()


def test_a_network_that_is_only_said_to_ship_is_a_fault(package):
    """Whoever signed it: no player has a network of that hash."""
    index = read_index(package).index
    first, second = index.weights
    write_index(
        package,
        replace(index, weights=(first, replace(second, shipped=True, file="shipped"))),
        signing_key(),
    )
    assert [f.file for f in verify_package(package).faults] == ["shipped"]
