"""C files and kernels -> libpocketsr.so and libpocketsr.a, with zig as the compiler and linker.

`python -m ziglang cc` comes from a wheel and compiles for every target, so that a machine with
Python and nothing else makes engines. Its first call builds a few support objects (10 s), later
calls take them from its cache.
"""

import re
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
    objects: Sequence[Path], header: Path, target: Target, shared: Path, archive: Path
) -> None:
    """The objects as a shared library that shows what `header` declares, and as a static one."""
    exports = shared.with_suffix(".map")
    exports.write_text(export_map(header.read_text(encoding="utf-8")), encoding="utf-8")
    names = [str(o) for o in objects]
    flags = ["-shared", "-s", "-target", target.c_target, f"-Wl,--version-script={exports}"]
    _run([*_ZIG, "cc", *flags, *names, "-o", str(shared)])
    _run([*_ZIG, "ar", "rcs", str(archive), *names])


def export_map(header: str) -> str:
    """The linker's version script for the functions that a header declares with PSR_API."""
    names = re.findall(r"^PSR_API [^(]*?(\w+)\(", header, re.MULTILINE)
    return f"{{ global: {' '.join(f'{name};' for name in names)} local: *; }};\n"


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[0]
        raise CompileError(f"engine: the C compiler failed: {reason}; is `ziglang` installed?")
