"""The targets: kinds of machine that engines are compiled for, and the kernel versions of each."""

import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import tvm

from compiler.compile_error import CompileError
from compiler.kernels.versions import VERSIONS, Version

KIB = 1024


@dataclass(frozen=True)
class Target:
    """A kind of machine that engines are compiled for."""

    name: str
    triple: str  # LLVM's, for the kernels
    c_target: str  # zig's, for the C files and the linker
    cache_bytes: int  # for a tile's rows, beside the weights, in the second-level cache
    versions: Mapping[str, tuple[Version, ...]]  # by dtype, the best first

    def tvm_target(self, version: Version) -> tvm.target.Target:
        features = {"mattr": list(version.features)} if version.features else {}
        config = {"kind": "llvm", "mtriple": self.triple, "mcpu": version.cpu, **features}
        return tvm.target.Target(config)


def _x86_64(name: str, kind: str = "x86-64-v3", cache_kib: int = 512) -> Target:
    """Every x86 processor with AVX2, and the best that it has beyond that; or of another kind."""
    triple = "x86_64-linux-gnu"
    return Target(name, triple, f"{triple}.2.28", cache_kib * KIB, VERSIONS[kind])


def aarch64_target(name: str = "host") -> Target:
    """64-bit ARM under Linux."""
    return Target(name, "aarch64-linux-gnu", "aarch64-linux-gnu.2.28", 256 * KIB, VERSIONS["arm64"])


def _android_arm64(name: str) -> Target:
    """64-bit ARM under Android. The C files are compiled against musl's headers (emit/link.py)."""
    return Target(
        name, "aarch64-unknown-linux-android", "aarch64-linux-musl", 256 * KIB, VERSIONS["arm64"]
    )


def _host(name: str) -> Target:
    """The machine that compiles, with every version that its kind of processor may have."""
    machine = platform.machine().lower()
    if sys.platform != "linux" or machine not in ("x86_64", "aarch64"):
        raise CompileError(f"target host: {sys.platform} on {machine} is not supported; use c")
    if machine == "aarch64":
        return aarch64_target(name)
    flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    if {"avx2", "fma", "bmi2"} <= flags:
        return _x86_64(name)
    raise CompileError("target host: this processor has no AVX2; use c")


def _plain_c(name: str) -> Target:
    """Any machine with a C compiler; the library is built for this one's kind of processor."""
    machine = f"{platform.machine().lower()}-linux-gnu"
    return Target(name, machine, f"{machine}.2.28", 256 * KIB, VERSIONS["c"])


TARGETS: dict[str, Callable[[str], Target]] = {
    "host": _host,
    "x86-64-v3": _x86_64,
    "x86-64-v4": lambda name: _x86_64(name, "x86-64-v4", 640),
    "android-arm64": _android_arm64,
    "c": _plain_c,
}


def find_target(name: str) -> Target:
    """The target of that name; raises CompileError for a name that is not registered."""
    if name not in TARGETS:
        raise CompileError(f"target {name!r} is not known; use one of {', '.join(TARGETS)}")
    return TARGETS[name](name)
