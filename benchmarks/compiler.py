"""What each pass of the compiler gains: the engine with one pass left out, against the engine.

    python -m benchmarks.compiler [--quick] [--json FILE]

The default network at x4, int8, one 480x270 frame on the hard path, one thread. All arms run in
turns in one process and give the same bytes as the engine (fp32 apart), which is checked first.
What counts is the median of the ratios within rounds, of the time that the thread had a processor:
on a shared machine the clock on the wall counts what others do, too; it is recorded beside it.
docs/ablation.md is made of the result.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ablation.arms import (
    NEITHER,
    VARIANTS,
    Arm,
    Subject,
    Workshop,
    combined_arm,
    engine_arm,
    make_workshop,
    separate_arm,
    tile_arm,
    variant_arms,
)
from benchmarks.ablation.library import DTYPE, make_parts
from benchmarks.ablation.routes import clustered_patches
from benchmarks.harness import environment, interleave, parse_arguments, write_json
from compiler import compile_engine
from compiler.targets import find_target
from player.engine import Engine
from player.package.generic import blob_path
from sr.models import architecture

ALL, STEP, SEPARATE, ALL_ROUTED = "all", "neither_versions", "combined", "all_routed"
FP32 = "fp32"
_SCALE, _SIZE = 4, (270, 480)  # LR height and width, px
_TILES = ((27, 480), (30, 60), (45, 80), (54, 96), (54, 160), (90, 96), (90, 160), (135, 240))
_CACHE_BYTES = 1 << 20  # second-level cache of a core: larger tiles are shown, but do not count
_WARM_UP = 2
_PACKAGES = ("apache-tvm", "ziglang", "numpy")
TITLES = {
    ALL: "nothing: the engine",
    "order": "order of steps by search",
    "sharing": "shared memory, and the order",
    "vertical": "vertical fusion",
    "rows": "tile fusion by rows",
    "rows_sharing": "tile fusion, shared memory, order",
    "isa_avx2": "versions: AVX2 for every processor",
    "isa_c": "versions: plain C for every machine",
    FP32: "integers: fp32 kernels",
    STEP: "fusion, rows, sharing",
    "neither": "fusion, rows, sharing, versions",
    ALL_ROUTED: "nothing: the engine",
    SEPARATE: "paths in one loop: each patch alone",
}
_COLUMNS = ("time", "by the wall", "memory", "values", "buffers")
# From nothing to the engine: each of these arms has a pass more than the one before.
_LADDER = ("neither", STEP, "rows_sharing", "rows", ALL)


@dataclass
class Clocked:
    """A run that also notes the time that its thread had a processor, which others cannot take."""

    run: Callable[[], object]
    cpu_s: list[float] = field(default_factory=list)

    def __call__(self) -> None:
        start = time.thread_time()
        self.run()
        self.cpu_s.append(time.thread_time() - start)


@dataclass(frozen=True)
class Samples:
    """Seconds of one arm, a number a round."""

    wall_s: Sequence[float]
    cpu_s: Sequence[float]


def default_subject() -> Subject:
    """The generic network's weights and a frame of seeded noise; speed does not depend on it."""
    arch = architecture("chain", _SCALE, dynamic=True)
    blobs = {dtype: blob_path(_SCALE, dtype).read_bytes() for dtype in (DTYPE, FP32)}
    lr = np.random.default_rng(0).integers(0, 256, (*_SIZE, 3), np.uint8)
    return Subject(arch, blobs, lr)


def slowest_isa() -> str:
    """The version that every processor of this machine's kind can run."""
    return find_target("host").versions[DTYPE][-1].name


def whole_frame_arms(shop: Workshop, library: Path, fp32: Path) -> list[Arm]:
    """One pass off at a time, and all of them."""
    subject, last = shop.subject, slowest_isa()
    best = Engine.open(library).isa
    arms = [
        engine_arm(ALL, subject, library, "host", None),
        engine_arm(f"isa_{last}", subject, library, "host", last),
        engine_arm(FP32, subject, fp32, "host", None),
    ]
    for variant in VARIANTS:
        isas = {STEP: best, variant.name: last} if variant is NEITHER else {variant.name: best}
        arms += variant_arms(shop, variant, isas)
    return arms


def routed_arms(shop: Workshop, library: Path) -> list[Arm]:
    """A frame of mixed paths, in one loop and patch by patch."""
    patches = clustered_patches(*shop.subject.size)
    together = combined_arm(shop, library, patches)
    return [together, separate_arm(shop, patches, together.isa)]


def tile_arms(shop: Workshop, engine: Arm, sizes: Sequence[tuple[int, int]]) -> list[Arm]:
    """Rings of rows, and what lost against them."""
    return [engine, *(tile_arm(shop, height, width, engine.isa) for height, width in sizes)]


def check_equal(arms: Sequence[Arm]) -> None:
    """Every arm but fp32 gives the first one's bytes, or the comparison means nothing."""
    wanted = np.array(arms[0].run())
    for arm in arms[1:]:
        if arm.name != FP32 and not np.array_equal(arm.run(), wanted):
            raise SystemExit(f"{arm.name} gives other pixels than {arms[0].name}")


def measure(arms: Sequence[Arm], rounds: int) -> dict[str, Samples]:
    """All arms in turns, after the check of their bytes."""
    check_equal(arms)
    clocked = {arm.name: Clocked(arm.run) for arm in arms}
    timings = interleave(clocked, rounds, _WARM_UP)
    return {
        name: Samples(timing.samples_s, clocked[name].cpu_s[_WARM_UP:])
        for name, timing in timings.items()
    }


def median_ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """The median of the ratios within rounds: what slows a round down slows down both."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def ratio_spread(over: Sequence[float], under: Sequence[float]) -> float:
    """The distance between the quartiles of the ratios within rounds: how far to trust it."""
    low, _, high = statistics.quantiles((a / b for a, b in zip(over, under, strict=True)), n=4)
    return high - low


def rows_of(
    subject: str, arms: Sequence[Arm], samples: Mapping[str, Samples]
) -> list[dict[str, Any]]:
    """A row an arm, each against the first one."""
    base, first = samples[arms[0].name], arms[0]
    return [
        {
            "subject": subject,
            "arm": arm.name,
            "isa": arm.isa,
            "median_ms": round(statistics.median(samples[arm.name].wall_s) * 1e3, 3),
            "cpu_ms": round(statistics.median(samples[arm.name].cpu_s) * 1e3, 3),
            "wall_ratio": round(median_ratio(samples[arm.name].wall_s, base.wall_s), 3),
            "cpu_ratio": round(median_ratio(samples[arm.name].cpu_s, base.cpu_s), 3),
            "activation_bytes": arm.activation_bytes,
            "buffer_bytes": arm.buffer_bytes,
            "spread": round(ratio_spread(samples[arm.name].cpu_s, base.cpu_s), 3),
            "memory_ratio": round(arm.buffer_bytes / first.buffer_bytes, 3),
        }
        for arm in arms
    ]


def ladder(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The passes switched on one after the other: what each is worth on top of those before."""
    by_arm = {row["arm"]: row for row in rows if row["subject"] == "whole"}
    steps = []
    for before, after in pairwise(_LADDER):
        old, new = by_arm[before], by_arm[after]
        steps.append(
            {
                "from": before,
                "to": after,
                "speedup": round(old["cpu_ratio"] / new["cpu_ratio"], 3),
                "memory": round(old["buffer_bytes"] / new["buffer_bytes"], 3),
            }
        )
    return steps


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Each pass's own ratio, with everything else on; and of all passes together."""
    tiles = [row for row in rows if row["subject"] == "tiles" and row["arm"] != ALL]
    fitting = [row for row in tiles if row["buffer_bytes"] <= _CACHE_BYTES]
    fastest = min(fitting, key=lambda row: row["cpu_ratio"])
    own = {row["arm"]: row for row in rows if row["subject"] != "tiles" and row["arm"] != STEP}
    own = {name: row for name, row in own.items() if name not in (ALL, ALL_ROUTED, "neither")}
    neither = next(row for row in rows if row["arm"] == "neither")
    return {
        "speedup_all_vs_neither": neither["cpu_ratio"],
        "speedup_all_vs_neither_wall": neither["wall_ratio"],
        "memory_all_vs_neither": neither["memory_ratio"],
        **{f"speedup_{name}": row["cpu_ratio"] for name, row in own.items()},
        **{f"memory_{name}": row["memory_ratio"] for name, row in own.items()},
        "rings_vs_tiles_speedup": fastest["cpu_ratio"],
        "rings_vs_tiles_memory": fastest["memory_ratio"],
        "rings_vs_any_tile_speedup": min(row["cpu_ratio"] for row in tiles),
        "best_tile": fastest["arm"].removeprefix("tiles_"),
    }


def markdown(rows: Sequence[Mapping[str, Any]], subject: str) -> str:
    """A table of docs/ablation.md: of the whole frame, of a routed one, or of tiles."""
    head = "kept in the cache" if subject == "tiles" else "left out"
    lines = [f"| {head} | {' | '.join(_COLUMNS)} |", "|---|---|---|---|---|---|"]
    lines += [_line(row) for row in rows if row["subject"] == subject]
    return "\n".join(lines)


def _line(row: Mapping[str, Any]) -> str:
    cells = [f"{row[key]:.2f}" for key in ("cpu_ratio", "wall_ratio", "memory_ratio")]
    cells += [f"{row[key] / 1024:,.0f} KiB" for key in ("activation_bytes", "buffer_bytes")]
    cells[0] += f" ± {row['spread'] / 2:.2f}"
    return f"| {_title(row)} | {' | '.join(cells)} |"


def _title(row: Mapping[str, Any]) -> str:
    if row["subject"] != "tiles":
        return TITLES[row["arm"]]
    if row["arm"] == ALL:
        return "rings of rows: the engine"
    return f"tiles of {row['arm'].removeprefix('tiles_')}"


def run_all(folder: Path, rounds: int, tiles: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
    """Compile every arm, check and measure."""
    subject = default_subject()
    engines = (("host", DTYPE), ("host", FP32), ("c", DTYPE))
    library, fp32, plain = (
        compile_engine(target, folder / f"{target}-{dtype}", dtype).shared
        for target, dtype in engines
    )
    isas = (Engine.open(library).isa, slowest_isa())
    shop = make_workshop(subject, make_parts(find_target("host"), isas, folder))
    whole = whole_frame_arms(shop, library, fp32)
    slow = [whole[0], engine_arm("isa_c", subject, plain, "c", None)]
    found = rows_of("whole", whole, measure(whole, rounds))
    found += rows_of("whole", slow, measure(slow, max(rounds // 4, 3)))[1:]
    for name, arms in (
        ("routed", routed_arms(shop, library)),
        ("tiles", tile_arms(shop, whole[0], tiles)),
    ):
        found += rows_of(name, arms, measure(arms, rounds))
    return found


def main() -> None:
    options = parse_arguments("compiler", __doc__)
    rounds, tiles = (5, _TILES[2:4]) if options.quick else (25, _TILES)
    with tempfile.TemporaryDirectory() as folder:
        rows = run_all(Path(folder), rounds, tiles)
    print("\n\n".join(markdown(rows, subject) for subject in ("whole", "routed", "tiles")))
    result: dict[str, Any] = {
        "schema": "pocketsr.compiler/1",
        "environment": environment(_PACKAGES),
        "network": "chain x4, widths 6 x 32, exits 2 and 6, int8, 480x270, 1 thread",
        "rows": rows,
        "ladder": ladder(rows),
        "summary": summary(rows),
    }
    for key, value in result["summary"].items():
        print(f"{key}: {value}")
    write_json(options.json, result)


if __name__ == "__main__":
    main()
