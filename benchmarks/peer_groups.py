"""The groups of measurements that `benchmarks.peers` is made of; each gives rows."""

import time
from collections.abc import Callable, Iterator, Sequence
from statistics import geometric_mean
from typing import Any

import numpy as np

from benchmarks.entrants import INT8_LEAST_DB, Bench, Entrant, check_picture
from benchmarks.footprint import measure_child, middle
from benchmarks.harness import Timing, interleave
from benchmarks.limits import LIMIT, Limit, measurable_limit
from benchmarks.peer_summary import CONVOLUTIONS, DYNAMIC, FOOTPRINT, HARD, QUALITY, Row
from benchmarks.runtimes import OURS
from benchmarks.runtimes.interface import Image, Session, Size, size_name
from benchmarks.runtimes.ours import engine_of, open_path
from chunking.lr import downscale
from player.metrics import mse_rgb, psnr_db
from player.package.paths import EASY

WARM_UP = 2
# OpenVINO keeps 37.1 dB of the network at 3/2: refused, the fastest peer would be missing.
OTHERS_LEAST_DB = 35.0
SMALLEST_SIDE_PX, LARGEST_SIDES_PX = 32, (270, 480)  # of new sizes; LR height and width

Runs = dict[str, Callable[[], object]]


def row_of(runtime: str, dtype: str, timing: Timing, gop: float, **labels: Any) -> Row:
    """`gop`: 1e9 operations of a run."""
    seconds = timing.median_s
    return {
        "runtime": runtime,
        "dtype": dtype,
        **labels,
        "median_ms": round(seconds * 1e3, 3),
        "spread": round(timing.spread, 3),
        "gops": round(gop / seconds, 1),
    }


def measure_whole(bench: Bench, size: Size, threads: int) -> list[Row]:
    """The hard path over a whole frame, with the machine's limits in the same turns."""
    lr, sessions = bench.subject.lr(size), bench.sessions(size, threads)
    limits = _limits(bench)
    runs = _checked_runs(bench, sessions, lr)
    runs |= {_easy(e): run for e, run in _easy_runs(bench, lr, threads).items()}
    runs |= {f"{LIMIT} {dtype}": limit.run for dtype, limit in limits.items()}
    timings = interleave(runs, bench.rounds, WARM_UP)
    labels = {"lr": size_name(size), "threads": threads}
    pixels = size[0] * size[1]
    gop = bench.subject.gop_a_pixel * pixels
    rows = [
        row_of(e.runtime.name, e.dtype, timings[e.name], gop, subject=HARD, **labels)
        for e in sessions
    ]
    for entrant in _ours(bench):
        between = difference(timings[entrant.name], timings[_easy(entrant)])
        gop = bench.subject.gop_between_paths * pixels
        rows.append(row_of(OURS, entrant.dtype, between, gop, subject=CONVOLUTIONS, **labels))
    return rows + [
        row_of(LIMIT, d, timings[f"{LIMIT} {d}"], limit.gop, subject=HARD, **labels)
        for d, limit in limits.items()
    ]


def measure_other(bench: Bench, name: str, size: Size) -> list[Row]:
    """The hard path of a network of another shape, over a whole frame, on one thread.

    Seconds that the process had a processor: with one thread that is its time on a machine alone.
    """
    lr, sessions = bench.subject.lr(size), bench.sessions(size, threads=1)
    runs = _checked_runs(bench, sessions, lr, OTHERS_LEAST_DB)
    timings = interleave(runs, 3 * bench.rounds, WARM_UP, time.process_time, pause_s=0)
    gop = bench.subject.gop_a_pixel * size[0] * size[1]
    labels = {"subject": name, "lr": size_name(size), "threads": 1}
    return [row_of(e.runtime.name, e.dtype, timings[e.name], gop, **labels) for e in sessions]


def measure_new_sizes(bench: Bench, count: int, threads: int) -> list[Row]:
    """A size that was never seen before in each call; every entrant gets the same sizes."""
    sizes = list(new_sizes(count + WARM_UP))
    frames = [bench.subject.lr(size) for size in sizes]
    sessions = bench.sessions(None, threads)
    runs = {e.name: _one_after_another(session, frames) for e, session in sessions.items()}
    timings = interleave(runs, count, WARM_UP)
    gops = [bench.subject.gop_a_pixel * h * w for h, w in sizes[WARM_UP:]]
    rows = []
    for entrant in sessions:
        timing = timings[entrant.name]
        row = row_of(entrant.runtime.name, entrant.dtype, timing, 0.0, subject=DYNAMIC)
        speeds = [gop / s for gop, s in zip(gops, timing.samples_s, strict=True)]
        calls = [round(s * 1e3, 4) for s in timing.samples_s]
        row |= {"lr": "new each call", "threads": threads, "gops": round(geometric_mean(speeds), 1)}
        rows.append({**row, "calls_ms": calls, "sizes": [size_name(s) for s in sizes[WARM_UP:]]})
    return rows


def measure_quality(bench: Bench, size: Size) -> list[Row]:
    """PSNR on frames of the clip: against the fp32 picture, and against the film."""
    pairs = [(downscale(hr, bench.subject.arch.scale), hr) for hr in bench.subject.test]
    exact = [bench.subject.exact(lr) for lr, _ in pairs]
    rows = []
    for entrant, session in bench.sessions(size, 1).items():
        pictures = [session.picture(session.run(session.prepare(lr))) for lr, _ in pairs]
        row: Row = {"subject": QUALITY, "runtime": entrant.runtime.name, "dtype": entrant.dtype}
        row["psnr_exact_db"] = _psnr_db(pictures, exact)
        row["psnr_hr_db"] = _psnr_db(pictures, [hr for _, hr in pairs])
        rows.append(row)
    return rows


def measure_footprints(bench: Bench, size: Size, children: int) -> list[Row]:
    """Each entrant in fresh processes, in turns; one thread."""
    samples: dict[Entrant, list[dict[str, float]]] = {e: [] for e in bench.entrants}
    for _ in range(children):
        for entrant, found in samples.items():
            order = bench.order(entrant, size)
            found.append(measure_child(entrant.runtime.name, order, 1))
    labels = {"subject": FOOTPRINT, "lr": size_name(size)}
    return [
        {**labels, "runtime": e.runtime.name, "dtype": e.dtype, **middle(found)}
        for e, found in samples.items()
    ]


def difference(longer: Timing, shorter: Timing) -> Timing:
    """Round by round: what one run does more than the other."""
    pairs = zip(longer.samples_s, shorter.samples_s, strict=True)
    return Timing(tuple(a - b for a, b in pairs))


def new_sizes(count: int, seed: int = 0) -> Iterator[Size]:
    """LR sizes between a small patch and a frame, each side log-uniform; no size twice."""
    rng = np.random.default_rng(seed)
    lowest, highest = np.log(SMALLEST_SIDE_PX), np.log(LARGEST_SIDES_PX)
    seen: set[Size] = set()
    while len(seen) < count:
        height, width = (int(side) for side in np.exp(rng.uniform(lowest, highest)))
        if (height, width) not in seen:
            seen.add((height, width))
            yield height, width


def _checked_runs(
    bench: Bench,
    sessions: dict[Entrant, Session],
    lr: Image,
    least_db: float = INT8_LEAST_DB,
) -> Runs:
    """What is timed of each session, after its picture has been compared."""
    exact = bench.subject.exact(lr)
    runs: Runs = {}
    for entrant, session in sessions.items():
        fed = session.prepare(lr)
        check_picture(entrant, session.picture(session.run(fed)), exact, least_db)
        runs[entrant.name] = _bound(session, fed)
    return runs


def _bound(session: Session, fed: Any) -> Callable[[], object]:
    return lambda: session.run(fed)


def _one_after_another(session: Session, frames: Sequence[Image]) -> Callable[[], object]:
    """Each call runs the next frame."""
    left = iter([session.prepare(frame) for frame in frames])
    return lambda: session.run(next(left))


def _ours(bench: Bench) -> list[Entrant]:
    return [e for e in bench.entrants if e.runtime.name == OURS]


def _easy(entrant: Entrant) -> str:
    return f"{entrant.name} easy"


def _easy_runs(bench: Bench, lr: Image, threads: int) -> dict[Entrant, Callable[[], object]]:
    """Our easy path: the hard one without its last 3x3 convolutions, and all else alike."""
    runs = {}
    for entrant in _ours(bench):
        session = open_path(bench.order(entrant, None), threads, EASY)
        runs[entrant] = _bound(session, session.prepare(lr))
    return runs


def _limits(bench: Bench) -> dict[str, Limit]:
    """By number format, of the instruction sets that our engines use."""
    found = {}
    for entrant in _ours(bench):
        limit = measurable_limit(entrant.dtype, engine_of(bench.order(entrant, None)).isa)
        if limit:
            found[entrant.dtype] = limit
    return found


def _psnr_db(pictures: Sequence[Image], wanted: Sequence[Image]) -> float:
    errors = [mse_rgb(a, b) for a, b in zip(pictures, wanted, strict=True)]
    return round(psnr_db(float(np.mean(errors))), 3)
