"""The router in the engine: the bits of sr/router/reference.py, on every target, of every size."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.emit.link import link_program
from compiler.engine import RUNTIME
from compiler.targets import find_target
from player.engine import Engine, EngineError, Router
from player.package.router_blob import RouterSizes, pack_router_blob
from sr.router import reference
from tests.compiler.fenced import fenced
from tests.compiler.opening import CRC, FORMAT, LIMIT, OK, SELFTEST, patched
from tests.router.random_router import DEFAULT, SIZES, noise, random_router, size_name

FRAMES = ((1, 1), (1, 40), (40, 1), (11, 13), (12, 12), (13, 37), (70, 101))
QEMU = shutil.which("qemu-aarch64")
CPUS = ("cortex-a53", "cortex-a76", "max")  # neon, dotprod, i8mm
PROGRAM = Path(__file__).parent / "router" / "route_file.c"


def opened(engine: Engine, sizes: RouterSizes, extreme: bool = False) -> Router:
    return engine.load_router(pack_router_blob(random_router(sizes, 1, extreme)))


def assert_exact(engine: Engine, sizes: RouterSizes, extreme: bool) -> None:
    """Every frame size; typical weights reach several paths."""
    blob, router = random_router(sizes, 1, extreme), opened(engine, sizes, extreme)
    seen = set()
    for number, size in enumerate(FRAMES):
        frame = noise(*size, number)
        wanted = reference.route(blob, frame)
        assert np.array_equal(router.route(frame), wanted), (engine.isa, size)
        seen |= set(wanted.ravel().tolist())
    assert extreme or len(seen) > 1


@pytest.mark.parametrize("extreme", [False, True], ids=["typical", "extreme"])
@pytest.mark.parametrize("sizes", SIZES, ids=size_name)
def test_every_version_is_exact(sizes, extreme, int8_engine, int8_isas):
    for isa in int8_isas:
        int8_engine.select_isa(isa)
        assert_exact(int8_engine, sizes, extreme)


@pytest.mark.parametrize("sizes", SIZES, ids=size_name)
def test_an_fp32_engine_routes_in_the_same_integers(sizes, engine):
    for extreme in (False, True):
        assert_exact(engine, sizes, extreme)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), sizes=st.sampled_from(SIZES[:3]), seed=st.integers(0, 99))
def test_random_frames_and_routers_are_exact(data, sizes, seed, int8_engine, int8_isas):
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 60))
    blob, frame = random_router(sizes, seed), noise(height, width, seed)
    int8_engine.select_isa(data.draw(st.sampled_from(int8_isas)))
    router = int8_engine.load_router(pack_router_blob(blob))
    assert np.array_equal(router.route(frame), reference.route(blob, frame))


@pytest.mark.parametrize("sizes", SIZES, ids=size_name)
def test_nothing_outside_is_touched(sizes, engine, int8_engine, int8_isas):
    """Each buffer ends, or begins, at a page that no one may touch; rows are apart; all equal."""
    blob, frame = random_router(sizes, 1), noise(41, 53, 3)
    wanted, stride = reference.route(blob, frame), 3 * 53 + 5
    engines = [(engine, engine.isa), *((int8_engine, isa) for isa in int8_isas)]
    for each, isa in engines:
        each.select_isa(isa)
        router = each.load_router(pack_router_blob(blob))
        for at_end in (True, False):
            lr = fenced(40 * stride + 3 * 53, 1, at_end)
            for y, row in enumerate(frame):
                lr[y * stride : y * stride + 3 * 53] = row.reshape(-1)
            paths = fenced(wanted.size, 1, at_end)
            arena = fenced(router.arena_bytes(41, 53), 64, at_end)
            arena[:] = 0xA5
            code = route(router, lr, stride, (41, 53), paths, arena)
            assert code == OK and np.array_equal(paths, wanted.reshape(-1)), (isa, at_end)


def route(router, lr, stride, size, paths, arena) -> int:
    address = [array.ctypes.data for array in (lr, paths, arena)]
    return int(
        router.library.psr_route(router.handle, address[0], stride, *size, address[1], address[2])
    )


def test_a_view_of_a_frame_is_routed_where_it_lies(int8_engine):
    blob, whole = random_router(DEFAULT, 1), noise(60, 90, 2)
    router = int8_engine.load_router(pack_router_blob(blob))
    view = whole[7:50:1, 11:70]
    assert np.array_equal(router.route(view), reference.route(blob, np.ascontiguousarray(view)))
    with pytest.raises(EngineError, match="RGB24"):
        router.route(whole[:, ::2])


def test_what_the_blob_says_of_itself(int8_engine):
    router = opened(int8_engine, SIZES[2])
    assert (router.cell_px, router.hold_frames) == (8, 3)
    assert router.arena_bytes(0, 8) == router.arena_bytes(8, 8193) == 0
    assert router.arena_bytes(8192, 480) == router.arena_bytes(1, 480) < 1 << 18
    router.close()


def test_wrong_arguments_are_told(int8_engine):
    router, frame = opened(int8_engine, DEFAULT), noise(12, 12)
    paths, arena = np.zeros(1, np.uint8), fenced(router.arena_bytes(12, 12), 64)
    for size in ((0, 12), (12, 0), (12, 8193), (-1, 12)):
        assert route(router, frame, 36, size, paths, arena) == 7
    assert route(router, frame, 36, (12, 12), paths, arena[1:]) == 7
    assert router.library.psr_route(None, None, 36, 12, 12, None, None) == 7
    assert router.library.psr_router_open(None, 0, None) == 7
    assert router.library.psr_router_cell_px(None) == 0
    router.library.psr_router_close(None)


def open_code(engine: Engine, data: bytes) -> int:
    """The code of psr_router_open; what it opened is closed again."""
    handle = ctypes.c_void_p()
    code = engine.library.psr_router_open(data, len(data), ctypes.byref(handle))
    assert bool(handle) == (code == OK)
    engine.library.psr_router_close(handle)
    return int(code)


def test_every_damage_has_its_code(int8_engine, engine):
    blob = pack_router_blob(random_router(DEFAULT, 1))
    classes = len(blob) - 8 - 3 * 9  # where offsets begin
    flipped = blob[:40] + bytes([blob[40] ^ 1]) + blob[41:]
    damages = {
        "whole": (blob, OK), "short": (blob[:20], FORMAT), "flipped": (flipped, CRC),
        "magic": (patched(blob, 3, b"R"), FORMAT), "version": (patched(blob, 4, b"\2"), FORMAT),
        "cell": (patched(blob, 5, b"\x0d"), LIMIT), "wide cell": (patched(blob, 5, b"\x24"), LIMIT),
        "class": (patched(blob, 6, b"\1"), LIMIT), "classes": (patched(blob, 6, b"\4"), FORMAT),
        "hold": (patched(blob, 7, b"\0"), LIMIT), "width": (patched(blob, 8, b"\x11"), LIMIT),
        "weight": (patched(blob, 16, b"\x80"), LIMIT),
        "offset": (patched(blob, classes + 3, b"\x20"), LIMIT),
        "margin": (patched(blob, classes + 15, b"\x80"), LIMIT),
        "path": (patched(blob, classes + 24, b"\3"), LIMIT),
        "self-test": (patched(blob, len(blob) - 8, b"\0\0\0\0"), SELFTEST),
        "centre": (patched(blob, classes - 192, bytes(192)), SELFTEST),
        "far centre": (patched(blob, classes - 1, b"\4"), LIMIT),
        "long": (bytes(1 << 20), LIMIT),
        "map": (b"PSRR" + blob[4:], FORMAT),
    }  # fmt: skip
    for each in (int8_engine, engine):
        assert {n: open_code(each, d) for n, (d, _) in damages.items()} == {
            n: code for n, (_, code) in damages.items()
        }


def test_engines_of_the_target_c_are_exact(c_files):
    engine = Engine.open(c_files("int8").shared)
    for sizes in SIZES:
        assert_exact(engine, sizes, extreme=True)


@pytest.mark.skipif(QEMU is None, reason="no qemu-aarch64 to run ARM code with: `make tools`")
@pytest.mark.parametrize("dtype", ["int8", "fp32"])
def test_android_gives_the_bits_of_the_reference(dtype, android_files, tmp_path):
    """Each processor takes its own kernels; rows have bytes between them."""
    program, archive = tmp_path / "route", android_files(dtype).archive
    link_program(PROGRAM, archive, RUNTIME, find_target("android-arm64"), program)
    for number, sizes in enumerate(SIZES):
        for extreme in (False, True):
            blob, (height, width) = random_router(sizes, 1, extreme), FRAMES[-1 - number]
            frame = noise(height, width, number)
            (tmp_path / "router.bin").write_bytes(pack_router_blob(blob))
            (tmp_path / "lr.rgb").write_bytes(frame.tobytes())
            for cpu in CPUS:
                found = run_program(program, cpu, tmp_path, height, width)
                assert found == reference.route(blob, frame).tobytes(), (sizes, cpu)


def run_program(program: Path, cpu: str, folder: Path, height: int, width: int) -> bytes:
    files = [str(folder / name) for name in ("router.bin", "lr.rgb")]
    command = [str(QEMU), "-cpu", cpu, str(program), *files, str(height), str(width)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout
