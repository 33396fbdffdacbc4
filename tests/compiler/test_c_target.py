"""The target `c`: C11 that any compiler builds, of the same kernels, with the same pixels."""

import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from tvm.script import tirx as T

from compiler import CompileError
from compiler.emit.kernels import emit_c_kernels
from compiler.emit.scalarise import scalarise
from player.engine import Engine
from player.package.paths import BICUBIC
from tests.compiler.int8_cases import ARCHITECTURES, HEIGHT, WIDTH, Case, blob

SUBJECTS = (ARCHITECTURES[1], *(arch for arch in ARCHITECTURES if arch.scale in (1, 1.5)))
COMPILERS = {"zig": [sys.executable, "-m", "ziglang", "cc"], "gcc": ["gcc"], "clang": ["clang"]}


@pytest.fixture
def files(c_files):
    return c_files("int8")


def assert_exact(engine: Engine) -> None:
    rectangle = (0, 0, HEIGHT, WIDTH)
    for arch in SUBJECTS:
        network = engine.load(blob(arch, "extreme"))
        for path in (BICUBIC, *arch.paths):
            sample = Case(arch, "extreme", path)
            ours = network.upscale(sample.patch(*rectangle), path)
            assert np.array_equal(ours, sample.wanted(*rectangle)), (arch, path)


def test_the_library_is_exact(files):
    engine = Engine.open(files.shared)
    assert (engine.isa, engine.info["target"], engine.info["isas"]) == ("c", "c", ["c"])
    assert_exact(engine)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_sources_are_all_that_a_compiler_needs(compiler, files, tmp_path):
    """With the command that stands at the top of the kernels."""
    if not shutil.which(COMPILERS[compiler][0]):
        pytest.skip(f"no {compiler} here: `make tools` installs clang")
    folder = files.shared.parent / "src"
    (said,) = re.findall(r"^ \* +cc (.*\*\.c .*)$", (folder / "kernels-c.c").read_text(), re.M)
    assert "-std=c11" in said
    command = [*COMPILERS[compiler], "-Wall", "-Wextra", "-Werror"]
    out = tmp_path / "libpocketsr.so"
    sources = sorted(str(path) for path in folder.glob("*.c"))
    arguments = said.replace("libpocketsr.so", str(out)).split()
    at = arguments.index("*.c")
    command += [*arguments[:at], *sources, *arguments[at + 1 :]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert_exact(Engine.open(out))


def test_the_kernels_are_c_without_tvm(files):
    text = (files.shared.parent / "src" / "kernels-c.c").read_text(encoding="utf-8")
    assert set(re.findall(r"#include (\S+)", text)) == {"<math.h>", "<stdint.h>"}
    assert not re.search("tvm|extern", text, re.IGNORECASE)


def test_floats_become_c_as_well(arch, pairs, picture, c_files):
    """fp32 within a code value of PyTorch, as everywhere."""
    network = Engine.open(c_files("fp32").shared).load(pairs[arch].blob)
    margin = 2 * network.halo_px(2)
    patch = picture(9 * arch.units + margin, 23 * arch.units + margin)
    difference = np.abs(network.upscale(patch, 2).astype(int) - pairs[arch].upscale(patch, 2))
    assert difference.max() <= 1 and np.mean(difference > 0) < 0.01


def test_vectors_become_loops_over_their_lanes():
    @T.prim_func(s_tir=True, private=True)
    def kernel(src_data: T.handle("uint8"), dst_data: T.handle("int32"), n: T.int32):
        src = T.decl_buffer((64,), "uint8", data=src_data)
        dst = T.decl_buffer((64,), "int32", data=dst_data)
        acc = T.alloc_buffer((2,), "int32x4", scope="local")
        for i in T.unroll(2):
            acc[i] = T.cast(src[T.ramp(n, 2, 4)], "int32x4") * T.broadcast(n, 4)
        dst[T.ramp(0, 1, 4)] = T.Shuffle([acc[0], acc[1]], [7, 0, 1, 2])

    text = scalarise(kernel).script()
    assert "x4" not in text and "Ramp" not in text and "unroll" not in text
    assert "acc = T.alloc_buffer((8,)" in text
    assert 'acc[i * 4 + lane] = T.Cast("int32", src[n + 2 * lane]) * n' in text
    assert [f"dst[{i}] = acc[{j}]" in text for i, j in enumerate((7, 0, 1, 2))] == [True] * 4


def test_an_instruction_has_no_scalar_form():
    @T.prim_func(s_tir=True, private=True)
    def kernel(dst_data: T.handle("float32")):
        dst = T.decl_buffer((64,), "float32", data=dst_data)
        dst[T.ramp(0, 1, 4)] = T.call_llvm_pure_intrin(
            "float32x4", "llvm.fabs.v4f32", dst[T.ramp(0, 1, 4)]
        )

    with pytest.raises(CompileError, match="has no scalar form"):
        emit_c_kernels({"kernel": kernel})
