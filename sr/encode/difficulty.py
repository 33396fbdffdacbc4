"""Step: how difficult each patch of the training frames is for the generic network."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from chunking.difficulty import dct_energy, psnr_from_sse, rank_correlation, residual_energy
from chunking.grid import Grid
from player.package.weights import HARD
from sr.encode.methods import Difficulty
from sr.encode.work import Work
from sr.packing import network_of
from sr.scoring import FramePair, Scored, path_sse

MOST_DB = 100.0  # of a patch that is reproduced exactly, as in the metrics
STEP = "difficulty"


def score_difficulty(work: Work, pairs: list[FramePair]) -> tuple[Difficulty, dict[str, float]]:
    """PSNR of the generic network on every patch (STDO, section 3.2), and how well the cheap
    stand-ins rank the same patches: Spearman's rho against -PSNR. Kept in the job's folder.
    """
    file = work.job.work / f"{STEP}.npz"
    if (correlation := work.job.result(STEP)) is not None:
        stored = np.load(file)
        return Difficulty(stored["fine_db"], stored["coarse_db"]), correlation
    work.progress.stage("difficulty", len(pairs))
    generic = network_of(work.generic)
    difficulty = measure_difficulty(generic, pairs, work.grid, work.samples, work.progress.at)
    correlation = _rank_stand_ins(work, pairs, difficulty)
    np.savez(file, **vars(difficulty))
    work.job.finish(STEP, correlation, [file])
    return difficulty, correlation


def measure_difficulty(
    network: Scored,
    pairs: Iterable[FramePair],
    grid: Grid,
    samples: NDArray[np.int64],
    on_frame: Callable[[int], object] = lambda done: None,
) -> Difficulty:
    """PSNR of a network's hard path on every patch; `samples` [gh, gw] as in `patch_samples`."""
    errors = []
    for sse in path_sse(network, pairs, grid):
        errors.append(sse[HARD])
        on_frame(len(errors))
    fine = np.stack(errors)
    coarse_db = psnr_from_sse(coarse_sums(fine), coarse_sums(samples))
    fine_db = psnr_from_sse(fine, samples)
    return Difficulty(np.minimum(fine_db, MOST_DB), np.minimum(coarse_db, MOST_DB))


def _rank_stand_ins(work: Work, pairs: list[FramePair], difficulty: Difficulty) -> dict[str, float]:
    grid, scale = work.grid, work.config.scale
    residual = np.stack([residual_energy(p.lr, p.hr, grid, scale) for p in pairs]) / work.samples
    dct = np.stack([dct_energy(p.lr, grid) for p in pairs])
    return {
        "residual_energy": rank_correlation(residual, -difficulty.fine_db),
        "dct_energy": rank_correlation(dct, -difficulty.fine_db),
    }


def coarse_sums(fine: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
    """[..., gh, gw] summed over the fine cells of each coarse patch -> [..., ch, cw]."""
    rows, columns = (np.arange(0, n, 2) for n in fine.shape[-2:])
    by_row = np.add.reduceat(fine.astype(np.float64), rows, axis=-2)
    return np.add.reduceat(by_row, columns, axis=-1)
