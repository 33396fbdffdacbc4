"""The targets, and what the kernels' shapes owe to each: the one place that knows registers."""

import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tvm

from compiler.errors import CompileError

KIB = 1024


@dataclass(frozen=True)
class TileShape:
    """How a convolution fills the registers: `blocks` times 16 outputs, for `pixels` pixels.

    `pixels` falls: a row is covered with the first shape as far as it goes, the rest with the
    next ones. pixels * blocks * 16 / lanes accumulators, that many less one block's weights and
    a broadcast, must fit the vector registers.
    """

    blocks: int
    pixels: tuple[int, int, int]


@dataclass(frozen=True)
class Target:
    """A kind of machine that engines are compiled for."""

    name: str
    isa: str
    triple: str  # LLVM's, for the kernels
    cpu: str
    features: tuple[str, ...]
    c_target: str  # zig's, for the C files and the linker
    lanes: int  # floats in a vector register
    registers: int
    tile: TileShape
    cache_bytes: int  # for a tile's rows, beside the weights, in the second-level cache

    def tvm_target(self) -> tvm.target.Target:
        features = {"mattr": list(self.features)} if self.features else {}
        config = {"kind": "llvm", "mtriple": self.triple, "mcpu": self.cpu, **features}
        return tvm.target.Target(config)


def _x86_64_v4(name: str) -> Target:
    """AVX-512: 14 pixels x 2 vectors of outputs are 28 of 32 registers, 2 hold weights."""
    tile = TileShape(blocks=2, pixels=(14, 8, 4))
    return Target(name, "avx512", _X86_TRIPLE, "x86-64-v4", (), _X86_C, 16, 32, tile, 640 * KIB)


def _x86_64_v3(name: str) -> Target:
    """AVX2: 6 pixels x 2 vectors of outputs are 12 of 16 registers."""
    tile = TileShape(blocks=1, pixels=(6, 4, 2))
    return Target(name, "avx2", _X86_TRIPLE, "x86-64-v3", (), _X86_C, 8, 16, tile, 512 * KIB)


def aarch64_target(name: str = "host") -> Target:
    """NEON: 6 pixels x 4 vectors of outputs are 24 of 32 registers, 4 hold weights."""
    tile = TileShape(blocks=1, pixels=(6, 4, 2))
    triple, c_target = "aarch64-linux-gnu", "aarch64-linux-gnu.2.28"
    return Target(name, "neon", triple, "generic", ("+neon",), c_target, 4, 32, tile, 256 * KIB)


def _host(name: str) -> Target:
    """The machine that compiles, by what its processor says it can do."""
    machine = platform.machine().lower()
    if sys.platform != "linux" or machine not in ("x86_64", "aarch64"):
        raise CompileError(f"target host: {sys.platform} on {machine} is not supported yet")
    if machine == "aarch64":
        return aarch64_target(name)
    flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    if {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"} <= flags:
        return _x86_64_v4(name)
    if {"avx2", "fma", "bmi2"} <= flags:
        return _x86_64_v3(name)
    raise CompileError("target host: this processor has no AVX2; use another machine")


_X86_TRIPLE = "x86_64-linux-gnu"
_X86_C = "x86_64-linux-gnu.2.28"

TARGETS: dict[str, Callable[[str], Target]] = {
    "host": _host,
    "x86-64-v3": _x86_64_v3,
    "x86-64-v4": _x86_64_v4,
}


def find_target(name: str) -> Target:
    """The target of that name; raises CompileError for a name that is not registered."""
    if name not in TARGETS:
        raise CompileError(f"target {name!r} is not known; use one of {', '.join(TARGETS)}")
    return TARGETS[name](name)
