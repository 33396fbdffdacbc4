"""Engines as C sources, compiled with sanitizers that see into the kernels as well."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.compiler.engines import Shared, engine_of

FUZZ = Path(__file__).parent / "fuzz"
SANITIZERS = "-fsanitize=address,undefined,float-cast-overflow"
CLANGS = ("clang", *(f"clang-{version}" for version in range(22, 13, -1)))
_FLAGS = ("-g", "-O2", "-std=c11", "-pthread", "-fno-sanitize-recover=all")


@dataclass(frozen=True)
class Opened:
    """A damaged blob, and what psr_net_open, or psr_router_open, said of it."""

    code: int
    blob: bytes


def sources_of(shared: Shared, dtype: str) -> list[Path]:
    """The C files of an engine of the target `c`, its kernels among them."""
    return sorted((engine_of(shared, "c", dtype).shared.parent / "src").glob("*.c"))


def compile_program(
    compiler: str, sanitizers: str, sources: Sequence[Path], include: Path, out: Path, *more: str
) -> Path:
    """`out` of C files and objects; fails the test where that does not compile."""
    paths = [f"-I{include}", f"-I{FUZZ}", *map(str, sources)]
    command = [compiler, sanitizers, *_FLAGS, *more, *paths, "-o", str(out)]
    done = subprocess.run([*command, "-lm"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


def replay_program(shared: Shared, dtype: str, opener: str, folder: Path) -> Path:
    """The program that damages blobs and opens them with that file; skips without sanitizers."""
    if not can_build("gcc", SANITIZERS, "main(void)", folder):
        pytest.skip("needs gcc with its address sanitizer: apt-get install gcc")
    sources = sources_of(shared, dtype)

    def compiled(out: Path) -> list[Path]:
        objects = [out / f"{source.stem}.o" for source in sources]
        for source, made in zip(sources, objects, strict=True):
            compile_program("gcc", SANITIZERS, [source], source.parent, made, "-c")
        return objects

    objects = shared(f"sanitized-{dtype}", compiled)
    harness = [FUZZ / name for name in ("replay.c", opener, "mutate.c")]
    include, out = sources[0].parent, folder / "replay"
    return compile_program("gcc", SANITIZERS, [*harness, *objects], include, out)


def can_build(compiler: str, sanitizers: str, entry: str, folder: Path) -> bool:
    """Whether the compiler is here and has these sanitizers."""
    if not shutil.which(compiler):
        return False
    source = folder / "probe.c"
    source.write_text(f"int {entry} {{ return 0; }}\n", encoding="utf-8")
    command = [compiler, sanitizers, source, "-o", folder / "probe"]
    return subprocess.run(command, capture_output=True).returncode == 0


def run_replay(program: Path, seed: int, count: int, blobs: Sequence[Path]) -> list[Opened]:
    """Fails with the sanitizer's report where the engine did what it must not do."""
    done = subprocess.run([program, str(seed), str(count), *blobs], capture_output=True)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
    opened, at = [], 0
    while at < len(done.stdout):
        code, size = np.frombuffer(done.stdout, "<u4", 2, at).tolist()
        opened.append(Opened(code, done.stdout[at + 8 : at + 8 + size]))
        at += 8 + size
    return opened


def fuzzer_program(shared: Shared, dtype: str, opener: str, folder: Path) -> Path | None:
    """libFuzzer over blobs that are opened with that file; None where no clang here has it."""
    fuzzers = f"{SANITIZERS},fuzzer"
    entry = "LLVMFuzzerTestOneInput(const char *data, unsigned long size)"
    for clang in CLANGS:
        if can_build(clang, fuzzers, entry, folder):
            sources = sources_of(shared, dtype)
            harness = [FUZZ / name for name in ("libfuzzer.c", opener, "mutate.c")]
            out = folder / "fuzzer"
            return compile_program(clang, fuzzers, [*harness, *sources], sources[0].parent, out)
    return None


def fuzz_by_coverage(program: Path, blobs: Sequence[Path], seconds: int) -> int:
    """How many blobs were tried from these on; fails with the sanitizer's report."""
    corpus = program.parent / "corpus"
    corpus.mkdir()
    for blob in blobs:
        shutil.copy(blob, corpus)
    options = [f"-max_total_time={seconds}", "-seed=1", "-max_len=65536", "-print_final_stats=1"]
    command = [program, *options, corpus]
    done = subprocess.run(command, capture_output=True, text=True, cwd=program.parent)
    assert done.returncode == 0, done.stderr[-4000:]
    executed = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    assert executed, done.stderr[-4000:]
    return int(executed[1])
