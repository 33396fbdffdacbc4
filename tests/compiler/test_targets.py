"""Other targets than the host: the same pixels, and registers that are enough."""

import ctypes
import json
import platform
import re
import subprocess
import sys

import numpy as np
import pytest

from compiler import CompileError, Network, compile_engine
from compiler.kernels import all_kernels, convolution_tiles
from compiler.objects import write_object
from compiler.targets import TARGETS, aarch64_target, find_target
from player.engine import Engine

IS_X86 = platform.machine() == "x86_64"
HAS_AVX512 = IS_X86 and find_target("host").isa == "avx512"


@pytest.mark.parametrize("name", ["x86-64-v3", "x86-64-v4"])
def test_the_same_pixels_as_the_host(name, exported, pairs, networks, picture, tmp_path):
    if not IS_X86 or (name == "x86-64-v4" and not HAS_AVX512):
        pytest.skip("this processor cannot run it")
    chosen = exported[1]
    files = compile_engine([chosen], name, tmp_path)
    network = Engine.open(files.shared).load(pairs[chosen.arch].blob)
    for width in (1, 5, 6, 7, 23, 64):
        patch = picture(5 + 6, width + 6)
        ours, hosts = (n.upscale(patch, 2) for n in (network, networks[chosen.arch]))
        assert np.abs(ours.astype(int) - hosts).max() <= 1
    assert json.loads(files.info.read_text())["target"] == name


@pytest.mark.parametrize("name", TARGETS)
def test_tiles_fit_the_registers(name):
    target = find_target(name)
    vectors = target.tile.blocks * 16 // target.lanes
    for pixels in target.tile.pixels:
        assert pixels * vectors + vectors + 1 <= target.registers
    assert list(target.tile.pixels) == sorted(target.tile.pixels, reverse=True)
    assert target.tile.pixels[-1] <= 4  # plan.SLACK_PX, what a row may run over


@pytest.mark.skipif(not HAS_AVX512, reason="reads AVX-512 assembly")
def test_the_innermost_loop_spills_nothing(tmp_path):
    """No multiply-add may take its sum from the stack: that would be a spilled accumulator."""
    target = find_target("x86-64-v4")
    names = {t.name for t in convolution_tiles(target)}
    kernels = {n: k for n, k in all_kernels(target).items() if n in names}
    write_object(kernels, target, tmp_path / "k.o")
    disassembler = ["objdump", "-d", "--no-show-raw-insn", str(tmp_path / "k.o")]
    try:
        text = subprocess.run(disassembler, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip("no objdump here")
    functions = re.split(r"\n\n[0-9a-f]+ <", text)
    checked = [f for f in functions if any(f.startswith(n) for n in names)]
    assert len(checked) == len(names)
    for function in checked:
        lines = function.splitlines()
        sums = [i for i, line in enumerate(lines) if "vfmadd" in line]
        assert sums and not any("%rsp" in lines[i] for i in range(sums[0], sums[-1] + 1))


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(CompileError, match="host"):
        find_target("z80")
    with pytest.raises(CompileError, match="dtype"):
        compile_engine([], "host", tmp_path, "fp8")
    with pytest.raises(CompileError, match="no network"):
        compile_engine([], "host", tmp_path)
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
assert library.psr_abi() == 1
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
    assert info["architectures"][0] == {
        "name": "chain", "scale": 4, "widths": [32] * 6, "exits": [2, 6], "planes": 3,
    }  # fmt: skip


def test_the_library_exports_the_interface_and_nothing_else(engine_files):
    header = engine_files.header.read_text(encoding="utf-8")
    declared = set(re.findall(r"\b(psr_\w+)\(", header))
    assert len(declared) == 11
    library = ctypes.CDLL(str(engine_files.shared))
    assert all(hasattr(library, name) for name in declared)
    assert not hasattr(library, "psr_blob_parse")
    assert not hasattr(library, "psr_conv_i16_o1_p4")


def test_compiling_again_replaces_the_engine(exported, tmp_path):
    network = Network(exported[2].arch, exported[2].paths)
    first, second = (compile_engine([network], "host", tmp_path) for _ in range(2))
    assert first == second
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"libpocketsr.so", "libpocketsr.a", "pocketsr.h", "engine.json", "psr-bench"}


def test_the_kernels_of_arm_compile_without_a_runtime(tmp_path):
    """What an aarch64 host would link; this machine cannot run it."""
    machine = aarch64_target()
    write_object(all_kernels(machine), machine, tmp_path / "k.o")
    elf = (tmp_path / "k.o").read_bytes()
    assert elf[:4] == b"\x7fELF" and int.from_bytes(elf[18:20], "little") == 183  # EM_AARCH64
    assert b"TVMFFI" not in elf and b"TVMBackend" not in elf  # no call into its runtime
