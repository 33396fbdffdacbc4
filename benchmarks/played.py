"""Frames as PocketSR plays them, with their routes, against peers that run the whole network.

    python -m benchmarks.played --clip PACKAGE FILM [--clip PACKAGE FILM ...] [--only PEER ...]

Each package's own frames, networks and routes; the peers run the hard path of the generic network
of the same form over the same LR frames (time does not depend on the weights). In turns, frame by
frame, one process. What the routes give away is told in dB over whole frames, against all hard.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.entrants import Bench, Entrant, find_entrants
from benchmarks.harness import Timing, argument_parser, environment, interleave, write_json
from benchmarks.peer_summary import print_table
from benchmarks.peers import benchmark_folder, versions
from benchmarks.runtimes import OURS, PEERS
from benchmarks.runtimes.interface import Image, size_name
from benchmarks.runtimes.ours import engine_of
from benchmarks.subject import Subject, generic_subject
from player.compare import Pair, pair_with_reference
from player.costs import path_pixels
from player.engine import Engine, Pool
from player.metrics import mse_rgb, psnr_db
from player.networks import NetworkSet, load_networks
from player.package.paths import HARD
from player.session import Package, ignore, open_package
from player.upscale import crop, upscale

ROUTED, ALL_HARD = "pocketsr as played", "pocketsr all hard"
_PEERS = ("openvino", "onnxruntime")
_WARM_UP = 2
_FRAMES, _QUICK_FRAMES, _EVERY = 16, 4, 8
_COLUMNS = ("clip", "lr", "threads", "runtime", "median_ms", "spread", "ratio")

Row = dict[str, Any]


@dataclass(frozen=True)
class Film:
    """A package, sampled frames with the film's own, and the networks that play it.

    `out`: the frame buffer, the same for every frame, as it is for the peers.
    """

    name: str
    package: Package
    pairs: tuple[Pair, ...]
    networks: NetworkSet
    out: Image

    def routed(self, pool: Pool, at: int) -> Image:
        frame = self.pairs[at][0]
        return pool.frame(self.networks.networks, frame.patches, frame.lr, self.out)

    def all_hard(self, pool: Pool, at: int) -> Image:
        frame = self.pairs[at][0]
        return pool.frame(self.networks.networks, hard_patches(frame.patches), frame.lr, self.out)


def hard_patches(patches: NDArray[np.int32]) -> NDArray[np.int32]:
    """The same patches of the same networks, all on the hard path."""
    hard = patches.copy()
    hard[:, 5] = HARD
    return hard


def open_film(directory: Path, film: Path, engine: Engine, frames: int) -> Film:
    """The first frames of every eighth, with those of the film. Raises as `upscale` does."""
    package = open_package(directory)
    assert package.index, directory
    shown = upscale(package, engine, limit=frames * _EVERY)
    sampled = (frame for frame in shown if frame.index % _EVERY == 0)
    pairs = tuple(pair_with_reference(sampled, film, package.index.time_base))
    networks = load_networks(package, engine, ignore)
    height, width = (package.scale * side for side in pairs[0][0].lr.shape[:2])
    out = np.empty((height, width, 3), np.uint8)
    return Film(directory.name, package, pairs, networks, out)


def measure_film(film: Film, bench: Bench, engine: Engine, threads: int) -> list[Row]:
    """Time of each contender, and our speed as played over each."""
    pool = engine.pool(threads)
    lr = film.pairs[0][0].lr
    runs = {
        ROUTED: _over_frames(lambda at: film.routed(pool, at), len(film.pairs)),
        ALL_HARD: _over_frames(lambda at: film.all_hard(pool, at), len(film.pairs)),
    }
    for entrant, session in bench.sessions(lr.shape[:2], threads).items():
        fed = [session.prepare(frame.lr) for frame, _ in film.pairs]
        runs[entrant.name] = _over_frames(
            lambda at, session=session, fed=fed: session.run(fed[at]),  # type: ignore[misc]
            len(film.pairs),
        )
    timings = interleave(runs, len(film.pairs), _WARM_UP)
    labels = {"clip": film.name, "lr": size_name(lr.shape[:2]), "threads": threads}
    return [row_of(name, timings, labels) for name in runs]


def row_of(name: str, timings: dict[str, Timing], labels: Row) -> Row:
    """`ratio`: the median over the frames of that contender's time over ours as played."""
    timing = timings[name]
    pairs = zip(timing.samples_s, timings[ROUTED].samples_s, strict=True)
    return {
        **labels,
        "runtime": name,
        "median_ms": round(timing.median_s * 1e3, 3),
        "spread": round(timing.spread, 3),
        "ratio": round(median(theirs / ours for theirs, ours in pairs), 3),
    }


def measure_quality(film: Film, pool: Pool) -> Row:
    """PSNR over the sampled frames as played and all hard, and where the pixels went."""
    errors: dict[str, list[float]] = {"routed": [], "hard": []}
    pixels = np.zeros(3, np.int64)
    for at, (frame, original) in enumerate(film.pairs):
        pixels += path_pixels(frame.patches)
        errors["routed"].append(mse_rgb(crop(film.package, film.routed(pool, at)), original))
        errors["hard"].append(mse_rgb(crop(film.package, film.all_hard(pool, at)), original))
    routed, hard = (psnr_db(fmean(errors[name])) for name in ("routed", "hard"))
    shares = [round(float(n / pixels.sum()), 3) for n in pixels]
    return {
        "clip": film.name,
        "frames": len(film.pairs),
        "psnr_routed_db": round(routed, 3),
        "psnr_hard_db": round(hard, 3),
        "given_away_db": round(hard - routed, 3),
        "shares": dict(zip(("bicubic", "easy", "hard"), shares, strict=True)),
    }


def summary(rows: Sequence[Row], quality: Sequence[Row]) -> dict[str, Any]:
    """By clip, the speed over the fastest peer; their mean, for each number of threads."""
    figures: dict[str, Any] = {"given_away_db": {q["clip"]: q["given_away_db"] for q in quality}}
    for threads in sorted({r["threads"] for r in rows}):
        same = [r for r in rows if r["threads"] == threads]
        peers = [r for r in same if r["runtime"] not in (ROUTED, ALL_HARD)]
        clips = dict.fromkeys(r["clip"] for r in peers)
        least = {c: min(r["ratio"] for r in peers if r["clip"] == c) for c in clips}
        name = "1_thread" if threads == 1 else f"{threads}_threads"
        figures[f"ratio_to_fastest_peer_{name}"] = least
        figures[f"mean_ratio_{name}"] = round(fmean(least.values()), 3) if least else None
    return figures


def _over_frames(run: Callable[[int], object], count: int) -> Callable[[], object]:
    """Each call runs the next frame; warming up takes the first ones."""
    places = iter([*range(_WARM_UP), *range(count)])
    return lambda: run(next(places) % count)


def _bench(subject: Subject, peers: Sequence[str], folder: Path) -> Bench:
    entrants, _ = find_entrants((OURS, *peers), subject, [None], folder)
    others: list[Entrant] = [e for e in entrants if e.runtime.name != OURS and e.dtype == "int8"]
    return Bench(subject, tuple(others), folder, rounds=0)


def main() -> None:
    options = _options()
    subject = generic_subject()
    folder = benchmark_folder(subject)
    bench = _bench(subject, options.only or _PEERS, folder)
    engine = engine_of(bench.order_of("int8"))
    rows, quality = [], []
    for directory, film in options.clip:
        opened = open_film(directory, film, engine, _QUICK_FRAMES if options.quick else _FRAMES)
        quality.append(measure_quality(opened, engine.pool(1)))
        for threads in (1, 2):
            rows += measure_film(opened, bench, engine, threads)
    print_table(_COLUMNS, rows)
    print_table(tuple(quality[0]), quality)
    result = {
        "schema": "pocketsr.played/1",
        "environment": environment(versions(bench.entrants)),
        "rows": rows,
        "quality": quality,
        "summary": summary(rows, quality),
    }
    print(result["summary"])
    write_json(options.json, result)


def _options() -> argparse.Namespace:
    parser = argument_parser("played", __doc__, quick=True)
    files = {"nargs": 2, "type": Path, "metavar": ("PACKAGE", "FILM")}
    parser.add_argument("--clip", action="append", required=True, **files)  # type: ignore[arg-type]
    parser.add_argument("--only", nargs="+", choices=PEERS, metavar="PEER", help="these peers")
    return parser.parse_args()


if __name__ == "__main__":
    main()
