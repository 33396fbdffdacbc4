"""A target -> an engine: a library with the C interface of runtime/pocketsr.h.

It plays every network of the family: the structures that the passes have planned
(plan/family.py) and the kernels of the target go in, a network comes when a film is played.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from compiler.emit.engine_tables import CONSTANTS, emit_constants, emit_engine
from compiler.emit.family import emit_family
from compiler.emit.kernels import emit_c_kernels, write_object
from compiler.emit.link import compile_c, link, link_program
from compiler.kernels import KERNELS
from compiler.plan.family import family
from compiler.plan.formats import find_format
from compiler.targets import Target, find_target
from player.package import limits
from player.package.layout import ENGINE_ABI, ENGINE_INFO, ENGINE_LIBRARY
from player.package.scale import SCALES, scale_number

VERSION = "0.1.0"
RUNTIME = Path(__file__).parent / "runtime"
BENCH = Path(__file__).parent / "bench" / "psr_bench.c"
SOURCES = "src"  # in an engine's folder: all of it as C, where the kernels are C too
_ARCHIVE, _HEADER, _BENCH = "libpocketsr.a", "pocketsr.h", "psr-bench"


@dataclass(frozen=True)
class EngineFiles:
    """What `compile_engine` has written."""

    shared: Path
    archive: Path
    header: Path
    info: Path
    bench: Path

    @classmethod
    def of(cls, folder: Path) -> "EngineFiles":
        """The files of an engine's folder."""
        names = (ENGINE_LIBRARY, _ARCHIVE, _HEADER, ENGINE_INFO, _BENCH)
        return cls(*(folder / name for name in names))


def compile_engine(target: str, out: Path, dtype: str = "int8") -> EngineFiles:
    """Write libpocketsr.so, libpocketsr.a, pocketsr.h, engine.json and psr-bench into `out`.

    The engine runs every frame size and every weights blob of the family in that number format.
    Raises CompileError for an unknown target or dtype.
    """
    machine = find_target(target)
    find_format(dtype)  # raises before anything is written
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".build-") as build:
        info = describe(machine, dtype)
        return _install(_build(machine, dtype, info, Path(build)), info, out)


def describe(machine: Target, dtype: str) -> dict[str, object]:
    """What psr_build_info and engine.json say."""
    return {
        "abi": ENGINE_ABI,
        "target": machine.name,
        "dtype": dtype,
        "isas": [version.name for version in machine.versions[dtype]],
        "family": {
            "architectures": ["chain", "espcn", *(["wdsr"] if dtype == "fp32" else [])],
            "scales": [scale_number(scale) for scale in SCALES],
            "units": [*range(1, limits.MAX_UNITS + 1)],
            "depth": limits.MAX_DEPTH,
            "width": limits.MAX_WIDTH,
            "exits": limits.MAX_EXITS,
        },
        "version": VERSION,
    }


def _build(machine: Target, dtype: str, info: dict[str, object], build: Path) -> Path:
    (build / CONSTANTS).write_text(emit_constants(), encoding="utf-8")
    texts = generated_sources(machine, dtype, info)
    for name, text in texts.items():
        (build / name).write_text(text, encoding="utf-8")
    # The runtime's files are compiled where they lie.
    sources = [*runtime_sources(dtype), *(build / name for name in texts)]
    objects = _compile(sources, machine, dtype, build)
    libraries = build / ENGINE_LIBRARY, build / _ARCHIVE
    link(objects, RUNTIME / _HEADER, machine, *libraries)
    link_program(BENCH, libraries[1], RUNTIME, machine, build / _BENCH)
    if all(version.is_c for version in machine.versions[dtype]):
        (build / SOURCES).mkdir()  # everything that a C compiler needs for the library
        headers = (*RUNTIME.glob("*.h"), *(RUNTIME / dtype).glob("*.h"), build / CONSTANTS)
        for path in (*sources, *headers):
            shutil.copy(path, build / SOURCES)
    return build


def _compile(sources: Sequence[Path], machine: Target, dtype: str, build: Path) -> list[Path]:
    """The objects of C files, and meanwhile those of the kernels, which take longer."""
    versions = [version for version in machine.versions[dtype] if not version.is_c]
    kernels = [build / f"kernels-{version.name}.o" for version in versions]
    objects = [build / f"{source.stem}.o" for source in sources]
    folders = RUNTIME, RUNTIME / dtype, build
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        compiling = pool.map(lambda c, o: compile_c(c, folders, machine, o), sources, objects)
        for version, out in zip(versions, kernels, strict=True):
            write_object(KERNELS[dtype].functions(version), machine, version, out)
        list(compiling)  # raises where one of them failed
    return [*objects, *kernels]


def generated_sources(machine: Target, dtype: str, info: dict[str, object]) -> dict[str, str]:
    """The C files that the compiler writes, by name: plans, tables, kernels that are C."""
    texts = {
        "family.c": emit_family(family(find_format(dtype))),
        "engine.c": emit_engine(machine, dtype, info),
    }
    for version in machine.versions[dtype]:
        if version.is_c:
            functions = KERNELS[dtype].functions(version)
            texts[f"kernels-{version.name}.c"] = emit_c_kernels(functions)
    return texts


def runtime_sources(dtype: str) -> list[Path]:
    """The hand-written C files of an engine."""
    return [*sorted(RUNTIME.glob("*.c")), *sorted((RUNTIME / dtype).glob("*.c"))]


def _install(build: Path, info: dict[str, object], out: Path) -> EngineFiles:
    digest = hashlib.sha256((build / ENGINE_LIBRARY).read_bytes()).hexdigest()
    text = json.dumps({"schema": "pocketsr.engine/1", **info, "sha256": digest}, indent=2)
    (build / ENGINE_INFO).write_text(text + "\n", encoding="utf-8")
    shutil.copy(RUNTIME / _HEADER, build / _HEADER)
    files = EngineFiles.of(out)
    for path in vars(files).values():
        (build / path.name).replace(path)
    shutil.rmtree(out / SOURCES, ignore_errors=True)
    if (build / SOURCES).exists():
        (build / SOURCES).replace(out / SOURCES)
    return files
