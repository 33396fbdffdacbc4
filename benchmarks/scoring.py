"""What difficulty and routes cost the server: the engine against the reference, in turns.

    python -m benchmarks.scoring [--quick] [--json FILE] [--clips FILE ...]

The control is what `encode` did before: difficulty by the generic network in bf16, routes by the
integers in torch, all paths each time, errors in float64. Both run on one thread over evenly spread
frames of the first clip (by default that of `make demo`), and what counts is processor time: its
median ratio over the rounds. The routes of both are the same bytes, or this ends with an error;
the difficulty of both is compared by rank.

Of every clip, too: what it would lose to probe the first and the last frame of each group that
holds one route, instead of all of them. JSON to benchmarks/results/scoring.json.
"""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.demo import demo_clip
from benchmarks.harness import Timing, argument_parser, environment, interleave, write_json
from benchmarks.reproduction.table import markdown
from chunking.difficulty import dct_energy, patch_samples, psnr_from_sse, rank_correlation
from chunking.grid import Grid, sum_cells
from chunking.lr import downscale
from chunking.route_plan import plan_routes, usual_cell_px
from chunking.video import read_frames
from player.costs import path_macs
from player.engine import Engine
from player.package.architecture import Architecture
from player.package.generic import generic_blob
from player.package.paths import HARD, PLANNED_PATHS, path_of
from player.package.weights import unpack_weights
from sr.encode.difficulty import measure_difficulty, patch_sums, stand_in_correlations
from sr.encode.records import RouteOptions
from sr.host_engine import WORTH_COMPILING_PX, host_engine
from sr.packing import network_of
from sr.quant.integer_network import IntegerNetwork
from sr.scoring import EngineNetwork, Scored, path_sse, upscale_paths
from sr.training.data import FramePair
from sr.training.spread import CELL_PX

SCALE = 4
FRAMES, FIRST_FRAMES = 24, 120  # what is timed, spread over the clip's first
HELD_FRAMES = 48  # one after the other, in groups that hold one route
OLD, NEW = "reference", "engine"
Pairs = Sequence[FramePair]
Errors = NDArray[np.float64]


class Reference:
    """Difficulty and routes as they were."""

    def __init__(self) -> None:
        blob = unpack_weights(generic_blob(SCALE, "int8"))
        self.integers = IntegerNetwork(blob.arch, blob.tensors)
        self.generic = network_of(unpack_weights(generic_blob(SCALE, "fp32")))

    def difficulty(self, pairs: Pairs, grid: Grid, samples: NDArray[np.int64]) -> Errors:
        """PSNR of fine patches [T, gh, gw], with the stand-ins' correlation as a by-product."""
        cells = Grid(grid.height, grid.width, CELL_PX, CELL_PX)
        sse = np.stack([self.path_sse(self.generic, pair, cells)[HARD] for pair in pairs])
        fine_db = psnr_from_sse(patch_sums(sse, grid), samples)
        residual = np.stack([_residual_energy(pair, grid) for pair in pairs])
        rank_correlation(residual / samples, -fine_db)
        rank_correlation(np.stack([dct_energy(pair.lr, grid) for pair in pairs]), -fine_db)
        return fine_db

    def errors(self, pairs: Pairs, grid: Grid) -> Errors:
        """[3, T, gh, gw]: for the routes."""
        return np.stack([self.path_sse(self.integers, pair, grid) for pair in pairs], axis=1)

    @staticmethod
    def path_sse(network: Scored, pair: FramePair, grid: Grid) -> Errors:
        errors = np.full((len(PLANNED_PATHS), *grid.shape), np.inf)
        for path, frame in upscale_paths(network, pair.lr):
            errors[path] = _float_sse(frame, pair.hr, grid)
        return errors


class Current:
    """The same by the code of `encode`, on an engine."""

    def __init__(self, engine: Engine) -> None:
        self.network = EngineNetwork(engine, generic_blob(SCALE, "int8"))

    def difficulty(self, pairs: Pairs, grid: Grid, samples: NDArray[np.int64]) -> Errors:
        fine_db = measure_difficulty(self.network, pairs, grid, samples).fine_db
        stand_in_correlations(pairs, grid, samples, SCALE, fine_db)
        return fine_db

    def errors(self, pairs: Pairs, grid: Grid) -> Errors:
        return np.stack([*path_sse(self.network, pairs, grid)], axis=1)


def _float_sse(sr: NDArray[np.uint8], hr: NDArray[np.uint8], grid: Grid) -> Errors:
    height, width = hr.shape[:2]
    difference = sr[:height, :width].astype(np.float64) - hr
    squares = np.zeros((grid.height * SCALE, grid.width * SCALE))
    squares[:height, :width] = (difference * difference).sum(axis=2)
    return sum_cells(squares, grid, SCALE)


def _residual_energy(pair: FramePair, grid: Grid) -> Errors:
    size = (grid.width * SCALE, grid.height * SCALE)
    upscaled = Image.fromarray(pair.lr).resize(size, Image.Resampling.BICUBIC)
    return _float_sse(np.asarray(upscaled), pair.hr, grid)


def planned(
    side: Reference | Current, pairs: Pairs, arch: Architecture, grid: Grid
) -> NDArray[np.uint8]:
    """The codes [T, gh, gw] of a route map, planned as `encode` does, one for each frame."""
    costs = path_macs(arch)[:, None, None] * grid.pixels()
    return plan_routes(side.errors(pairs, grid), costs, max_loss_db=RouteOptions().max_loss_db)


def route_grid(pairs: Pairs) -> Grid:
    """The cells of a route map, by default."""
    cell_px = usual_cell_px(SCALE, 1)
    height, width = pairs[0].lr.shape[:2]
    return Grid(height, width, cell_px, cell_px)


def spread_pairs(clip: Path, count: int, of: int) -> list[FramePair]:
    """`count` frames evenly taken of the first `of`, LR without a codec between."""
    wanted = set(np.linspace(0, of - 1, count).round().astype(int).tolist())
    frames = (frame.rgb for frame in read_frames(clip, of) if frame.index in wanted)
    return [FramePair(downscale(hr, SCALE), hr) for hr in frames]


def measure(pairs: Pairs, engine: Engine, rounds: int) -> dict[str, Any]:
    """Processor time of both jobs by both, and whether they found the same."""
    (height, width), hr_size = pairs[0].lr.shape[:2], pairs[0].hr.shape[:2]
    patches, cells = Grid(height, width), route_grid(pairs)
    samples = patch_samples(patches, SCALE, *hr_size)
    arch = unpack_weights(generic_blob(SCALE, "int8")).arch
    sides: dict[str, Reference | Current] = {OLD: Reference(), NEW: Current(engine)}
    runs: dict[str, Callable[[], NDArray[Any]]] = {}
    for name, side in sides.items():
        runs[f"difficulty {name}"] = partial(side.difficulty, pairs, patches, samples)
        runs[f"routes {name}"] = partial(planned, side, pairs, arch, cells)
    found = {name: run() for name, run in runs.items()}  # and their warm-up
    if not np.array_equal(found[f"routes {OLD}"], found[f"routes {NEW}"]):
        raise SystemExit("the routes differ")
    rho = rank_correlation(found[f"difficulty {OLD}"], found[f"difficulty {NEW}"])
    times = interleave(runs, rounds, warm_up=0, clock=time.process_time)
    return {
        "hr_size": hr_size[::-1],
        "frames": len(pairs),
        "rows": [
            row(job, times[f"{job} {OLD}"], times[f"{job} {NEW}"], len(pairs))
            for job in ("difficulty", "routes")
        ],
        "difficulty_rank_correlation": round(rho, 4),
        "routes_equal": True,
    }


def sampled(pairs: Pairs, engine: Engine) -> dict[str, Any]:
    """PSNR that routes lose against the hard path, by all frames of a group and by its ends."""
    side, hold = Current(engine), RouteOptions().route_hold_frames
    grid = route_grid(pairs)
    held = side.errors(pairs, grid).reshape(len(PLANNED_PATHS), -1, hold, *grid.shape)
    whole, ends = held.sum(axis=2), held[:, :, [0, -1]].sum(axis=2) * hold / 2
    costs = np.broadcast_to(
        path_macs(side.network.arch)[:, None, None, None] * grid.pixels(), whole.shape
    )
    most_db = RouteOptions().max_loss_db
    paths = [path_of(plan_routes(e, costs, max_loss_db=most_db))[None] for e in (whole, ends)]
    errors = [float(np.take_along_axis(whole, p.astype(int), axis=0).sum()) for p in paths]
    losses_db = [10 * math.log10(error / float(whole[HARD].sum())) for error in errors]
    return {
        "loss_db": round(losses_db[0], 4),
        "sampled_loss_db": round(losses_db[1], 4),
        "equal_routes": round(float((paths[0] == paths[1]).mean()), 4),
    }


def row(name: str, old: Timing, new: Timing, frames: int) -> dict[str, Any]:
    """Seconds a frame, and the median over the rounds of their ratio."""
    ratios = [a / b for a, b in zip(old.samples_s, new.samples_s, strict=True)]
    return {
        "what": name,
        "reference_cpu_ms": round(1e3 * old.median_s / frames, 2),
        "engine_cpu_ms": round(1e3 * new.median_s / frames, 2),
        "ratio": round(statistics.median(ratios), 2),
        "least_ratio": round(min(ratios), 2),
    }


def main() -> None:
    parser = argument_parser("scoring", (__doc__ or "").splitlines()[0], quick=True)
    parser.add_argument("--clips", type=Path, nargs="+", default=[demo_clip()])
    options = parser.parse_args()
    rounds = 3 if options.quick else 9
    torch.set_num_threads(1)
    engine = host_engine(WORTH_COMPILING_PX)
    if engine is None:
        raise SystemExit("no engine to measure: pip install 'pocketsr[compile]'")
    data = measure(spread_pairs(options.clips[0], FRAMES, FIRST_FRAMES), engine, rounds)
    data["sampled"] = [
        {"clip": clip.name, **sampled(spread_pairs(clip, HELD_FRAMES, HELD_FRAMES), engine)}
        for clip in options.clips
    ]
    packages = ("apache-tvm", "numpy", "torch")
    write_json(
        options.json,
        {
            "schema": "pocketsr.scoring/1",
            "environment": environment(packages),
            "clip": options.clips[0].name,
            "isa": engine.isa,
            **data,
        },
    )
    print(markdown(data["rows"]), markdown(data["sampled"]), sep="\n\n")


if __name__ == "__main__":
    main()
