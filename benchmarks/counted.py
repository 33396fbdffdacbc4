"""What the compiler's passes save on arm64: instructions and bytes, counted instead of timed.

    python -m benchmarks.counted [--quick] [--json FILE]

No phone is at hand, and how long a program takes under qemu says nothing. How many instructions it
executes, what its loads and stores move, and how much of that goes beyond a phone's second-level
cache (a model of one, benchmarks/ablation/counter.c) can be counted anywhere. An arm is psr-bench
with the engine's plan of the hard path replaced, as in benchmarks/compiler.py, run with one
instruction set; a frame's count is that of two frames less that of one. All arms give the same
pixels, which is checked. Needs qemu-aarch64 with plugins (Debian: qemu-user) and clang.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.ablation.arms import (
    NEITHER,
    ROWS,
    ROWS_SHARING,
    VERTICAL,
    Subject,
    Variant,
    Workshop,
    linked,
    make_workshop,
)
from benchmarks.ablation.library import ARCHIVE, DTYPE, make_parts
from benchmarks.compiler import ALL, default_subject
from benchmarks.harness import environment, parse_arguments, write_json
from compiler.emit.link import link_program
from compiler.engine import BENCH, RUNTIME, compile_engine
from compiler.targets import find_target
from sr.usage_error import UsageError

TARGET = "android-arm64"
COUNTER = Path(__file__).parent / "ablation" / "counter.c"
_PLUGIN_VERSIONS = range(1, 10)  # of QEMU's interface, tried from the first on
_SIZE, _QUICK_SIZE = (135, 240), (24, 40)  # LR height and width, px
VARIANTS: Mapping[str, Variant] = {v.name: v for v in (VERTICAL, ROWS, ROWS_SHARING, NEITHER)}
_PACKAGES = ("apache-tvm", "ziglang", "numpy")


@dataclass(frozen=True)
class Counts:
    """Of a program, or of one frame; `moved_bytes`: between a cache of 512 KiB and what lies behind
    it, both ways."""

    instructions: int
    loaded_bytes: int
    stored_bytes: int
    moved_bytes: int

    def __sub__(self, other: "Counts") -> "Counts":
        mine, others = asdict(self), asdict(other)
        return Counts(**{name: mine[name] - others[name] for name in mine})


@dataclass(frozen=True)
class Machine:
    """qemu with the plugin that counts. `run` runs a program to its end."""

    qemu: str
    plugin: Path

    def run(self, command: Sequence[str]) -> tuple[str, Counts]:
        """Its stdout and counts. Raises RuntimeError where it fails."""
        whole = [self.qemu, "-cpu", "max", "-plugin", str(self.plugin), *command]
        done = subprocess.run(whole, capture_output=True, text=True, check=False)
        found = re.search(r"^counted (\d+) (\d+) (\d+) (\d+)$", done.stderr, re.MULTILINE)
        if done.returncode or not found:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[-300:]}")
        return done.stdout, Counts(*map(int, found.groups()))


def find_machine(program: Path, folder: Path) -> Machine:
    """Compile the plugin for the qemu that is here, as `program` shows. Raises UsageError where a
    tool is missing."""
    qemu, clang = shutil.which("qemu-aarch64"), shutil.which("clang")
    if qemu is None or clang is None:
        raise UsageError("counted: no qemu-aarch64 or no clang here: `make tools`")
    for version in _PLUGIN_VERSIONS:
        plugin = folder / f"counter-{version}.so"
        flags = ["-O2", "-shared", "-fPIC", f"-DPLUGIN_VERSION={version}"]
        subprocess.run([clang, *flags, str(COUNTER), "-o", str(plugin)], check=True)
        asked = [qemu, "-plugin", str(plugin), str(program)]
        if b"counted " in subprocess.run(asked, capture_output=True, check=False).stderr:
            return Machine(qemu, plugin)
    raise UsageError(f"counted: {qemu} takes no plugin of a version that is known here")


def count_frame(machine: Machine, bench: Path, subject: Subject, isa: str) -> tuple[str, Counts]:
    """The checksum of the pixels, and what one frame takes."""
    weights = bench.parent / "weights.bin"
    weights.write_bytes(subject.blobs[DTYPE])
    command = [str(bench), "--weights", str(weights), "--isa", isa, "--json"]
    command += ["--size", "x".join(map(str, subject.size))]
    (_, one), (told, two) = (machine.run([*command, "--frames", str(n)]) for n in (1, 2))
    return json.loads(told)["crc32"], two - one


def variant_bench(shop: Workshop, name: str) -> Path:
    """psr-bench with a variant of the plan."""
    library, *_ = linked(shop, VARIANTS[name], name, shop.subject.size[0])
    bench = library.with_name("psr-bench")
    link_program(BENCH, library.with_name(ARCHIVE), RUNTIME, shop.parts.machine, bench)
    return bench


def rows_of(isa: str, counts: Mapping[str, Counts]) -> list[dict[str, Any]]:
    """A row an arm; `ratio`: its instructions over the engine's."""
    engine = counts[ALL].instructions
    return [
        {"isa": isa, "arm": arm, **asdict(own), "ratio": round(own.instructions / engine, 4)}
        for arm, own in counts.items()
    ]


def count_all(folder: Path, size: tuple[int, int]) -> list[dict[str, Any]]:
    """Compile every arm, check its pixels, count. Raises UsageError without the tools."""
    usual, target = default_subject(), find_target(TARGET)
    subject = Subject(usual.arch, usual.blobs, usual.lr[: size[0], : size[1]])
    isas = tuple(version.name for version in target.versions[DTYPE])
    benches = {ALL: compile_engine(TARGET, folder / "engine").bench}
    machine = find_machine(benches[ALL], folder)
    parts = folder / "parts"
    parts.mkdir()
    shop = make_workshop(subject, make_parts(target, isas, parts))
    benches |= {name: variant_bench(shop, name) for name in VARIANTS}
    rows = []
    for isa in isas:
        found = {name: count_frame(machine, b, subject, isa) for name, b in benches.items()}
        for name, (pixels, _) in found.items():
            if pixels != found[ALL][0]:
                raise SystemExit(f"{isa}: {name} gives other pixels than the engine")
        rows += rows_of(isa, {name: counts for name, (_, counts) in found.items()})
        print(f"{isa}: {[row['ratio'] for row in rows if row['isa'] == isa]}", flush=True)
    return rows


def main() -> int:
    """Returns the exit code: 0, or 2 where a tool is missing."""
    options = parse_arguments("counted", __doc__)
    size = _QUICK_SIZE if options.quick else _SIZE
    try:
        with tempfile.TemporaryDirectory() as folder:
            rows = count_all(Path(folder), size)
    except UsageError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    result = {
        "schema": "pocketsr.counted/1",
        "environment": environment(_PACKAGES),
        "network": f"chain x4, widths 6 x 32, exits 2 and 6, int8, {size[1]}x{size[0]}, 1 thread",
        "rows": rows,
    }
    write_json(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
