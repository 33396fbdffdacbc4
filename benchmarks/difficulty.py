"""Do cheap stand-ins rank patches as a network's PSNR does?

    python -m benchmarks.difficulty --clips CLIP [CLIP ...] [--scale 4] [--frames 24] [--json FILE]

Of each clip: Spearman's rank correlation, over all fine patches of evenly spread frames, between
the PSNR of the generic network's hard path (STDO's score) and each stand-in, negated where low
means easy. Also the share of the squared error that the hardest quarter carries with equal-count
chunks, and what share of the patches each of four error-balanced chunks holds.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import numpy as np

from chunking.chunks import equal_count, error_balanced
from chunking.difficulty import (
    dct_energy,
    patch_samples,
    patch_sse,
    psnr_from_sse,
    rank_correlation,
    residual_energy,
)
from chunking.grid import Grid
from chunking.lr import downscale, lr_size
from chunking.video import probe, read_frames
from player.package.generic import generic_blob
from player.package.paths import HARD
from sr.scoring import scored_network, upscale_paths

RESULT = Path(__file__).parent / "results" / "difficulty.json"
FIRST_FRAMES = 150  # of each clip; the frames that count are spread over these
Upscaler = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Row:
    """One clip; correlations in -1..1, positive when the stand-in ranks as the PSNR does."""

    clip: str
    frames: int
    patches: int
    rho_dct_energy: float
    rho_residual_energy: float
    error_in_hardest_quarter: float
    patches_in_error_balanced_chunks: list[float]


def generic_upscaler(scale: int) -> Upscaler:
    """[h, w, 3] -> [scale*h, scale*w, 3] u8 by the generic network that ships with the player."""
    network = scored_network(generic_blob(scale, "int8"))
    return lambda lr: dict(upscale_paths(network, lr, (HARD,)))[HARD]


def measure(clip: Path, scale: int, count: int, upscale: Upscaler) -> Row:
    """Scores of every patch of `count` frames spread over the clip."""
    info = probe(clip)
    grid = Grid(*lr_size(info.height, info.width, scale))
    samples = patch_samples(grid, scale, info.height, info.width)
    columns: list[tuple[np.ndarray, ...]] = []
    for hr in spread(clip, count):
        lr = downscale(hr, scale)
        sse = patch_sse(upscale(lr), hr, grid, scale)
        columns.append((sse, dct_energy(lr, grid), residual_energy(lr, hr, grid, scale)))
    sse, dct, residual = (np.stack(column) for column in zip(*columns, strict=True))
    # A cell cut by the border holds less of everything: compare means, as PSNR does.
    psnr, dct, residual = psnr_from_sse(sse, samples), dct / grid.pixels(), residual / samples
    hardest = equal_count(psnr, 4) == 0
    balanced = np.bincount(error_balanced(psnr, sse, 4).ravel()) / sse.size
    return Row(
        clip.name, len(columns), sse.size,
        round(rank_correlation(psnr, -dct), 4), round(rank_correlation(psnr, -residual), 4),
        round(float(sse[hardest].sum() / sse.sum()), 4), balanced.round(4).tolist(),
    )  # fmt: skip


def spread(clip: Path, count: int) -> Iterator[np.ndarray]:
    """`count` frames at even distances, or all of a shorter clip."""
    total = sum(1 for _ in read_frames(clip, limit=FIRST_FRAMES))
    step = max(1, total // count)
    for frame in read_frames(clip, limit=min(total, step * count)):
        if frame.index % step == 0:
            yield frame.rgb


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clips", nargs="+", type=Path, required=True)
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--json", type=Path, default=RESULT)
    options = parser.parse_args()
    rows, upscale = [], generic_upscaler(options.scale)
    for clip in options.clips:
        rows.append(measure(clip, options.scale, options.frames, upscale))
        print(rows[-1], flush=True)
    result = {
        "schema": "pocketsr.benchmark.difficulty/1",
        "scale": options.scale,
        "environment": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "av": av.__version__,
        },
        "rows": [asdict(row) for row in rows],
    }
    options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
