"""`pocketsr compile` given what it cannot take: an exit code, and one line that names the place."""

import signal
import struct
import zlib

import numpy as np
import pytest

from player.package.architecture import Architecture, tensor_layout
from player.package.weights import INT8, pack_weights
from sr.cli import main
from tests.player.indexes import sign_again

USAGE, REFUSED = 2, 5
WEIGHTS = "sr/weights-001.bin"


@pytest.fixture
def refused(monkeypatch, capsys):
    """Runs the command, which must fail with a code; returns its only line on stderr.

    In this process: a new one would spend seconds on imports for each test.
    """
    before = signal.getsignal(signal.SIGTERM)

    def run(code: int, *arguments: object) -> str:
        monkeypatch.setattr("sys.argv", ["pocketsr", "compile", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        said = capsys.readouterr()
        assert (stopped.value.code, said.out) == (code, ""), said.err
        (line,) = said.err.splitlines()
        return line

    yield run
    signal.signal(signal.SIGTERM, before)


def damage(package, change) -> None:
    """Replace the second network's blob by what `change` makes of it, checksum and index mended."""
    path = package / WEIGHTS
    body = change(bytearray(path.read_bytes()[:-4]))
    path.write_bytes(bytes(body) + struct.pack("<I", zlib.crc32(body)))
    sign_again(package)


def test_an_unknown_target_is_told_which_there_are(package_dir, refused):
    line = refused(USAGE, package_dir, "--target", "toaster")
    assert "'toaster'" in line
    assert "host" in line and "x86-64-v3" in line and "android-arm64" in line


def test_an_unknown_number_format_is_told_which_there_are(package_dir, refused):
    line = refused(USAGE, package_dir, "--dtype", "int4")
    assert "'int4'" in line and "int8" in line and "fp32" in line


def test_a_folder_that_is_no_package(tmp_path, refused):
    assert "index.bin" in refused(REFUSED, tmp_path)


def test_a_blob_with_a_wrong_checksum(package_dir, refused):
    path = package_dir / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    sign_again(package_dir)
    line = refused(REFUSED, package_dir)
    assert WEIGHTS in line and "checksum" in line


def test_a_blob_that_ends_early(package_dir, refused):
    damage(package_dir, lambda body: body[:100])
    line = refused(REFUSED, package_dir)
    assert WEIGHTS in line and "length" in line


def test_a_width_over_the_limit(package_dir, refused):
    damage(package_dir, lambda body: body[:12] + struct.pack("<H", 1024) + body[14:])
    line = refused(REFUSED, package_dir)
    assert WEIGHTS in line and "1024" in line and "256" in line


def test_a_number_that_is_not_finite(package_dir, refused):
    damage(package_dir, lambda body: body[:24] + np.float16(np.nan).tobytes() + body[26:])
    line = refused(REFUSED, package_dir)
    assert WEIGHTS in line and "finite" in line


def test_a_network_of_another_shape_than_the_index_says(package_dir, refused):
    arch = Architecture("chain", 2, (8, 8), (1, 2))
    tensors = {s.name: np.zeros(s.shape, np.float32) for s in tensor_layout(arch)}
    (package_dir / WEIGHTS).write_bytes(pack_weights(arch, tensors))
    sign_again(package_dir)
    line = refused(REFUSED, package_dir)
    assert WEIGHTS in line and "architecture" in line


def test_a_blob_that_is_gone(package_dir, refused):
    (package_dir / WEIGHTS).unlink()
    assert WEIGHTS in refused(REFUSED, package_dir)


def test_a_blob_that_is_not_the_one_of_the_index(package_dir, refused):
    (package_dir / WEIGHTS).write_bytes((package_dir / "sr/weights-000.bin").read_bytes())
    line = refused(REFUSED, package_dir)
    assert WEIGHTS in line and "SHA-256" in line


def int8_tensors(arch: Architecture) -> dict[str, np.ndarray]:
    tensors: dict[str, np.ndarray] = {}
    for weight, bias in zip(tensor_layout(arch)[::2], tensor_layout(arch)[1::2], strict=True):
        tensors[weight.name] = np.ones(weight.shape, np.int8)
        tensors[bias.name] = np.zeros(bias.shape, np.int32)
        tensors[bias.name.replace("bias", "multiplier")] = np.ones(bias.shape, np.float32)
    return tensors


@pytest.mark.parametrize(
    ("at", "number", "words"),
    [
        # The first layer of (4, 4): 108 weights, 4 biases, 4 multipliers, behind 24 bytes.
        (24, struct.pack("<b", -128), ("trunk.0", "-128")),
        (24 + 108 + 4, struct.pack("<i", 1 << 24), ("trunk.0", "output 1", "2^24")),
        (24 + 108 + 16 + 8, struct.pack("<f", 64.0), ("trunk.0", "output 2", "64")),
        (24 + 108 + 16 + 8, struct.pack("<f", np.nan), ("trunk.0", "output 2", "nan")),
    ],
)
def test_integers_that_break_their_bounds(package_dir, refused, at, number, words):
    arch = Architecture("chain", 2, (4, 4), (1, 2))
    (package_dir / WEIGHTS).write_bytes(pack_weights(arch, int8_tensors(arch), INT8))
    damage(package_dir, lambda body: body[:at] + number + body[at + len(number) :])
    line = refused(REFUSED, package_dir)
    assert all(word in line for word in (WEIGHTS, *words)), line
