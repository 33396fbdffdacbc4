"""What a router learns from: cells at every place of the quarter grid, and what each is to be.

The router sees the decoded LR frame alone. Its labels come from the server, which has HR: the path
that the oracle plan gives a cell, by the errors of all paths.

A film of a fixed camera shows a router the same few hundred cells over and over. Errors are taken
on quarter cells, so that a cell may start at any multiple of 4 px, each with its own true label.

    quarter errors [3, T, qh, qw] ─ 3 x 3 shifts ─► frames cut at top and left, their cells' labels
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from chunking.grid import Grid
from chunking.route_plan import plan_routes
from player.package.paths import BICUBIC, EASY, HARD, PLANNED_PATHS, QUARTER_PX, path_of
from sr.router.embedding import RouterShape
from sr.router.training import RouterData
from sr.shrink.content_groups import LEAST_COVER

Errors = NDArray[np.float64]

UNKNOWN = -1


def quarter_grid(height: int, width: int) -> Grid:
    """The grid on which the errors of `shifted_views` are taken."""
    return Grid(height, width, QUARTER_PX, QUARTER_PX)


def cell_sums(quarters: Errors, side: int) -> Errors:
    """[..., qh, qw] -> sums over side x side quarters, partial cells at right and bottom too."""
    *rest, rows, columns = quarters.shape
    beyond = [(0, 0)] * len(rest) + [(0, -rows % side), (0, -columns % side)]
    # Zeros: what lies beyond the frame has no error.
    whole = np.pad(quarters, beyond)
    cells = whole.reshape(*rest, whole.shape[-2] // side, side, whole.shape[-1] // side, side)
    return cells.sum(axis=(-3, -1))


def cell_macs(height: int, width: int, cell_px: int, per_pixel: NDArray[np.float64]) -> Errors:
    """[3, gh, gw]: what each cell of a frame costs on each path."""
    return per_pixel[:, None, None] * Grid(height, width, cell_px, cell_px).pixels()


def planned_classes(
    sse: Errors, macs: Errors, max_loss_db: float, paths: Sequence[int] = (BICUBIC, EASY, HARD)
) -> NDArray[np.int64]:
    """[T, gh, gw]: the path of each cell in the plan of fewest MACs within `max_loss_db` of the
    best routes, as its place in `paths`.

    `sse` [3, T, gh, gw] and `macs` [3, gh, gw] as `plan_routes` takes them. A path that is no class
    becomes the next dearer one that is, or else the dearest.
    """
    planned = path_of(plan_routes(sse, macs, max_loss_db=max_loss_db))
    rising = sorted(paths)
    # Path codes rise with what a path costs.
    nearest = [next((p for p in rising if p >= p0), rising[-1]) for p0 in range(len(PLANNED_PATHS))]
    return np.array([list(paths).index(path) for path in nearest], np.int64)[planned]


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
    `paths`: the classes, as in `planned_classes`. What is privileged of a cell are the logarithms
    of bicubic's error and of what the easy and the hard path take from it.
    """
    height, width = frames.shape[1:3]
    grid = Grid(height, width, shape.cell_px, shape.cell_px).shape
    views = []
    for y, x in shifts(shape):
        cut = frames[:, QUARTER_PX * y :, QUARTER_PX * x :]
        sse = cell_sums(quarters[:, :, y:, x:], shape.quarters)
        macs = cell_macs(cut.shape[1], cut.shape[2], shape.cell_px, per_pixel)
        found = planned_classes(sse, macs, max_loss_db, paths)
        gains = [np.maximum(sse[BICUBIC] - sse[path], 0.0) for path in (EASY, HARD)]
        # A shifted frame is continued by its edges to the unshifted size, so that all are one
        # tensor; cells wholly beyond are unknown.
        classes = np.full((len(frames), *grid), UNKNOWN, np.int64)
        known = np.zeros((len(frames), 3, *grid))
        inside = np.s_[..., : found.shape[1], : found.shape[2]]
        classes[inside] = found
        known[inside] = np.log1p(np.stack([sse[BICUBIC], *gains], axis=1))
        sides = ((0, 0), (0, height - cut.shape[1]), (0, width - cut.shape[2]), (0, 0))
        lr = torch.from_numpy(np.pad(cut, sides, mode="edge")).permute(0, 3, 1, 2).contiguous()
        privileged = torch.from_numpy(known.astype(np.float32))
        views.append(RouterData(lr, torch.from_numpy(classes), privileged=privileged))
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
        # "Greater": of classes that cover a cell alike the first keeps it.
        better = (cover >= least) & (cover > most[part])
        found[part][better], most[part][better] = number, cover[better]
    return found
