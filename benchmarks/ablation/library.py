"""A variant's C file and what all variants share -> a library with the engine's interface."""

from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.ablation import kernels
from compiler.emit.engine_tables import CONSTANTS, emit_constants, emit_engine
from compiler.emit.family import emit_family
from compiler.emit.kernels import write_object
from compiler.emit.link import compile_c, link
from compiler.engine import RUNTIME, describe, runtime_sources
from compiler.kernels import KERNELS
from compiler.kernels.versions import Version
from compiler.plan.family import family
from compiler.plan.formats import find_format
from compiler.targets import Target

DTYPE, ARCHIVE = "int8", "variant.a"
_HERE = Path(__file__).parent
_REPLACED = ("plan.c", "run.c")  # of the runtime, by variant.c
_INCLUDES = (RUNTIME, RUNTIME / DTYPE, _HERE)
WHOLE_FRAME = 2**31 - 1  # bytes of cache: the runtime then cuts a frame into no columns


@dataclass(frozen=True)
class Parts:
    """Objects that all variants share: kernels, runtime, the passes over memory."""

    machine: Target
    objects: tuple[Path, ...]
    folder: Path


def make_parts(machine: Target, isas: tuple[str, ...], folder: Path) -> Parts:
    """Compile what all variants share, for the machine's versions of these names."""
    versions = tuple(v for v in machine.versions[DTYPE] if v.name in isas)
    machine = replace(machine, versions={DTYPE: versions})
    (folder / CONSTANTS).write_text(emit_constants(), encoding="utf-8")
    table, plans = folder / "unfused_table.c", folder / "family.c"
    table.write_text(kernels.table(versions), encoding="utf-8")
    plans.write_text(emit_family(family(find_format(DTYPE))), encoding="utf-8")
    sources = [s for s in runtime_sources(DTYPE) if s.name not in _REPLACED]
    sources += [_HERE / "variant.c", _HERE / "unfused.c", table, plans]
    objects = [_compile(source, machine, folder) for source in sources]
    objects += [path for version in versions for path in _kernels(version, machine, folder)]
    return Parts(machine, tuple(objects), folder)


def _compile(source: Path, machine: Target, folder: Path) -> Path:
    out = folder / f"{source.stem}.o"
    compile_c(source, (*_INCLUDES, folder, folder.parent), machine, out)
    return out


def _kernels(version: Version, machine: Target, folder: Path) -> list[Path]:
    sets = {"kernels": KERNELS[DTYPE].functions(version), "unfused": kernels.functions(version)}
    written = []
    for name, functions in sets.items():
        written.append(folder / f"{name}-{version.name}.o")
        write_object(functions, machine, version, written[-1])
    return written


def link_variant(parts: Parts, name: str, text: str, cache_bytes: int) -> Path:
    """The library with the plan of the C file `text`, in a folder `name`, an ARCHIVE beside it.

    `cache_bytes`: what a tile may take before the runtime cuts a frame into columns.
    """
    folder = parts.folder / name
    folder.mkdir()
    machine = replace(parts.machine, cache_bytes=cache_bytes)
    engine = emit_engine(machine, DTYPE, describe(machine, DTYPE))
    texts = {"hard_path.c": text, "engine.c": engine}
    for file, content in texts.items():
        (folder / file).write_text(content, encoding="utf-8")
    own = [_compile(folder / file, machine, folder) for file in texts]
    shared = folder / "libpocketsr.so"
    link([*own, *parts.objects], RUNTIME / "pocketsr.h", machine, shared, folder / ARCHIVE)
    return shared
