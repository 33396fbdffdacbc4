"""Errors of every cell out of a few measured ones (`--probe-share`).

    blocks of cells, drawn --the network's paths on them alone, with their halo--> errors there
    every cell's bicubic error, LR frames --patch graph--> errors elsewhere

A long film's route map asks each path's error of each cell of each frame: with 10 % of the cells
measured nearly all of that work is spared (sr/graph/, docs/graph.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chunking.difficulty import patch_sse
from chunking.grid import Grid, Patch, with_halo
from chunking.stream import read_stream
from player.bicubic import upscale_bicubic
from player.package.paths import HARD, PATH_NAMES
from player.package.streams import StreamFiles
from sr.encode.frames import frame_pairs
from sr.encode.work import Work
from sr.graph.probing import BLOCK, draw_probes
from sr.scoring import FramePair, Scored, upscale_patch
from sr.usage_error import UsageError

Errors = NDArray[np.float64]
Groups = NDArray[np.int64]


@dataclass(frozen=True)
class Measured:
    """Sums over each group of frames: `cheap` [G, gh, gw], bicubic's errors; `errors`
    [3, G, gh, gw], of all paths where `probed`, infinite for a path that the network lacks."""

    cheap: Errors
    probed: NDArray[np.bool_]
    errors: Errors


def probed_sse(
    work: Work, video: StreamFiles, network: Scored, grid: Grid, groups: Groups
) -> Errors:
    """[3, G, gh, gw]: as the routing step measures them, a share measured and the rest predicted.

    Raises UsageError where the package for graphs is not installed.
    """
    try:
        from sr.graph.spread import WHOLE_GRAPH, predicted_errors
    except ImportError as error:
        raise UsageError(
            f"--probe-share needs {error.name}: pip install 'pocketsr[graph]'"
        ) from error
    measured = measure_probes(work, video, network, grid, groups)
    streamed = read_stream(video.init, [segment.path for segment in video.segments])
    frames = (frame.rgb for frame in streamed)
    segments = _segment_of_group(video, groups)
    return predicted_errors(
        frames,
        measured.cheap,
        measured.probed,
        measured.errors,
        grid,
        groups,
        segments,
        # One film is labelled once: finding a ticket takes longer than the whole graph does.
        WHOLE_GRAPH,
    )


def measure_probes(
    work: Work, video: StreamFiles, network: Scored, grid: Grid, groups: Groups
) -> Measured:
    """Runs the network's paths on the drawn blocks, and bicubic everywhere."""
    shape = (int(groups[-1]) + 1, *grid.shape)
    probed = draw_probes(shape, work.config.probe_share, work.config.seed)
    cheap, errors = np.zeros(shape), np.zeros((len(PATH_NAMES), *shape))
    work.progress.stage("routes", len(groups))
    pairs = frame_pairs(work.config, video)
    for number, (group, pair) in enumerate(zip(groups, pairs, strict=True), start=1):
        cheap[group] += patch_sse(
            upscale_bicubic(pair.lr, work.config.scale), pair.hr, grid, work.config.scale
        )
        for cells, sse in block_errors(network, pair, grid, probed[group]):
            errors[:, group, *cells] += sse
        work.progress.at(number)
    return Measured(cheap, probed, errors)


def block_errors(
    network: Scored, pair: FramePair, grid: Grid, probed: NDArray[np.bool_]
) -> Iterator[tuple[tuple[slice, slice], Errors]]:
    """For each block with a probed cell: which cells, and their errors [3, rows, columns]."""
    scale, halo = network.arch.scale, network.halo_px(HARD)
    for row, column in sorted({(y // BLOCK, x // BLOCK) for y, x in np.argwhere(probed).tolist()}):
        patch = _block(grid, row, column)
        block = Grid(patch.h, patch.w, grid.fine_h, grid.fine_w)
        rows, columns = slice(scale * patch.y, None), slice(scale * patch.x, None)
        hr = pair.hr[rows, columns][: scale * patch.h, : scale * patch.w]
        sse = np.full((len(PATH_NAMES), *block.shape), np.inf)
        for path, picture in upscale_patch(network, with_halo(pair.lr, patch, halo)).items():
            sse[path] = patch_sse(picture, hr, block, scale)
        first = BLOCK * row, BLOCK * column
        yield tuple(slice(f, f + n) for f, n in zip(first, block.shape, strict=True)), sse  # type: ignore[misc]


def _block(grid: Grid, row: int, column: int) -> Patch:
    """A block of cells as a rectangle of the LR frame, cut at its edges."""
    y, x = BLOCK * row * grid.fine_h, BLOCK * column * grid.fine_w
    return Patch(
        y, x, min(BLOCK * grid.fine_h, grid.height - y), min(BLOCK * grid.fine_w, grid.width - x)
    )


def _segment_of_group(video: StreamFiles, groups: Groups) -> Groups:
    """[G]: the segment that each group of frames lies in."""
    of_frame = np.repeat(np.arange(len(video.segments)), [s.frames for s in video.segments])
    return of_frame[np.searchsorted(groups, np.arange(int(groups[-1]) + 1))]
