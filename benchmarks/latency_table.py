"""Latency tables: of this machine, or of another one by psr-bench, its networks and a script.

    python -m benchmarks.latency_table                                        this machine's table
    python -m benchmarks.latency_table --target android-arm64 --bench DIR     what a phone needs
    python -m benchmarks.latency_table --bench DIR --from times.jsonl -o FILE its table

    write_bench    DIR/psr-bench  DIR/*.bin ...  DIR/run.sh  DIR/bench.json
    on the device  sh run.sh > times.jsonl
    read_times     DIR/bench.json + times.jsonl -> LatencyTable

The script takes the networks in turns as well, a few frames each time, and prints one JSON object
a line: first the processor, then what psr-bench --json prints of each.
"""

import json
import shutil
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from player.package.architecture import Architecture
from player.package.artefact import write_text
from sr.cli import explain
from sr.latency.measure import (
    DEFAULT_WIDEST,
    HOST,
    SIZE,
    PathTimes,
    benched_architectures,
    build_table,
    compile_networks,
    describe_machine,
    measure_latency,
    random_blob,
    static_chain,
)
from sr.latency.table import Cache, LatencyError, LatencyTable

SCHEMA = "pocketsr.latency-bench/1"
MANIFEST, SCRIPT, PROGRAM, BICUBIC = "bench.json", "run.sh", "psr-bench", "bicubic"
ROUNDS, FRAMES = 9, 5
LEAST_ROUNDS = 3
_NS = 1e9  # of a second

_SCRIPT = """#!/bin/sh
# Benches every network on this device: sh run.sh > times.jsonl
cd "$(dirname "$0")" || exit 1
chmod +x ./{program} 2>/dev/null
name=$(getprop ro.soc.model 2>/dev/null)
[ -n "$name" ] || name=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)
[ -n "$name" ] || name=$(uname -m)
printf '{{"processor": "%s"}}\\n' "$name"
bench() {{
    result=$(./{program} --weights "$2" --path "$3" {options}) || exit 1
    printf '{{"network": "%s", "bench": %s}}\\n' "$1" "$result"
}}
round=0
while [ $round -lt "${{ROUNDS:-{rounds}}}" ]; do
    bench {bicubic} {first} bicubic
    for blob in network-*.bin; do bench "$blob" "$blob" hard; done
    round=$((round + 1))
done
"""


@dataclass(frozen=True)
class Manifest:
    """What DIR/bench.json says: how the networks were made."""

    target: str
    dtype: str
    scale: int
    size: tuple[int, int]
    cache: Cache
    networks: tuple[tuple[int, ...], ...]

    @property
    def architectures(self) -> list[Architecture]:
        return [static_chain(self.scale, widths) for widths in self.networks]


def blob_name(number: int) -> str:
    """The file of a network's weights, and its name among the times."""
    return f"network-{number:02}.bin"


def write_bench(
    target: str,
    dtype: str,
    scale: int,
    out: Path,
    widest: int = DEFAULT_WIDEST,
    size: tuple[int, int] = SIZE,
) -> Manifest:
    """Everything that a device needs to be measured, in the folder `out`.

    Raises CompileError for an unknown target or dtype, OSError where it cannot be written.
    """
    archs = benched_architectures(scale, widest)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".build-") as folder:
        files, cache = compile_networks(archs, target, dtype, Path(folder))
        shutil.copy(files.bench, out / PROGRAM)
    for number, arch in enumerate(archs):
        (out / blob_name(number)).write_bytes(random_blob(arch, dtype))
    manifest = Manifest(target, dtype, scale, size, cache, tuple(arch.widths for arch in archs))
    write_text(out / SCRIPT, device_script(size))
    (out / SCRIPT).chmod(0o755)
    write_text(out / MANIFEST, json.dumps({"schema": SCHEMA, **asdict(manifest)}, indent=1) + "\n")
    return manifest


def device_script(size: tuple[int, int]) -> str:
    """The text of run.sh; needs the device's own sh, sed and printf alone."""
    height, width = size
    return _SCRIPT.format(
        program=PROGRAM,
        options=f"--size {height}x{width} --frames {FRAMES} --threads 1 --json",
        rounds=ROUNDS,
        bicubic=BICUBIC,
        first=blob_name(0),
    )


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder; raises LatencyError where it is damaged, OSError where missing."""
    path = folder / MANIFEST
    try:
        fields = json.loads(path.read_bytes())
        if fields.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        networks = tuple(tuple(widths) for widths in fields.pop("networks"))
        size, cache = tuple(fields.pop("size")), Cache(**fields.pop("cache"))
        return Manifest(**fields, size=size, cache=cache, networks=networks)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise LatencyError(
            f"{path}: not made by `python -m benchmarks.latency_table --bench` ({error}); make it "
            "again"
        ) from error


def read_times(manifest: Manifest, lines: Iterable[str], where: str) -> LatencyTable:
    """The table of what run.sh printed; raises LatencyError, naming `where` and the line."""
    times: dict[str, list[float]] = defaultdict(list)
    isas: set[str] = set()
    processor = "unknown"
    for number, line in enumerate(lines, start=1):
        record = _record(line, f"{where}, line {number}")
        processor = str(record.get("processor", processor))
        if "network" in record:
            ns, isa = _frame_ns(record, manifest, f"{where}, line {number}")
            times[str(record["network"])].append(ns)
            isas.add(isa)
    names = [blob_name(number) for number in range(len(manifest.networks))]
    quartiles = [_lower_quartile(times, name, where) for name in (*names, BICUBIC)]
    if len(isas) != 1:
        raise LatencyError(f"{where}: measured with several instruction sets: {sorted(isas)}")
    machine = describe_machine(
        manifest.target, manifest.dtype, isas.pop(), processor, manifest.scale, manifest.size
    )
    hard = PathTimes(tuple(quartiles[:-1]), quartiles[-1])
    return build_table(machine, manifest.cache, manifest.architectures, hard)


def _record(line: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise LatencyError(f"{where}: not JSON ({error}); run run.sh again") from error
    if not isinstance(record, dict):
        raise LatencyError(f"{where}: not a JSON object; run run.sh again")
    return record


def _frame_ns(record: dict[str, Any], manifest: Manifest, where: str) -> tuple[float, str]:
    """Nanoseconds of a frame on one thread, and the instruction set."""
    try:
        bench = record["bench"]
        rate, isa, size = float(bench["fps_p50"]), str(bench["isa"]), tuple(bench["size"])
        threads = len(bench["threads"])
    except (KeyError, TypeError, ValueError) as error:
        raise LatencyError(f"{where}: not what psr-bench prints ({error})") from error
    if not rate > 0 or size != tuple(manifest.size) or threads != 1:
        raise LatencyError(
            f"{where}: {rate} frames a second of {size} on {threads} threads; "
            f"{manifest.size} on one is wanted: use the run.sh of this folder"
        )
    return _NS / rate, isa


def _lower_quartile(times: Mapping[str, Sequence[float]], name: str, where: str) -> float:
    """psr-bench has the clock on the wall, and whatever else runs can only add to that."""
    found = times.get(name, ())
    if len(found) < LEAST_ROUNDS:
        raise LatencyError(
            f"{where}: {name} was timed {len(found)} times, at least {LEAST_ROUNDS} are needed; "
            "let run.sh run to its end"
        )
    return statistics.quantiles(found, n=4, method="inclusive")[0]


FILE = click.Path(path_type=Path)


@click.command(help="Measure, or prepare a measurement elsewhere, or read one.")
@click.option("--target", default=HOST, show_default=True, help="See `pocketsr targets`.")
@click.option("--dtype", default="int8", show_default=True, help="int8 or fp32.")
@click.option("--scale", type=click.IntRange(2, 4), default=4, show_default=True)
@click.option("--widest", default=DEFAULT_WIDEST, show_default=True, help="Channels, to 128.")
@click.option("--bench", type=FILE, help="Folder of what another machine needs to be measured.")
@click.option("--from", "times", type=FILE, help="What run.sh of that folder has printed.")
@click.option("-o", "--out", type=FILE, help="The table's file; default: stdout.")
def command(
    target: str,
    dtype: str,
    scale: int,
    widest: int,
    bench: Path | None,
    times: Path | None,
    out: Path | None,
) -> None:
    """Measure, or prepare a measurement elsewhere, or read one."""
    if times is not None:
        if bench is None:
            raise click.UsageError("--from needs --bench DIR, the folder that run.sh came from")
        lines = times.read_text(encoding="utf-8", errors="replace").splitlines()
        _put(read_times(read_manifest(bench), lines, str(times)), out)
    elif bench is not None:
        manifest = write_bench(target, dtype, scale, bench, widest)
        click.echo(f"{len(manifest.networks)} networks; on the device: sh {SCRIPT} > times.jsonl")
    else:
        _put(measure_latency(target, dtype, scale, widest), out)


def _put(table: LatencyTable, out: Path | None) -> None:
    if out is None:
        click.echo(table.to_json(), nl=False)
    else:
        out.write_text(table.to_json(), encoding="utf-8")


def main() -> None:
    """Runs the command; an error is one line and its exit code, as in sr/cli.py."""
    try:
        command.main(prog_name="python -m benchmarks.latency_table", standalone_mode=False)
    except BaseException as error:
        sys.exit(explain(error))


if __name__ == "__main__":
    main()
