"""`verify` finds every fault and names the file."""

import json
from dataclasses import replace

import numpy as np
import pytest

from player.package.entries import RoutesEntry, file_entry
from player.package.index import read_index, write_index
from player.package.package_error import PackageError
from player.package.route_maps import pack_routes
from player.package.signature import signing_key
from player.package.verify import verify_package
from player.package.weights import unpack_weights
from tests.player.indexes import put_source, source_of


def test_a_good_package_is_good(made_package, engine):
    result = verify_package(made_package, self_test=engine.load)
    result.check()
    assert result.ok and result.self_tested and result.signer
    assert result.files == len([p for p in made_package.rglob("*.*") if _is_covered(p)])
    assert json.loads(json.dumps(result.to_json()))["faults"] == []


def _is_covered(path):
    return path.suffix in (".m4s", ".mp4", ".bin") and path.name != "index.bin"


FILES = ["sr/weights-000.bin", "sr/weights-001.bin", "sr/routes-00002.bin", "video/init.mp4",
         "video/seg-00003.m4s", "sr/index.bin"]  # fmt: skip


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "flipped", "longer"])
def test_every_damaged_file_is_named(package_dir, name, damage):
    harm(package_dir / name, damage)
    result = verify_package(package_dir)
    assert name in [fault.file for fault in result.faults]
    with pytest.raises(PackageError, match=name.replace(".", r"\.")) as caught:
        result.check()
    assert caught.value.exit_code == 5


def test_a_cut_index_gets_one_advice(package_dir):
    harm(package_dir / "sr/index.bin", "truncated")
    with pytest.raises(PackageError, match=r"get the package again$") as caught:
        verify_package(package_dir).check()
    assert "fetch it again" not in str(caught.value)


def harm(path, damage):
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
        return
    middle = len(data) // 2
    flipped = data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1 :]
    path.write_bytes(
        {"empty": b"", "truncated": data[:middle], "flipped": flipped, "longer": data + b"x"}[
            damage
        ]
    )


def test_swapped_files_are_named(package_dir):
    first, second = (package_dir / f"sr/routes-0000{n}.bin" for n in (1, 2))
    a, b = first.read_bytes(), second.read_bytes()
    first.write_bytes(b)
    second.write_bytes(a)
    faults = [fault.file for fault in verify_package(package_dir).faults]
    assert faults == ["sr/routes-00001.bin", "sr/routes-00002.bin"]


def test_a_missing_or_untrusted_signature_is_a_fault(package_dir):
    assert verify_package(package_dir, trust=frozenset({"other"})).faults[0].file == "sr/index.bin"
    unsigned = source_of(package_dir)
    del unsigned["signature"]
    put_source(package_dir, unsigned)
    result = verify_package(package_dir)
    assert result.signer is None and "not signed" in result.faults[0].reason


def test_a_failing_self_test_is_a_fault(made_package):
    def load(blob):
        raise PackageError("the self-test gives other pixels")

    faults = verify_package(made_package, self_test=load).faults
    assert [f.file for f in faults] == ["sr/weights-000.bin", "sr/weights-001.bin"]


def _resign_with_routes(package, codes):
    """Replace the first route map by these codes, all hashes and the signature right again."""
    blob = pack_routes(codes)
    (package / "sr/routes-00001.bin").write_bytes(blob)
    index = read_index(package).index
    first, *rest = index.routes
    new = vars(first) | vars(file_entry(package, package / first.file))
    write_index(package, replace(index, routes=(RoutesEntry(**new), *rest)), signing_key())


@pytest.mark.parametrize(
    ("frames", "code", "message"),
    [(1, 2, "of [1, 3, 3] cells, not of"), (None, 2 | 2 << 2, "names network 2")],
)
def test_a_well_signed_map_that_does_not_fit_is_a_fault(package_dir, frames, code, message):
    frames = frames or read_index(package_dir).index.segments[0].frames
    _resign_with_routes(package_dir, np.full((frames, 3, 3), code, np.uint8))
    (fault,) = verify_package(package_dir).faults
    assert fault.file == "sr/routes-00001.bin" and message in fault.reason


def test_blobs_parse_as_the_index_says(made_package):
    for entry in read_index(made_package).index.weights:
        assert unpack_weights((made_package / entry.file).read_bytes()).arch == entry.arch


def test_a_package_whose_encode_goes_on_is_not_called_damaged(package_dir):
    (package_dir / "sr/index.bin").unlink()
    (package_dir / "work").mkdir()
    found = verify_package(package_dir)
    (fault,) = found.faults
    assert "the same command continues" in fault.reason
    with pytest.raises(PackageError, match=r"the same command continues$"):
        found.check()
