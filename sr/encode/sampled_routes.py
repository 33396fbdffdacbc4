"""Errors of every cell out of a sample of them (`--probe-share`), for the route map.

    blocks of cells, drawn --the network's paths on them alone, with their halo--> errors there
    LR frames, bicubic's errors --six features of every cell--> the nearest sampled cells
                                                                --> errors elsewhere

A long film's route map asks each path's error of each cell of each frame: with 10 % of the cells
sampled nearly all of that work is spared. A graph network that was trained on the sample loses no
less (docs/laboratory.md).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from chunking.difficulty import dct_energy, patch_sse
from chunking.grid import Grid, Patch, hr_window, sum_cells, with_halo
from player.bicubic import upscale_bicubic
from player.package.paths import BICUBIC, HARD, PLANNED_PATHS
from sr.encode.by_segment import Errors, Groups, by_segment
from sr.encode.work import Work
from sr.scoring import Scored, upscale_patch
from sr.training.data import FramePair

Mask = NDArray[np.bool_]

BLOCK = 4  # cells a side, sampled together, so that the network's halo is paid once for them all
NEAREST = 4  # sampled cells that a cell is predicted from
LEAST_ERROR = 1.0  # of a cell, squared; below it nothing can be gained
FEATURES = (
    "log frequency energy",
    "log gradient energy",
    "mean luma",
    "log variance of luma",
    "log temporal difference",
    "log error of bicubic",
)
# What is kept of each cell: its errors on each path, bicubic's again where none is sampled, the
# features but for the last.
_CHEAP = len(PLANNED_PATHS)
_FEATURES = slice(_CHEAP + 1, _CHEAP + len(FEATURES))
_COLUMNS = _CHEAP + len(FEATURES)


def sampled_sse(work: Work, network: Scored, grid: Grid, groups: Groups) -> Errors:
    """[3, G, gh, gw]: as the routing step measures them, a share measured and the rest predicted.

    `groups` [T]: the frame group of each frame.
    """
    shape = (int(groups[-1]) + 1, *grid.shape)
    sampled = draw_samples(shape, work.options.routes.probe_share, work.options.training.seed)

    def measure(pairs: Iterator[FramePair], own: Groups) -> Errors:
        first = int(own[0])
        sums = np.zeros((_COLUMNS, int(own[-1]) - first + 1, *grid.shape))
        # The first frame of a segment is its own predecessor: no temporal difference.
        before: Errors | None = None
        for group, pair in zip(own, pairs, strict=True):
            errors, features = sums[: len(PLANNED_PATHS), group - first], sums[_FEATURES]
            bicubic = upscale_bicubic(pair.lr, work.film.scale)
            sums[_CHEAP, group - first] += patch_sse(bicubic, pair.hr, grid, work.film.scale)
            luma = luma_of(pair.lr)
            of_frame = frame_features(luma, luma if before is None else before, grid)
            features[:, group - first] += np.moveaxis(of_frame, -1, 0)
            before = luma
            for cells, sse in block_errors(network, pair, grid, sampled[group]):
                errors[:, *cells] += sse
        return sums

    sums = by_segment(work, groups, measure)
    features = np.moveaxis(sums[_FEATURES], 0, -1) / np.bincount(groups)[:, None, None, None]
    cheap = sums[_CHEAP]
    table = feature_table(features, cheap, grid)
    return nearest_errors(table, cheap, sampled, sums[: len(PLANNED_PATHS)])


def draw_samples(shape: tuple[int, int, int], share: float, seed: int, block: int = BLOCK) -> Mask:
    """[G, gh, gw]: about `share` of the cells, in aligned blocks of `block` x `block`.

    Spread over time (one block from each of as many equal stretches as there are blocks), and
    over places: none is sampled again before every other one has been. At least one block.
    """
    groups, rows, columns = shape
    rng = np.random.default_rng(seed)
    places = [(y, x) for y in range(0, rows, block) for x in range(0, columns, block)]
    count = int(np.clip(round(share * groups * len(places)), 1, groups * len(places)))
    sampled = np.zeros(shape, bool)
    turns = rng.permutation(len(places))
    for i in range(count):
        y, x = places[turns[i % len(places)]]
        # The free frame group nearest to the middle of the i-th stretch, moved by chance within it.
        free = np.flatnonzero(~sampled[:, y, x])
        wanted = (i + rng.random()) * groups / count
        group = free[np.argmin(np.abs(free + 0.5 - wanted))]
        sampled[group, y : y + block, x : x + block] = True
    return sampled


def block_errors(
    network: Scored, pair: FramePair, grid: Grid, sampled: Mask
) -> Iterator[tuple[tuple[slice, slice], Errors]]:
    """For each block with a sampled cell: which cells, and their errors [3, rows, columns]."""
    scale, halo = network.arch.scale, network.halo_px(HARD)
    for row, column in sorted({(y // BLOCK, x // BLOCK) for y, x in np.argwhere(sampled).tolist()}):
        y, x = BLOCK * row * grid.fine_h, BLOCK * column * grid.fine_w
        height = min(BLOCK * grid.fine_h, grid.height - y)
        width = min(BLOCK * grid.fine_w, grid.width - x)
        block = Grid(height, width, grid.fine_h, grid.fine_w)
        # At the frame's border to whole units; what is made beyond it is not compared.
        units = (side + -side % network.arch.units for side in (height, width))
        padded = with_halo(pair.lr, Patch(y, x, *units), halo)
        hr = pair.hr[hr_window(Patch(y, x, height, width), scale)]
        # Infinite, for the planner, on a path that the network lacks.
        sse = np.full((len(PLANNED_PATHS), *block.shape), np.inf)
        for path, picture in upscale_patch(network, padded).items():
            sse[path] = patch_sse(picture, hr, block, scale)
        first = BLOCK * row, BLOCK * column
        yield tuple(slice(f, f + n) for f, n in zip(first, block.shape, strict=True)), sse  # type: ignore[misc]


def luma_of(frame: NDArray[np.uint8]) -> Errors:
    """[H, W, 3] u8 -> [H, W] BT.601 luma, 0..255."""
    return frame.astype(np.float64) @ (0.299, 0.587, 0.114)


def frame_features(luma: Errors, before: Errors, grid: Grid) -> Errors:
    """[gh, gw, 5]: all but the last of FEATURES, of a frame's luma [H, W] and that before it."""
    pixels = grid.pixels()
    vertical = np.diff(luma, axis=0, append=luma[-1:])
    horizontal = np.diff(luma, axis=1, append=luma[:, -1:])
    mean = sum_cells(luma, grid) / pixels
    # Rounding may leave a flat cell a variance just below zero.
    variance = np.maximum(sum_cells(luma * luma, grid) / pixels - mean * mean, 0)
    columns = (
        np.log1p(dct_energy(np.repeat(luma[..., None], 3, axis=2), grid) / pixels),
        np.log1p(sum_cells(vertical**2 + horizontal**2, grid) / pixels),
        mean / 255,
        np.log1p(variance),
        np.log1p(sum_cells((luma - before) ** 2, grid) / pixels),
    )
    return np.stack(columns, axis=-1)


def feature_table(features: Errors, cheap: Errors, grid: Grid) -> NDArray[np.float32]:
    """[N, 6]: FEATURES of each cell of each group, of `frame_features`' means [G, gh, gw, 5] and
    bicubic's errors [G, gh, gw]."""
    last = np.log1p(cheap / grid.pixels())[..., None]
    table = np.concatenate([features, last], axis=-1).reshape(-1, len(FEATURES))
    return table.astype(np.float32)


def standardised(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each column less its mean, over its deviation; a constant column becomes zero."""
    deviation = features.std(axis=0)
    # Rounding leaves a little deviation in a constant column.
    constant = deviation <= 1e-6 * (1 + np.abs(features).max(axis=0))
    scaled = (features - features.mean(axis=0)) / np.where(constant, np.inf, deviation)
    return scaled.astype(np.float32)


def nearest_errors(
    features: NDArray[np.float32], cheap: Errors, sampled: Mask, errors: Errors
) -> Errors:
    """[3, G, gh, gw]: `errors` where `sampled`; elsewhere bicubic's times the share of them that
    each path leaves at the nearest sampled cells.

    `features` [N, F]; `cheap` [G, gh, gw]: bicubic's errors; `errors` [3, G, gh, gw] are not read
    where nothing was sampled, and are infinite on a path that the network lacks.
    """
    # Shares and not errors are alike in cells that look alike, and a share of nearly nothing is
    # noise: hence the floor.
    known, floor = sampled.ravel(), np.maximum(cheap.ravel(), LEAST_ERROR)
    left = errors.reshape(len(errors), -1)[:, known] / floor[known]
    table = standardised(features)
    # As a list, for k = 1 alone would come back without its axis.
    ranks = [*range(1, min(NEAREST, int(known.sum())) + 1)]
    distances, found = cKDTree(table[known]).query(table, k=ranks)
    # Cells that look exactly alike are at distance 0.
    weights = 1 / (distances + 1e-3)
    share = (left[:, found] * weights).sum(axis=-1) / weights.sum(axis=-1)
    predicted = (share * floor).reshape(errors.shape)
    predicted[BICUBIC] = cheap
    return np.where(sampled, errors, predicted)
