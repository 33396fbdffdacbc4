"""Patch grids: a frame cut into fine cells, 2 x 2 of which make a coarse patch (Dy-DCA).

 coarse (108 x 96)            border cells are partial, never padded:
+------+------+  +------+-
| fine | fine |  | fine |     cells = ceil(h / 54) x ceil(w / 48)
+------+------+  +------+-
| fine | fine |  | fine |
+------+------+  +------+-
"""

from dataclasses import dataclass

import numpy as np

from player.package.paths import grid_shape
from player.package.scale import Scale, hr_px


@dataclass(frozen=True, order=True)
class Patch:
    """A rectangle of the LR frame, in LR px, without halo."""

    y: int
    x: int
    h: int
    w: int


@dataclass(frozen=True)
class Grid:
    """The cells of an LR frame of `height` x `width` px; STDO's 48 x 54 (w x h) by default."""

    height: int
    width: int
    fine_h: int = 54
    fine_w: int = 48

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.fine_h, self.fine_w) < 1:
            raise ValueError(f"a grid needs positive sizes, got {self}")

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of fine cells."""
        return grid_shape(self.height, self.width, self.fine_h, self.fine_w)

    @property
    def coarse_shape(self) -> tuple[int, int]:
        """(rows, columns) of coarse patches."""
        rows, columns = self.shape
        return (rows + 1) // 2, (columns + 1) // 2

    def fine_patches(self) -> list[Patch]:
        """Row by row; patch i is the cell divmod(i, columns)."""
        return self._patches(self.fine_h, self.fine_w)

    def coarse_patches(self) -> list[Patch]:
        """Row by row; each is the union of up to 2 x 2 fine cells."""
        return self._patches(2 * self.fine_h, 2 * self.fine_w)

    def pixels(self) -> np.ndarray:
        """[rows, columns] int64: LR pixels of each fine cell."""
        heights = np.diff(self._edges(self.height, self.fine_h))
        widths = np.diff(self._edges(self.width, self.fine_w))
        return np.outer(heights, widths).astype(np.int64)

    def _patches(self, h: int, w: int) -> list[Patch]:
        return [
            Patch(y, x, min(h, self.height - y), min(w, self.width - x))
            for y in range(0, self.height, h)
            for x in range(0, self.width, w)
        ]

    @staticmethod
    def _edges(length: int, step: int) -> list[int]:
        return [*range(0, length, step), length]


def sum_cells(values: np.ndarray, grid: Grid, scale: Scale = 1) -> np.ndarray:
    """[scale*H, scale*W] summed over each fine cell -> [rows, columns] float64."""
    rows = [hr_px(y, scale) for y in range(0, grid.height, grid.fine_h)]
    columns = [hr_px(x, scale) for x in range(0, grid.width, grid.fine_w)]
    # `reduceat` sums up to the next start, and at last to the end: partial cells need no padding.
    by_row = np.add.reduceat(values.astype(np.float64), rows, axis=0)
    return np.add.reduceat(by_row, columns, axis=1)


def hr_window(patch: Patch, scale: Scale) -> tuple[slice, slice]:
    """The rows and columns of the HR frame that come of a patch."""
    rows = slice(hr_px(patch.y, scale), hr_px(patch.y + patch.h, scale))
    return rows, slice(hr_px(patch.x, scale), hr_px(patch.x + patch.w, scale))


def with_halo(lr: np.ndarray, patch: Patch, halo: int) -> np.ndarray:
    """[h + 2R, w + 2R, 3]: the patch with R px of real context, edge pixels beyond the frame."""
    # Places beyond the frame are moved to its edge: its pixels repeat, and no frame is padded.
    rows = np.clip(np.arange(patch.y - halo, patch.y + patch.h + halo), 0, lr.shape[0] - 1)
    columns = np.clip(np.arange(patch.x - halo, patch.x + patch.w + halo), 0, lr.shape[1] - 1)
    return lr[rows[:, None], columns[None, :]]
