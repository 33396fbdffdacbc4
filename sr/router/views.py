"""More to learn from the same frames: cells at every place of the quarter grid.

A film of a fixed camera shows a router the same few hundred cells over and over. Errors are taken
on quarter cells, so that a cell may start at any multiple of 4 px, each with its own true label.

    quarter errors [3, T, qh, qw] ─ 3 x 3 shifts ─► frames cut at top and left, their cells' labels
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from chunking.grid import Grid
from player.package.paths import BICUBIC, EASY, HARD, QUARTER_PX
from sr.router.labels import UNKNOWN, planned_classes
from sr.router.network import RouterShape
from sr.router.training import RouterData
from sr.shrink.content_groups import LEAST_COVER

Errors = NDArray[np.float64]


def quarter_grid(height: int, width: int) -> Grid:
    """The grid on which the errors of `shifted_views` are taken."""
    return Grid(height, width, QUARTER_PX, QUARTER_PX)


def cell_sums(quarters: Errors, side: int) -> Errors:
    """[..., qh, qw] -> sums over side x side quarters, partial cells at right and bottom too."""
    *rest, rows, columns = quarters.shape
    beyond = [(0, 0)] * len(rest) + [(0, -rows % side), (0, -columns % side)]
    whole = np.pad(quarters, beyond)
    cells = whole.reshape(*rest, whole.shape[-2] // side, side, whole.shape[-1] // side, side)
    return cells.sum(axis=(-3, -1))


def cell_macs(height: int, width: int, cell_px: int, per_pixel: NDArray[np.float64]) -> Errors:
    """[3, gh, gw]: what each cell of a frame costs on each path."""
    return per_pixel[:, None, None] * Grid(height, width, cell_px, cell_px).pixels()


def shifted_views(
    frames: NDArray[np.uint8],
    quarters: Errors,
    per_pixel: NDArray[np.float64],
    max_loss_db: float,
    shape: RouterShape,
    paths: Sequence[int] = (BICUBIC, EASY, HARD),
) -> RouterData:
    """All shifts of frames [T, h, w, 3], labelled by the oracle plan of each shift.

    `quarters` [3, T, qh, qw]: squared errors on `quarter_grid`; `per_pixel` [3]: MACs of the paths.
    Shifted frames are continued by their edges to the unshifted size; cells wholly beyond are
    unknown. `paths`: the classes, as in `planned_classes`.
    """
    views = [
        _view(frames, quarters, (per_pixel, max_loss_db, paths), shape, shift)
        for shift in shifts(shape)
    ]
    return joined(views)


def joined(parts: Sequence[RouterData]) -> RouterData:
    """Frames of several sources, one after another; what is privileged only where all have it."""
    known = [part.privileged for part in parts if part.privileged is not None]
    return RouterData(
        torch.cat([part.frames for part in parts]),
        torch.cat([part.classes for part in parts]),
        privileged=torch.cat(known) if len(known) == len(parts) else None,
    )


def shifted_content(
    quarters: NDArray[np.int64], shape: RouterShape, cells: tuple[int, int]
) -> NDArray[np.int64]:
    """`content_of_cells` for every shift [S T, gh, gw], in `shifted_views`' order."""
    return np.concatenate([content_of_cells(quarters, shape, cells, s) for s in shifts(shape)])


def shifts(shape: RouterShape) -> list[tuple[int, int]]:
    """Every shift of a cell's grid, in quarter pixels down and across."""
    side = range(shape.quarters)
    return [(y, x) for y in side for x in side]


def content_of_cells(
    quarters: NDArray[np.int64],
    shape: RouterShape,
    cells: tuple[int, int],
    shift: tuple[int, int] = (0, 0),
) -> NDArray[np.int64]:
    """The content class of every cell [T, gh, gw] of a grid that is shifted by quarter pixels.

    `quarters` [T, qh, qw]: the class of each quarter, 0 none; `cells`: gh and gw. A cell is of the
    class that covers most of it, if that is `LEAST_COVER` at least, as in the groups' own files.
    """
    cut = quarters[:, shift[0] :, shift[1] :]
    found = np.zeros((len(quarters), *cells), np.int64)
    most = np.zeros((len(quarters), *cells))
    least = LEAST_COVER * cell_sums(np.ones(cut.shape), shape.quarters)
    for number in range(1, int(quarters.max()) + 1):
        cover = cell_sums((cut == number).astype(np.float64), shape.quarters)
        rows, columns = cover.shape[1:]
        part = np.s_[:, :rows, :columns]
        better = (cover >= least) & (cover > most[part])
        found[part][better], most[part][better] = number, cover[better]
    return found


def _view(
    frames: NDArray[np.uint8],
    quarters: Errors,
    oracle: tuple[NDArray[np.float64], float, Sequence[int]],
    shape: RouterShape,
    shift: tuple[int, int],
) -> RouterData:
    """One shift, in quarter pixels down and across; `oracle`: MACs, loss and paths of its plan."""
    (y, x), (height, width) = shift, frames.shape[1:3]
    per_pixel, max_loss_db, paths = oracle
    cut = frames[:, QUARTER_PX * y :, QUARTER_PX * x :]
    sse = cell_sums(quarters[:, :, y:, x:], shape.quarters)
    macs = cell_macs(cut.shape[1], cut.shape[2], shape.cell_px, per_pixel)
    found = planned_classes(sse, macs, max_loss_db, paths)
    grid = Grid(height, width, shape.cell_px, shape.cell_px).shape
    classes = np.full((len(frames), *grid), UNKNOWN, np.int64)
    classes[:, : found.shape[1], : found.shape[2]] = found
    sides = ((0, 0), (0, height - cut.shape[1]), (0, width - cut.shape[2]), (0, 0))
    padded = torch.from_numpy(np.pad(cut, sides, mode="edge"))
    lr, known = padded.permute(0, 3, 1, 2).contiguous(), np.zeros((len(frames), 3, *grid))
    known[:, :, : found.shape[1], : found.shape[2]] = log_errors(sse)
    return RouterData(
        lr, torch.from_numpy(classes), privileged=torch.from_numpy(known.astype(np.float32))
    )


def log_errors(sse: Errors) -> Errors:
    """What the server knows of each cell [T, 3, gh, gw], from errors [3, T, gh, gw]: the logarithms
    of bicubic's error and of what the easy and the hard path take from it."""
    gains = [np.maximum(sse[BICUBIC] - sse[path], 0.0) for path in (EASY, HARD)]
    return np.log1p(np.stack([sse[BICUBIC], *gains], axis=1))
