"""C files and kernels -> libpocketsr.so, libpocketsr.a and psr-bench, with zig's cc and ar.

`python -m ziglang cc` comes from a wheel and compiles for every target, so that a machine with
Python and nothing else makes engines. Its first call builds a few support objects (10 s; a minute
where it builds a C library), later calls take them from its cache.
"""

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from compiler.compile_error import CompileError
from compiler.targets import Target

# -P: not the module of that name in the current folder, which may be a package.
ZIG = [sys.executable, "-P", "-m", "ziglang"]
_FLAGS = ["-O2", "-std=c11", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"]
_ANDROID = Path(__file__).parents[1] / "android"
# Android keeps x18 for itself (its shadow call stack). zig ignores clang's -ffixed-x18.
_ANDROID_FLAGS = ["-mcpu=generic+reserve_x18", "-include", str(_ANDROID / "bionic_abi.h")]
_PAGE_BYTES = 16384  # the largest page of an Android device, which segments must not share

# Android's C library as far as an engine may use it: what to link against, without the NDK.
# A shared library must name `libc.so` and `libm.so` as what it needs, and must not use a function
# that bionic lacks (musl and glibc export many). So it is linked against libraries made here, which
# have these names and no code; a function that is not listed fails the link.
# arm64 Android begins with API level 21; every function here is older.
# Source: the version scripts bionic/libc/libc.map.txt and bionic/libm/libm.map.txt.
BIONIC: Mapping[str, tuple[str, ...]] = {
    "libc.so": (
        *("calloc", "free", "getauxval", "malloc", "posix_memalign", "realloc"),
        *("memcmp", "memcpy", "memmove", "memset", "qsort", "strcmp", "strlen", "strncmp"),
        "vsnprintf",
        *("pthread_cond_broadcast", "pthread_cond_destroy", "pthread_cond_init"),
        *("pthread_cond_signal", "pthread_cond_wait", "pthread_create", "pthread_join"),
        *("pthread_mutex_destroy", "pthread_mutex_init", "pthread_mutex_lock"),
        *("pthread_mutex_unlock", "pthread_once"),
    ),
    "libm.so": ("ldexp", "ldexpf", "lrint", "lrintf", "nearbyintf", "rintf", "roundf"),
}


def compile_c(source: Path, includes: Sequence[Path], target: Target, out: Path) -> None:
    """One C file to an object."""
    flags = [*_FLAGS, "-target", target.c_target, *(f"-I{path}" for path in includes)]
    if is_android(target):
        flags += _ANDROID_FLAGS
    _run([*ZIG, "cc", *flags, "-c", str(source), "-o", str(out)])


def link(
    objects: Sequence[Path], header: Path, target: Target, shared: Path, archive: Path
) -> None:
    """The objects as a shared library that shows what `header` declares, and as a static one."""
    exports = shared.with_suffix(".map")
    exports.write_text(export_map(header.read_text(encoding="utf-8")), encoding="utf-8")
    names = [str(o) for o in objects]
    flags = ["-shared", "-s", "-target", target.c_target, f"-Wl,--version-script={exports}"]
    libraries = _android_libraries(target, shared.parent) if is_android(target) else []
    _run([*ZIG, "cc", *flags, *names, *libraries, "-o", str(shared)])
    _run([*ZIG, "ar", "rcs", str(archive), *names])


def link_program(source: Path, archive: Path, include: Path, target: Target, out: Path) -> None:
    """A C file and the static engine as a program; for Android one that needs no library."""
    flags = ["-O2", "-std=c11", "-Wall", "-Wextra", "-Werror", "-s", "-I", str(include)]
    flags += ["-target", target.c_target, *(["-static"] if is_android(target) else [])]
    _run([*ZIG, "cc", *flags, str(source), str(archive), "-o", str(out)])


def is_android(target: Target) -> bool:
    """Whether the kernels' triple names Android."""
    return target.triple.endswith("-android")


def export_map(header: str) -> str:
    """The linker's version script for the functions that a header declares with PSR_API."""
    names = re.findall(r"^PSR_API [^(]*?(\w+)\(", header, re.MULTILINE)
    return f"{{ global: {' '.join(f'{name};' for name in names)} local: *; }};\n"


def _android_libraries(target: Target, folder: Path) -> list[str]:
    """Flags and libraries that make a shared library one that bionic loads."""
    stubs = []
    for name, functions in BIONIC.items():
        source, library = folder / f"{name}.c", folder / name
        code = "".join(f"void {function}(void) {{}}\n" for function in functions)
        source.write_text(code, encoding="utf-8")  # linked with, never run
        flags = ["-w", "-fno-builtin", "-shared", "-nostdlib", f"-Wl,-soname,{name}"]
        _run([*ZIG, "cc", *flags, "-target", target.c_target, str(source), "-o", str(library)])
        stubs.append(str(library))
    return [
        *("-nostdlib", "-Wl,-soname,libpocketsr.so", "-Wl,-z,defs", "-Wl,--as-needed"),
        *("-Wl,--hash-style=both", f"-Wl,-z,max-page-size={_PAGE_BYTES}"),
        *stubs,
    ]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    if "No module named ziglang" in done.stderr:
        raise CompileError(
            "engine: there is no C compiler and linker; `pip install ziglang==0.17.1` brings both"
        )
    reason = (done.stderr.strip().splitlines() or ["no message"])[0]
    raise CompileError(f"engine: the C compiler failed: {reason}")
