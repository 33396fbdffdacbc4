"""Step: how difficult each patch of the training frames is for the generic network."""

import io
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from chunking.difficulty import (
    dct_energy,
    patch_samples,
    psnr_from_sse,
    rank_correlation,
    residual_energy,
)
from chunking.grid import Grid, sum_cells
from player.package.artefact import read_sealed, write_sealed
from player.package.paths import HARD
from player.package.scale import Scale
from sr.encode.methods import Difficulty
from sr.encode.work import Work
from sr.scoring import Scored, path_sse
from sr.training.data import FramePair
from sr.training.spread import CELL_PX

MOST_DB = 100.0  # of a patch that is reproduced exactly, as in the metrics
STAND_IN_FRAMES = 8


def score_difficulty(work: Work) -> tuple[Difficulty, dict[str, float]]:
    """PSNR of the generic network on every patch (STDO, section 3.2), and how well the cheap
    stand-ins rank the same patches: Spearman's rho against -PSNR.
    """
    file = work.job.path("difficulty.npz")

    def make() -> dict[str, float]:
        pairs, grid = work.film.training, work.film.grid
        generic = work.scored(work.generic_int8, len(pairs))
        work.progress.stage("difficulty", len(pairs))
        samples = work.samples_of(grid)
        scores = measure_difficulty(generic, pairs, grid, samples, work.progress.at)
        # Through memory, because the file is to be sealed.
        buffer = io.BytesIO()
        np.savez(buffer, **vars(scores))
        write_sealed(file, buffer.getvalue())
        return stand_in_correlations(pairs, grid, samples, work.film.scale, scores.fine_db)

    correlation = work.job.step("difficulty", make, [file])
    stored = np.load(io.BytesIO(read_sealed(file)))
    return Difficulty(**{name: stored[name] for name in stored}), correlation


def stand_in_correlations(
    pairs: Sequence[FramePair],
    grid: Grid,
    samples: NDArray[np.int64],
    scale: Scale,
    fine_db: NDArray[np.float64],
) -> dict[str, float]:
    """Spearman's rho of each stand-in with -PSNR [T, gh, gw], over a few frames."""
    # For the report alone: some hundred patches of each say it as well as those of all frames.
    few = np.linspace(0, len(pairs) - 1, min(len(pairs), STAND_IN_FRAMES)).round().astype(int)
    chosen = [pairs[i] for i in few]
    residual = [residual_energy(p.lr, p.hr, grid, scale) for p in chosen]
    energy = [dct_energy(p.lr, grid) for p in chosen]
    return {
        "residual_energy": rank_correlation(np.stack(residual) / samples, -fine_db[few]),
        "dct_energy": rank_correlation(np.stack(energy), -fine_db[few]),
    }


def measure_difficulty(
    network: Scored,
    pairs: Sequence[FramePair],
    grid: Grid,
    samples: NDArray[np.int64],
    on_frame: Callable[[int], object] = lambda done: None,
) -> Difficulty:
    """PSNR of a network's hard path on every patch; `samples` [gh, gw] as in `patch_samples`."""
    cells = Grid(grid.height, grid.width, CELL_PX, CELL_PX)
    errors = []
    for sse in path_sse(network, pairs, cells, paths=(HARD,)):
        errors.append(sse[HARD])
        on_frame(len(errors))
    of_cells = np.stack(errors)
    fine = patch_sums(of_cells, grid)
    coarse_db = psnr_from_sse(coarse_sums(fine), coarse_sums(samples))
    fine_db = psnr_from_sse(fine, samples)
    scale, (height, width) = network.arch.scale, pairs[0].hr.shape[:2]
    cell_mse = of_cells / np.maximum(patch_samples(cells, scale, height, width), 1)
    # Infinite where nothing is wrong, and an infinite score spoils every mean and share.
    return Difficulty(
        np.minimum(fine_db, MOST_DB), np.minimum(coarse_db, MOST_DB), cell_mse.astype(np.float32)
    )


def patch_sums(cells: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    """[T, ch, cw] of cells of CELL_PX summed over each patch of a grid -> [T, gh, gw]."""
    # CELL_PX divides both sides of a patch, so that every patch is whole cells.
    rows, columns = grid.fine_h // CELL_PX, grid.fine_w // CELL_PX
    of_cells = Grid(cells.shape[1], cells.shape[2], rows, columns)
    return np.stack([sum_cells(frame, of_cells) for frame in cells])


def coarse_sums(fine: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
    """[..., gh, gw] summed over the fine cells of each coarse patch -> [..., ch, cw]."""
    rows, columns = (np.arange(0, n, 2) for n in fine.shape[-2:])
    by_row = np.add.reduceat(fine.astype(np.float64), rows, axis=-2)
    return np.add.reduceat(by_row, columns, axis=-1)
