"""How difficult each patch is: PSNR of the generic network (STDO), and cheap stand-ins for it.

| score | needs | low means |
|---|---|---|
| `psnr_from_sse(patch_sse(...))` | a network's output and HR | hard |
| `residual_energy` | bicubic and HR, no network | easy |
| `dct_energy` | LR alone | easy |
"""

from itertools import pairwise

import cv2
import numpy as np
from PIL import Image

from chunking.grid import Grid
from player.package.scale import Scale, hr_px

EXACT_ROWS = 258  # as many squares of 0..255 as float32 adds without rounding, in any order


def patch_sse(sr: np.ndarray, hr: np.ndarray, grid: Grid, scale: Scale) -> np.ndarray:
    """Squared error of each fine cell, [gh, gw] float64 but whole numbers, over the C colours.

    `sr` [H', W', C] u8 covers at least `hr` [H, W, C] u8; what lies beyond HR is not displayed
    and does not count.
    """
    height, width, colours = hr.shape
    rows = [min(hr_px(y, scale), height) for y in range(0, grid.height, grid.fine_h)]
    # Samples of a row of HR, summed down each row of cells; zero beyond HR.
    sums = np.zeros((len(rows), colours * hr_px(grid.width, scale)))
    # Row of cells by row of cells, so that what is in between stays in the cache.
    for own, (top, below) in zip(sums, pairwise([*rows, height]), strict=True):
        for y in range(top, below, EXACT_ROWS):
            band = slice(y, min(y + EXACT_ROWS, below))
            off = cv2.absdiff(sr[band, :width], hr[band]).reshape(-1, colours * width)
            squares = np.square(off, dtype=np.uint16)
            own[: colours * width] += cv2.reduce(squares, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32F)[0]
    columns = [colours * hr_px(x, scale) for x in range(0, grid.width, grid.fine_w)]
    return np.add.reduceat(sums, columns, axis=1)


def shown_sse(
    sr: np.ndarray, hr: np.ndarray, grid: Grid, scale: Scale, luma_share: float
) -> np.ndarray:
    """[gh, gw]: `patch_sse` over RGB, of which `luma_share` is luma's alone (BT.601, rounded to
    8 bits), counted three times, so that a grey error costs the same whatever the share."""
    error = patch_sse(sr, hr, grid, scale)
    if luma_share == 0:
        return error
    height, width = hr.shape[:2]
    shown, wanted = (
        np.asarray(cv2.cvtColor(rgb[:height, :width], cv2.COLOR_RGB2GRAY))[..., None]
        for rgb in (sr, hr)
    )
    of_luma: np.ndarray = 3 * luma_share * patch_sse(shown, wanted, grid, scale)
    return (1 - luma_share) * error + of_luma


def patch_samples(grid: Grid, scale: Scale, height: int, width: int) -> np.ndarray:
    """[gh, gw] int64: displayed RGB samples of each fine cell of an HR frame height x width."""
    rows = [min(hr_px(i * grid.fine_h, scale), height) for i in range(grid.shape[0] + 1)]
    columns = [min(hr_px(i * grid.fine_w, scale), width) for i in range(grid.shape[1] + 1)]
    return 3 * np.outer(np.diff(rows), np.diff(columns)).astype(np.int64)


def psnr_from_sse(sse: np.ndarray, samples: np.ndarray | int) -> np.ndarray:
    """8-bit PSNR in dB of squared errors summed over `samples`; infinite where there is none."""
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255.0**2 * np.asarray(samples) / np.asarray(sse, np.float64))


def residual_energy(lr: np.ndarray, hr: np.ndarray, grid: Grid, scale: Scale) -> np.ndarray:
    """[gh, gw]: squared error of bicubic upscaling, what a network is to add (stand-in 1)."""
    size = (hr_px(grid.width, scale), hr_px(grid.height, scale))
    upscaled = np.asarray(Image.fromarray(lr).resize(size, Image.Resampling.BICUBIC))
    return patch_sse(upscaled, hr, grid, scale)


def dct_energy(lr: np.ndarray, grid: Grid) -> np.ndarray:
    """[gh, gw]: energy of LR luma weighted by frequency squared, from LR alone (stand-in 2).

    The cell's orthonormal DCT-II; the weight makes fine texture count and shading not. Partial
    cells are continued by their edge pixels, which add nothing at high frequency.
    """
    rows, columns = grid.shape
    luma = lr.astype(np.float64) @ (0.299, 0.587, 0.114)
    beyond = (rows * grid.fine_h - grid.height, columns * grid.fine_w - grid.width)
    luma = np.pad(luma, ((0, beyond[0]), (0, beyond[1])), mode="edge")
    cells = luma.reshape(rows, grid.fine_h, columns, grid.fine_w).swapaxes(1, 2)
    # [rows, columns, fine_h, fine_w]: a matrix on either side transforms each cell's own two axes.
    spectrum = _dct_matrix(grid.fine_h) @ cells @ _dct_matrix(grid.fine_w).T
    vertical = (np.arange(grid.fine_h) / grid.fine_h) ** 2
    horizontal = (np.arange(grid.fine_w) / grid.fine_w) ** 2
    return (spectrum**2 * np.add.outer(vertical, horizontal)).sum(axis=(2, 3))


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rho in -1..1 over all values, ties by mean rank; nan if one is constant."""
    ranks = _mean_ranks(np.ravel(first)), _mean_ranks(np.ravel(second))
    a, b = (r - r.mean() for r in ranks)
    norm = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / norm) if norm else float("nan")


def _mean_ranks(values: np.ndarray) -> np.ndarray:
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    # n equal values hold the ranks up to `last`: their mean is (n - 1) / 2 before it.
    return (last - (counts - 1) / 2)[group]


def _dct_matrix(size: int) -> np.ndarray:
    """Orthonormal DCT-II, [size, size]; row = frequency."""
    frequency, place = np.arange(size)[:, None], np.arange(size)[None]
    matrix = np.sqrt(2 / size) * np.cos(np.pi * frequency * (2 * place + 1) / (2 * size))
    # A cosine's squares sum to half of the constant's: without this its row would be too long.
    matrix[0] /= np.sqrt(2)
    return matrix
