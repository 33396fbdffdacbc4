"""How well the latency table predicts networks that it was not made from.

    python -m benchmarks.latency [--quick] [--json FILE]

One engine holds the networks that the table benches and those below, none of which is among them.
All are measured in turns in one process; the table is solved from the benched ones alone. The rows
show what a network's layers cost beside their multiplications: widths between the kernels' blocks
of 16 save multiplications that the engine does anyway. `frame` is the whole frame of the player,
another height than the one that the table was measured with. docs/latency.md is made of the result.
"""

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

from benchmarks.harness import environment, parse_arguments, write_json
from player.costs import macs_per_pixel
from player.package.architecture import Architecture
from player.package.paths import HARD
from sr.latency.measure import (
    HOST,
    SIZE,
    PathTimes,
    Patience,
    benched_architectures,
    build_table,
    compile_networks,
    describe_machine,
    processor_name,
    static_chain,
    time_networks,
)
from sr.latency.table import MS, LatencyTable

SCALE, DTYPE = 4, "int8"
DEFAULT = (32,) * 6
UNSEEN: tuple[tuple[int, ...], ...] = (
    DEFAULT,
    (32, 32, 16, 16, 16, 32),
    (16, 16, 32, 32, 32, 16),
    (32, 16) * 3,
    (24, 20) * 3,
    (28,) * 6,
    (24,) * 6,
    (20,) * 6,
    (16,) * 6,
    (12,) * 6,
    (8,) * 6,
    (40,) * 6,
    (48,) * 6,
    (64,) * 6,
    (32,) * 4,
    (32,) * 2,
    (64, 16) * 3,
)
FRAME = (270, 480)  # LR height and width of the player's frame, px
_QUICK = Patience(least_rounds=6, most_rounds=9, most_s=15)
_NEAR = 0.02  # networks whose times are nearer than this are not held to an order
_PACKAGES = ("apache-tvm", "ziglang", "numpy")

Row = dict[str, Any]


def compare(
    table: LatencyTable, archs: Sequence[Architecture], times: PathTimes, size: tuple[int, int]
) -> list[Row]:
    """A row for each network: measured and predicted, and its ratios to the first one."""
    measured = [ns * MS for ns in times.hard_ns]
    macs = [macs_per_pixel(arch, HARD) for arch in archs]
    rows = []
    for arch, ms, count in zip(archs, measured, macs, strict=True):
        predicted = table.predict_ms(arch, HARD, *size)
        rows.append(
            {
                "widths": arch.widths,
                "measured_ms": ms,
                "predicted_ms": predicted,
                "error": predicted / ms - 1,
                "time_ratio": ms / measured[0],
                "macs_ratio": count / macs[0],
            }
        )
    return rows


def summarise(rows: Sequence[Row]) -> dict[str, float]:
    """Relative errors, and pairs of networks that the prediction puts in the wrong order."""
    errors = [abs(row["error"]) for row in rows]
    apart = [(a, b) for a, b in combinations(rows, 2) if _differ(a, b)]
    wrong = [(a, b) for a, b in apart if not _same_order(a, b)]
    return {
        "median_error": statistics.median(errors),
        "worst_error": max(errors),
        "pairs": len(apart),
        "pairs_in_wrong_order": len(wrong),
    }


def _differ(a: Row, b: Row) -> bool:
    return bool(abs(a["measured_ms"] / b["measured_ms"] - 1) > _NEAR)


def _same_order(a: Row, b: Row) -> bool:
    return bool((a["measured_ms"] < b["measured_ms"]) == (a["predicted_ms"] < b["predicted_ms"]))


def run(patience: Patience) -> dict[str, Any]:
    """Compile, measure, solve, compare."""
    benched = benched_architectures(SCALE)
    unseen = [static_chain(SCALE, widths) for widths in UNSEEN]
    archs = [*benched, *unseen]
    with tempfile.TemporaryDirectory(prefix="pocketsr-latency-") as folder:
        files, cache = compile_networks(archs, HOST, DTYPE, Path(folder))
        isa, times = time_networks(files.shared, archs, DTYPE, SIZE, patience)
        _, frame_times = time_networks(files.shared, unseen, DTYPE, FRAME, patience)
    machine = describe_machine(HOST, DTYPE, isa, processor_name(), SCALE, SIZE)
    split = len(benched)
    seen = PathTimes(times.hard_ns[:split], times.bicubic_ns)
    table = build_table(machine, cache, benched, seen)
    rows = compare(table, unseen, PathTimes(times.hard_ns[split:], times.bicubic_ns), SIZE)
    frame = compare(table, unseen, frame_times, FRAME)
    return {
        "schema": "pocketsr.bench.latency/1",
        "environment": environment(_PACKAGES),
        "size": SIZE,
        "rows": rows,
        "summary": summarise(rows),
        "frame": {"size": FRAME, "rows": frame, "summary": summarise(frame)},
        "benched": len(benched),
        "table": asdict(table),
    }


def print_rows(rows: Sequence[Row]) -> None:
    print(f"{'widths':<28}{'measured':>10}{'predicted':>11}{'error':>8}{'time':>8}{'MACs':>8}")
    for row in rows:
        print(
            f"{' '.join(map(str, row['widths'])):<28}{row['measured_ms']:>7.2f} ms"
            f"{row['predicted_ms']:>8.2f} ms{row['error']:>+8.1%}"
            f"{row['time_ratio']:>8.2f}{row['macs_ratio']:>8.2f}"
        )


def print_summary(summary: dict[str, float]) -> None:
    print(
        f"error: median {summary['median_error']:.1%}, worst {summary['worst_error']:.1%}; "
        f"{summary['pairs_in_wrong_order']} of {summary['pairs']} pairs in the wrong order"
    )


def main() -> None:
    arguments = parse_arguments("latency", __doc__)
    result = run(_QUICK if arguments.quick else Patience())
    write_json(arguments.json, result)
    for part in (result, result["frame"]):
        height, width = part["size"]
        print(f"\n{width}x{height} LR pixels, one thread, {result['table']['machine']['isa']}")
        print_rows(part["rows"])
        print_summary(part["summary"])


if __name__ == "__main__":
    main()
