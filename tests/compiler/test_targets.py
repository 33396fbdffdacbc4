"""Other targets than the host: the same pixels, and registers that are enough."""

import ctypes
import json
import platform
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from compiler import CompileError, compile_engine
from compiler.emit.kernels import write_object
from compiler.kernels import KERNELS
from compiler.kernels.versions import Version
from compiler.plan.formats import SLACK
from compiler.targets import TARGETS, Target, aarch64_target, find_target
from player.engine import Engine, EngineError

IS_X86 = platform.machine() == "x86_64"
MOST_BYTES = 400_000


def versions_of(targets: list[Target]) -> list[tuple[str, Version]]:
    """Every version of some targets, each once, with the dtype first."""
    found = {
        (dtype, version.name): version
        for target in targets
        for dtype, versions in target.versions.items()
        for version in versions
    }
    return [(dtype, version) for (dtype, _), version in found.items()]


ALL_VERSIONS = versions_of([*(find_target(name) for name in TARGETS), aarch64_target()])
X86_VERSIONS = versions_of([find_target("x86-64-v3"), find_target("x86-64-v4")])


def version_name(value: object) -> object:
    return getattr(value, "name", value)


def test_every_fp32_version_gives_pytorchs_pixels(engine_files, pairs, picture):
    """One after the other; the library's best version is in use again afterwards."""
    arch = list(pairs)[1]
    patch = picture(5 + 6, 64 + 6)
    wanted = pairs[arch].upscale(patch, 2)
    engine = Engine.open(engine_files.shared)
    best, run = engine.isa, []
    for isa in engine.info["isas"]:
        try:
            engine.select_isa(isa)
        except EngineError:
            continue
        run.append(isa)
        network = engine.load(pairs[arch].blob)
        for width in (1, 5, 6, 7, 23, 64):
            part = np.ascontiguousarray(patch[:, : width + 6])
            difference = np.abs(network.upscale(part, 2).astype(int) - wanted[:, : 3 * width])
            assert difference.max() <= 1 and np.mean(difference > 0) < 0.01, (isa, width)
    engine.select_isa(best)
    assert engine.info["isas"][-1] in run


@pytest.mark.parametrize(("dtype", "version"), ALL_VERSIONS, ids=version_name)
def test_tiles_fit_the_registers(dtype, version):
    for blocks in range(1, version.tile.blocks + 1):
        pixels, vectors = version.tile.pixels_of(blocks), blocks * 16 // version.lanes
        assert list(pixels) == sorted(pixels, reverse=True)
        assert pixels[-1] <= SLACK  # a row may run over by less than this
        if not version.is_c:
            assert pixels[0] * vectors + vectors + 1 <= version.registers


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(CompileError, match="host"):
        find_target("z80")
    with pytest.raises(CompileError, match="dtype"):
        compile_engine("host", tmp_path, "fp8")
    assert list(tmp_path.iterdir()) == []


def test_the_library_needs_python_numpy_and_nothing_else(
    engine_files, pairs, default_arch, tmp_path
):
    blob = tmp_path / "weights.bin"
    blob.write_bytes(pairs[default_arch].blob)
    script = """
import ctypes, json, sys
import numpy as np
library = ctypes.CDLL(sys.argv[1])
library.psr_build_info.restype = ctypes.c_char_p
data = open(sys.argv[2], "rb").read()
net, pool = ctypes.c_void_p(), ctypes.c_void_p()
assert library.psr_abi() == 5
assert library.psr_net_open(data, ctypes.c_size_t(len(data)), ctypes.byref(net)) == 0
assert library.psr_pool_open(2, ctypes.byref(pool)) == 0
lr, hr = np.full((20, 30, 3), 100, np.uint8), np.zeros((80, 120, 3), np.uint8)
patch, nets = np.array([[0, 0, 20, 30, 0, 0]], np.int32), (ctypes.c_void_p * 1)(net.value)
stride = ctypes.c_ssize_t
assert library.psr_frame(pool, nets, 1, ctypes.c_void_p(patch.ctypes.data), 1,
    ctypes.c_void_p(lr.ctypes.data), stride(90), 20, 30,
    ctypes.c_void_p(hr.ctypes.data), stride(360)) == 0
assert (hr == 100).all()
library.psr_pool_close(pool)
library.psr_net_close(net)
assert not {"torch", "tvm"} & set(sys.modules)
print(json.dumps(json.loads(library.psr_build_info())))
"""
    command = [sys.executable, "-c", script, str(engine_files.shared), str(blob)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    info = json.loads(done.stdout)
    assert info["dtype"] == "fp32" and info["target"] == "host"
    assert info["family"] == {
        "architectures": ["chain", "espcn", "wdsr"], "scales": [1, 1.5, 2, 3, 4],
        "units": [1, 2, 3], "depth": 12, "width": 256, "exits": 4,
    }  # fmt: skip


def test_the_library_exports_the_interface_and_nothing_else(engine_files):
    header = engine_files.header.read_text(encoding="utf-8")
    declared = set(re.findall(r"\b(psr_\w+)\(", header))
    assert len(declared) == 23
    library = ctypes.CDLL(str(engine_files.shared))
    assert all(hasattr(library, name) for name in declared)
    assert not hasattr(library, "psr_blob_parse")
    assert not hasattr(library, "psr_avx2_conv_i16_o1_p4")


def test_compiling_again_replaces_the_engine(c_files, engine_files, monkeypatch, tmp_path):
    out, built = tmp_path / "out", tmp_path / "built"
    shutil.copytree(c_files("fp32").shared.parent, out)
    shutil.copytree(engine_files.shared.parent, built)
    monkeypatch.setattr("compiler.engine._build", lambda *_: built)  # as it was compiled before
    files = compile_engine("host", out, "fp32")
    assert json.loads(files.info.read_text(encoding="utf-8"))["target"] == "host"
    names = {p.name for p in out.iterdir()}  # not the folder of C files
    assert names == {"libpocketsr.so", "libpocketsr.a", "pocketsr.h", "engine.json", "psr-bench"}


def test_the_library_of_the_whole_family_is_small(engine_files, int8_files):
    """The int8 one has every version of this processor, plain C among them."""
    for files in (engine_files, int8_files):
        assert files.shared.stat().st_size < MOST_BYTES


# Those of int8 are test_arm_kernels.py's too, as Android's.
@pytest.mark.parametrize("dtype", ["fp32", pytest.param("int8", marks=pytest.mark.slow)])
def test_the_kernels_of_arm_compile_without_a_runtime(dtype, tmp_path):
    """What an aarch64 host would link; this machine cannot run it."""
    machine = aarch64_target()
    for version in machine.versions[dtype]:
        write_object(KERNELS[dtype].functions(version), machine, version, tmp_path / "k.o")
        elf = (tmp_path / "k.o").read_bytes()
        assert elf[:4] == b"\x7fELF" and int.from_bytes(elf[18:20], "little") == 183  # EM_AARCH64
        assert b"TVMFFI" not in elf and b"TVMBackend" not in elf  # no call into its runtime
