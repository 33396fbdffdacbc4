"""The engine for Android: the file that its loader sees, and, under qemu, the pixels.

One engine a dtype is compiled for android-arm64. Where qemu-aarch64 is missing (`make tools`
installs it), the tests that run ARM code are skipped.
"""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from compiler import CompileError
from compiler.emit import link
from compiler.emit.link import BIONIC, compile_c, export_map
from compiler.engine import BENCH, RUNTIME
from compiler.targets import find_target
from player.package.architecture import Architecture
from player.package.paths import PATH_NAMES
from tests.compiler import elf
from tests.compiler.int8_cases import (
    ARCHITECTURES,
    KINDS,
    blob,
    case_name,
    cases,
    picture,
    tensors,
)
from tests.compiler.seeded import bench_json, reference_crc, reference_frame, run_bench

ANDROID = find_target("android-arm64")
LOADER = Path(__file__).parent / "android" / "load_library.c"
PAGE = 16384
QEMU = shutil.which("qemu-aarch64")
needs_qemu = pytest.mark.skipif(
    QEMU is None, reason="no qemu-aarch64 to run ARM code with: `make tools`"
)
CPUS = {"cortex-a53": "neon", "cortex-a76": "dotprod", "max": "i8mm"}
FAST_KINDS = ("extreme",)
SAMPLES = [
    pytest.param(c, marks=[] if c.kind in FAST_KINDS else pytest.mark.slow, id=case_name(c))
    for c in cases(*KINDS)
]


@pytest.fixture
def files(android_files):
    return android_files("int8")


@pytest.fixture
def library(files) -> elf.Library:
    return elf.read_library(files.shared.read_bytes())


@pytest.fixture(scope="module")
def blob_file(tmp_path_factory):
    """The file with an architecture's weights of a kind."""
    folder = tmp_path_factory.mktemp("blobs")

    def write(arch: Architecture, kind: str = "extreme") -> Path:
        path = folder / f"{ARCHITECTURES.index(arch)}-{kind}.bin"
        if not path.exists():
            path.write_bytes(blob(arch, kind))
        return path

    return write


def emulated(program: Path, cpu: str = "max") -> list[str | Path]:
    return [str(QEMU), "-cpu", cpu, program]


# ---- the files ----


def test_the_library_is_one_that_android_loads(library):
    assert library.machine == 183  # EM_AARCH64
    assert library.soname == "libpocketsr.so"
    assert set(library.needed) <= set(BIONIC) and "libc.so" in library.needed
    assert library.undefined <= {name for names in BIONIC.values() for name in names}
    assert not library.has_versions  # LIBC, GLIBC_2.x: bionic's own are found without
    assert not library.has_text_relocations
    assert library.relocations <= {257, 1025, 1026, 1027}  # ABS64, GLOB_DAT, JUMP_SLOT, RELATIVE


def test_the_library_exports_the_interface(library, files):
    declared = set(re.findall(r"(\w+);", export_map(files.header.read_text(encoding="utf-8"))))
    assert library.exported == declared and "psr_frame" in declared


def test_no_page_of_16_kb_has_two_protections(library):
    loads = [s for s in library.segments if s.kind == elf.PT_LOAD]
    ends = [-(-(s.address + s.memory_bytes) // PAGE) * PAGE for s in loads]
    assert all(s.alignment >= PAGE and (s.address - s.offset) % PAGE == 0 for s in loads)
    assert all(e <= s.address // PAGE * PAGE for e, s in zip(ends, loads[1:], strict=False))
    assert not any(s.flags & elf.WRITABLE and s.flags & elf.EXECUTABLE for s in library.segments)
    (relro,) = (s for s in library.segments if s.kind == elf.PT_GNU_RELRO)
    end = -(-(relro.address + relro.memory_bytes) // PAGE) * PAGE
    assert all(s.address >= end or s.address <= relro.address for s in loads)
    assert not any(s.kind == elf.PT_TLS for s in library.segments)  # emulated before Android 10


def test_the_files_are_small_and_whole(files):
    assert files.shared.stat().st_size < 400_000
    assert files.archive.read_bytes()[:8] == b"!<arch>\n"
    program = files.bench.read_bytes()
    assert int.from_bytes(program[18:20], "little") == 183
    assert b"ld-musl" not in program and b"/ld-linux" not in program  # needs no loader
    assert os.access(files.bench, os.X_OK)


def test_a_function_that_bionic_lacks_is_refused(tmp_path):
    source, header = tmp_path / "a.c", tmp_path / "a.h"
    source.write_text("int secure_getenv_r(void);\nint psr_a(void) { return secure_getenv_r(); }\n")
    header.write_text("PSR_API int psr_a(void);\n")
    compile_c(source, (tmp_path,), ANDROID, tmp_path / "a.o")
    with pytest.raises(CompileError, match="secure_getenv_r"):
        link.link([tmp_path / "a.o"], header, ANDROID, tmp_path / "a.so", tmp_path / "a.a")


def test_the_c_files_leave_register_18_alone(tmp_path):
    """Generated from a function that wants every register there is."""
    names = [f"v{i}" for i in range(40)]
    body = "".join(f"long {n} = p[{i}];\n" for i, n in enumerate(names))
    body += "for (long k = 0; k < p[99]; ++k) {\n"
    body += "".join(f"{n} += {names[(i * 7 + 1) % 40]} ^ k;\n" for i, n in enumerate(names)) + "}\n"
    body += "".join(f"p[{i}] = {n};\n" for i, n in enumerate(names))
    source, out = tmp_path / "a.c", tmp_path / "a.o"
    source.write_text(f"void psr_a(long *p);\nvoid psr_a(long *p) {{\n{body}}}\n")
    compile_c(source, (tmp_path,), ANDROID, out)
    linux = dataclasses.replace(ANDROID, triple="aarch64-unknown-linux-musl")
    compile_c(source, (tmp_path,), linux, tmp_path / "b.o")
    assert 18 in registers_written(tmp_path / "b.o") and 18 not in registers_written(out)


def registers_written(path: Path) -> set[int]:
    """Destinations of the additions and exclusive ors of two registers in an object's code."""
    words = np.frombuffer(elf.code_of(path.read_bytes()), "<u4")
    wanted = (words & 0xFFE00000 == 0x8B000000) | (words & 0xFFE00000 == 0xCA000000)
    return set((words[wanted] & 31).tolist())


# ---- what is missing ----


def test_unknown_targets_are_told_the_known_ones():
    with pytest.raises(CompileError, match=r"host.*android-arm64"):
        find_target("android-mips")


def test_without_a_linker_the_message_names_the_package(monkeypatch, tmp_path):
    (tmp_path / "a.c").write_text("int a;\n")
    monkeypatch.setattr(link, "ZIG", [sys.executable, "-I", "-S", "-m", "ziglang"])
    with pytest.raises(CompileError, match="pip install ziglang"):
        compile_c(tmp_path / "a.c", (tmp_path,), ANDROID, tmp_path / "a.o")


# ---- the pixels ----


@needs_qemu
@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("sample", SAMPLES)
def test_int8_gives_the_bits_of_the_reference(sample, cpu, files, blob_file, tmp_path):
    """A frame of random size; each processor takes its own version and runs the self-test first."""
    draw = np.random.default_rng(zlib.crc32(f"{case_name(sample)} {cpu}".encode()))
    height, width = int(draw.integers(1, 9)), int(draw.integers(1, 40))
    frame = picture(sample.kind, sample.halo_px, sample.arch.units)[:height, :width]
    lr, hr = tmp_path / "lr.rgb", tmp_path / "hr.rgb"
    lr.write_bytes(frame.tobytes())
    options = f"--weights {blob_file(sample.arch, sample.kind)} --path {PATH_NAMES[sample.path]}"
    options += f" --size {height}x{width} --frames 1 --lr {lr} --out {hr}"
    found = bench_json(emulated(files.bench, cpu), options)
    wanted = reference_frame(sample.arch, tensors(sample.arch, sample.kind), sample.path, frame)
    assert found["isa"] == CPUS[cpu]
    assert np.array_equal(np.fromfile(hr, np.uint8), wanted.reshape(-1)), (height, width)


@needs_qemu
@pytest.mark.parametrize("cpu", CPUS)
def test_every_remainder_of_the_tiles(cpu, files, blob_file):
    """All widths up to twice the largest tile."""
    sample = ARCHITECTURES[1]
    for width in range(1, 11):
        options = f"--weights {blob_file(sample)} --size 2x{width} --frames 2"
        found = bench_json(emulated(files.bench, cpu), options)
        assert found["crc32"] == reference_crc(sample, tensors(sample, "extreme"), 2, (2, width))


@needs_qemu
@pytest.mark.parametrize("path", PATH_NAMES)
def test_the_checksum_is_that_of_this_machine(path, files, int8_files, blob_file):
    arch = next(arch for arch in ARCHITECTURES if len(arch.exits) == len(PATH_NAMES) - 1)
    options = f"--weights {blob_file(arch)} --path {path} --size 40x71"
    programs = emulated(files.bench), [int8_files.bench]
    arm, here = (bench_json(p, f"{options} --frames 1 --threads 2") for p in programs)
    assert arm["crc32"] == here["crc32"] and arm["arena_bytes"] == here["arena_bytes"]


@needs_qemu
def test_a_processor_runs_lesser_versions_and_refuses_better_ones(files, blob_file):
    options = f"--weights {blob_file(ARCHITECTURES[1])} --size 6x9 --frames 1"
    program = emulated(files.bench, "cortex-a76")
    crcs = {bench_json(program, f"{options} --isa {i}")["crc32"] for i in ("neon", "dotprod")}
    assert len(crcs) == 1
    done = run_bench(program, f"{options} --isa i8mm")
    assert (done.returncode, "uses dotprod" in done.stderr) == (2, True)


@needs_qemu
def test_the_shared_library_gives_the_same_bits(files, blob_file, tmp_path):
    """Loaded from its file with pages of 16 KB, by a program that knows only what bionic does."""
    program = tmp_path / "load"
    # Flags of `link_program`: with any others zig would build a second C library, for a minute.
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-musl", "-static"]
    command += ["-O2", "-s", "-Wall", "-Wextra", "-Werror", "-I", str(RUNTIME)]
    command += [str(BENCH), str(LOADER)]
    subprocess.run([*command, "-o", str(program)], check=True, capture_output=True)
    environment = {**os.environ, "PSR_LIBRARY": str(files.shared)}
    for arch in ARCHITECTURES[:2]:
        options = f"--weights {blob_file(arch)} --size 7x23 --frames 2 --threads 2"
        found = bench_json(emulated(program), options, env=environment)
        assert found["isa"] == "i8mm"
        assert found["crc32"] == reference_crc(arch, tensors(arch, "extreme"), 2, (7, 23))


@needs_qemu
def test_fp32_is_within_a_code_value_of_this_machine(
    arch, pairs, engine_files, android_files, tmp_path
):
    weights, pixels = tmp_path / "weights.bin", []
    weights.write_bytes(pairs[arch].blob)
    for program in (emulated(android_files("fp32").bench, "cortex-a53"), [engine_files.bench]):
        out = tmp_path / "out.rgb"
        bench_json(program, f"--weights {weights} --size 7x23 --frames 2 --out {out}")
        pixels.append(np.fromfile(out, np.uint8).astype(int))
    assert np.abs(pixels[0] - pixels[1]).max() <= 1 and pixels[0].std() > 10
