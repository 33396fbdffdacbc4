"""C files and kernels -> libpocketsr.so and libpocketsr.a, with zig as the compiler and linker.

`python -m ziglang cc` comes from a wheel and compiles for every target, so that a machine with
Python and nothing else makes engines. Its first call builds a few support objects (10 s), later
calls take them from its cache.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from compiler.errors import CompileError
from compiler.targets import Target

_ZIG = [sys.executable, "-m", "ziglang"]
_FLAGS = ["-O2", "-std=c11", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"]


def compile_c(source: Path, include: Path, target: Target, out: Path) -> None:
    """One C file to an object."""
    flags = [*_FLAGS, "-target", target.c_target, "-I", str(include)]
    _run([*_ZIG, "cc", *flags, "-c", str(source), "-o", str(out)])


def link(
    objects: Sequence[Path], exports: Path, target: Target, shared: Path, archive: Path
) -> None:
    """The objects as a shared library that shows what `exports` names, and as a static one."""
    names = [str(o) for o in objects]
    flags = ["-shared", "-s", "-target", target.c_target, f"-Wl,--version-script={exports}"]
    _run([*_ZIG, "cc", *flags, *names, "-o", str(shared)])
    _run([*_ZIG, "ar", "rcs", str(archive), *names])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[0]
        raise CompileError(f"engine: the C compiler failed: {reason}; is `ziglang` installed?")
