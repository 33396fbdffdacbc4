"""psr-bench on this machine: its interface, its checksums, its refusals."""

import zlib

import numpy as np
import pytest

from player.package.paths import BICUBIC, PATH_NAMES
from tests.compiler.opening import patched
from tests.compiler.seeded import bench_json, run_bench, seeded_frame

HARD = 2
KEYS = ["fps_p50", "fps_p95", "crc32", "arena_bytes", "isa"]


@pytest.fixture(scope="module")
def weights(pairs, default_arch, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "weights.bin"
    path.write_bytes(pairs[default_arch].blob)
    return path


def test_the_checksum_is_that_of_the_engines_frames(
    engine_files, engine, networks, weights, default_arch
):
    found = bench_json([engine_files.bench], f"--weights {weights} --size 9x14 --frames 3")
    network, crc = networks[default_arch], 0
    halo = network.halo_px(HARD)
    for i in range(3):
        padded = np.pad(seeded_frame(i, 9, 14), [(halo, halo), (halo, halo), (0, 0)], "edge")
        crc = zlib.crc32(network.upscale(padded, HARD).tobytes(), crc)
    assert list(found)[:5] == KEYS
    assert found["crc32"] == f"{crc:08x}"
    assert found["arena_bytes"] == network.arena_bytes(HARD, 9, 14)
    assert found["fps_p50"] >= found["fps_p95"] > 0
    assert found["isa"] in engine.info["isas"]


def test_threads_and_instruction_sets_are_told_apart_by_time_alone(engine_files, engine, weights):
    options = f"--weights {weights} --size 40x30 --frames 2 --threads 3"
    found = bench_json([engine_files.bench], options)
    assert [run["threads"] for run in found["threads"]] == [1, 2, 3]
    assert found["threads"][-1]["fps_p50"] == found["fps_p50"]
    same = bench_json([engine_files.bench], f"{options} --isa {found['isa']}")
    assert (same["isa"], same["crc32"]) == (found["isa"], found["crc32"])


def test_given_frames_are_taken_in_turn_and_the_result_is_written(
    engine_files, networks, weights, default_arch, picture, tmp_path
):
    frames = np.stack([picture(6, 11), picture(6, 11)[::-1]])
    lr, hr = tmp_path / "lr.rgb", tmp_path / "hr.rgb"
    lr.write_bytes(frames.tobytes())
    options = f"--weights {weights} --path bicubic --size 6x11 --frames 3 --lr {lr} --out {hr}"
    found = bench_json([engine_files.bench], options)
    written = np.fromfile(hr, np.uint8).reshape(3, 24, 44, 3)
    padded = [np.pad(frame, [(2, 2), (2, 2), (0, 0)], "edge") for frame in frames]
    first, second = (networks[default_arch].upscale(p, BICUBIC) for p in padded)
    assert (written == np.stack([first, second, first])).all()
    assert found["crc32"] == f"{zlib.crc32(written.tobytes()):08x}"


def test_people_get_a_line_a_thread_count(engine_files, weights):
    done = run_bench([engine_files.bench], f"--weights {weights} --size 5x5 --frames 1 --threads 2")
    assert done.returncode == 0
    assert "1 thread " in done.stdout and "2 threads" in done.stdout and "crc32" in done.stdout


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ("", 2, "--weights BLOB is missing"),
        ("--weights", 2, "--weights: needs a value"),
        ("--weights W --speed 3", 2, "--speed is not an option"),
        ("--weights W --size 270", 2, "HEIGHTxWIDTH"),
        ("--weights W --size 0x9", 2, "from 1 to 8192"),
        ("--weights W --size 9x9999", 2, "from 1 to 8192"),
        ("--weights W --frames many", 2, "number from 1"),
        ("--weights W --frames 99999999999", 2, "number from 1"),
        ("--weights W --threads 65", 2, "number from 1 to 64"),
        ("--weights W --path slow", 2, "bicubic, easy, middle, upper or hard"),
        ("--weights W --isa z80", 2, "z80"),
        ("--weights nowhere.bin", 3, "nowhere.bin: cannot be read"),
        ("--weights .", 3, "cannot be read"),
        ("--weights W --lr nowhere.rgb", 3, "nowhere.rgb: cannot be read"),
        ("--weights W --lr W --size 8x8", 3, "no whole frames of 8x8"),
        ("--weights W --size 8x8 --out nowhere/x", 3, "cannot be written"),
        ("--weights DAMAGED", 5, "checksum"),
        ("--weights SHORT", 5, "it is too short"),
        ("--weights NEWER", 5, "its version is newer than this engine"),
        ("--weights WIDER", 3, "a width is not a multiple of 4 in 4..256"),
    ],
)
def test_what_it_refuses(options, code, message, engine_files, weights, tmp_path):
    blob = weights.read_bytes()
    (tmp_path / "damaged").write_bytes(blob[:100] + bytes([blob[100] ^ 1]) + blob[101:])
    (tmp_path / "short").write_bytes(blob[:10])
    (tmp_path / "newer").write_bytes(patched(blob, 4, b"\4"))
    (tmp_path / "wider").write_bytes(patched(blob, 12, b"\x04\x01"))
    for name in ("damaged", "short", "newer", "wider"):
        options = options.replace(name.upper(), str(tmp_path / name))
    options = options.replace("W ", f"{weights} ")
    done = run_bench([engine_files.bench], options, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert message in done.stderr and done.stderr.startswith("psr-bench: ")
    assert done.stderr.count("\n") == 1 and not done.stdout


def test_a_path_or_a_network_that_is_not_there(engine_files, pairs, tiny_arch, tmp_path):
    blob = tmp_path / "tiny.bin"
    blob.write_bytes(pairs[tiny_arch].blob)
    done = run_bench([engine_files.bench], f"--weights {blob} --path easy")
    assert (done.returncode, "no such path" in done.stderr) == (3, True)


@pytest.mark.parametrize("path", PATH_NAMES)
def test_every_path_of_a_network_on_units(path, engine_files, networks, pairs, picture, tmp_path):
    """A frame that ends within a unit: all of it is upscaled, nothing more written."""
    arch = next(arch for arch in networks if len(arch.exits) == len(PATH_NAMES) - 1)
    blob, lr, hr = (tmp_path / name for name in ("units.bin", "lr.rgb", "hr.rgb"))
    frame, number = picture(7, 11), PATH_NAMES.index(path)
    blob.write_bytes(pairs[arch].blob)
    lr.write_bytes(frame.tobytes())
    options = f"--weights {blob} --path {path} --size 7x11 --frames 1 --lr {lr} --out {hr}"
    assert bench_json([engine_files.bench], options)["path"] == path
    halo = networks[arch].halo_px(number)
    padded = np.pad(frame, [(halo, halo + 1), (halo, halo + 1), (0, 0)], "edge")
    wanted = networks[arch].upscale(padded, number)[:7, :11]
    assert np.array_equal(np.fromfile(hr, np.uint8).reshape(wanted.shape), wanted)
