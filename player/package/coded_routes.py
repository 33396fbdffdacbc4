"""Which symbol each cell of each frame has, by the range coder: the cells of a route map.

    frame:  as the one before?
      block of 4x4 cells:  as in the frame before?
        cell:  as in the frame before? else as its left, else as its upper neighbour? else which?

So what takes bits, and time, is what changes: a frame that repeats takes a tenth of a bit, a block
that stays the same or less, a cell that changes by itself about 12, one that changes together with
its neighbours 2 or 3. The cells of the first frame are one block without a frame before.
"""

import numpy as np
from numpy.typing import NDArray

from player.package.limits import MAX_CODED_STEPS
from player.package.package_error import PackageError
from player.package.range_coder import Coder

MOST_SYMBOLS = 8
_BLOCK = 4  # cells on a side
_HOLD = 15  # frames that repeat are counted so far
_NONE = -1  # beyond the grid, or not known yet

_REPEATS = 0
_BLOCKS = _REPEATS + _HOLD + 1  # by its borders (none, few, many), by how many beside it change
_STAYS = _BLOCKS + 3 * 3  # by the neighbours that differ (0 to 4), by those that have changed
_AS_LEFT = _STAYS + 5 * 3  # by the left symbol, or whether there was another, by equal neighbours
_AS_UPPER = _AS_LEFT + 4 * 8
_WHICH = _AS_UPPER + 2
SYMBOL_CONTEXTS = _WHICH + MOST_SYMBOLS

Symbols = NDArray[np.uint8]


def code_symbols(coder: Coder, symbols: Symbols, count: int) -> Symbols:
    """Writes or reads symbols [T, rows, columns] of 0 .. count - 1; returns them.

    Raises PackageError where that would take more than MAX_CODED_STEPS steps.
    """
    done = np.empty_like(symbols)
    cells = _Cells(coder, symbols.shape[1:], count)
    done[0] = cells.code_frame(symbols[0], None)
    repeated = 0
    for t in range(1, len(symbols)):
        cells.spend(1)
        wanted, before = symbols[t], done[t - 1]
        same = int(np.array_equal(wanted, before))
        same = coder.bit(_REPEATS + min(repeated, _HOLD), same)
        repeated = repeated + 1 if same else 0
        done[t] = before if same else cells.code_frame(wanted, before)
    return done


class _Cells:
    """Codes one frame after the other, in lists of cells with a border one cell wide.

    The border repeats the frame's edge, so that it is never a neighbour that differs.
    """

    def __init__(self, coder: Coder, shape: tuple[int, ...], count: int) -> None:
        self._coder = coder
        # What a cell may become, by what it was.
        self._others = {b: [s for s in range(count) if s != b] for b in range(_NONE, count)}
        self._rows, self._columns = shape
        self._stride = self._columns + 2
        self._now = self._before = [_NONE] * ((self._rows + 2) * self._stride)
        self._steps_left = MAX_CODED_STEPS

    def spend(self, steps: int) -> None:
        self._steps_left -= steps
        if self._steps_left < 0:
            raise PackageError(f"route map: coding it takes more than {MAX_CODED_STEPS} steps")

    def code_frame(self, wanted: Symbols, before: Symbols | None) -> Symbols:
        """A frame [rows, columns] that is not the one before."""
        padded = np.pad(wanted, 1).ravel().tolist()
        if before is None:
            self._code_block(padded, 0, 0, self._rows, self._columns)
        else:
            self._before = np.pad(before, 1, "edge").ravel().tolist()
            self._now = self._before.copy()
            self._code_blocks(padded, wanted, before)
        frame = np.array(self._now, np.int16).reshape(-1, self._stride)[1:-1, 1:-1]
        return frame.astype(np.uint8)

    def _code_blocks(self, padded: list[int], wanted: Symbols, before: Symbols) -> None:
        borders = _border_levels(before)
        changes = (_block_sums(wanted != before) > 0).astype(int).tolist()
        if not self._others[0]:
            raise PackageError("route map: a frame says that it changes, and cannot")
        for i, row in enumerate(changes):
            self.spend(len(row))
            for j, change in enumerate(row):
                beside = (j and row[j - 1]) + (i and changes[i - 1][j])
                row[j] = self._coder.bit(_BLOCKS + 3 * borders[i][j] + beside, change)
                if row[j]:
                    y, x = i * _BLOCK, j * _BLOCK
                    self._code_block(padded, y, x, y + _BLOCK, x + _BLOCK)
        if not any(map(any, changes)):
            raise PackageError("route map: a frame says that it changes, and does not")

    def _code_block(self, padded: list[int], top: int, left: int, bottom: int, right: int) -> None:
        """The cells from top and left to bottom and right, or to the end of the grid."""
        bottom, right = min(bottom, self._rows), min(right, self._columns)
        self.spend((bottom - top) * (right - left))
        now, old = self._now, self._before
        last, stays = bottom * self._stride + right, True
        for y in range(top, bottom):
            first = (y + 1) * self._stride + 1
            for at in range(first + left, first + right):
                # A block that changes has a cell that does: if no other, then the last.
                if old[at] == _NONE or (stays and at == last) or not self._stays(at, padded[at]):
                    now[at] = self._other(at, padded[at])
                    stays = False

    def _stays(self, at: int, wanted: int) -> int:
        now, old, stride = self._now, self._before, self._stride
        before, left, upper = old[at], now[at - 1], now[at - stride]
        moved = (left != old[at - 1]) + (upper != old[at - stride])
        differ = (left != before) + (upper != before)
        differ += (old[at + 1] != before) + (old[at + stride] != before)
        return self._coder.bit(_STAYS + 3 * differ + moved, int(wanted == before))

    def _other(self, at: int, wanted: int) -> int:
        """A symbol that is not the one of the frame before."""
        now, stride, bit, before = self._now, self._stride, self._coder.bit, self._before[at]
        left, upper = now[at - 1], now[at - stride]
        rest = self._others[before]
        if len(rest) > 1 and left in rest:
            kind = min(left, 2) if before == _NONE else 3
            pattern = (left == upper) + 2 * (now[at - stride - 1] == upper)
            pattern += 4 * (now[at - stride + 1] == upper)
            if bit(_AS_LEFT + 8 * kind + pattern, int(wanted == left)):
                return left
            rest = [symbol for symbol in rest if symbol != left]
        if len(rest) > 1 and upper in rest:
            if bit(_AS_UPPER + (before == _NONE), int(wanted == upper)):
                return upper
            rest = [symbol for symbol in rest if symbol != upper]
        for i, symbol in enumerate(rest[:-1]):
            if bit(_WHICH + i, int(wanted == symbol)):
                return symbol
        return rest[-1]


def _block_sums(cells: NDArray[np.bool_] | NDArray[np.int8]) -> NDArray[np.int64]:
    """[rows, columns] -> [block rows, block columns]."""
    sums = cells.astype(np.int64)
    for axis in (0, 1):
        sums = np.add.reduceat(sums, range(0, cells.shape[axis], _BLOCK), axis=axis)
    return sums


def _border_levels(frame: Symbols) -> list[list[int]]:
    """Of each block: 0 where it is even, within and towards the next ones, else 1, 2 of many."""
    borders = np.zeros(frame.shape, np.int8)
    borders[:, :-1] += frame[:, 1:] != frame[:, :-1]
    borders[:-1] += frame[1:] != frame[:-1]
    levels: list[list[int]] = np.digitize(_block_sums(borders), (1, _BLOCK + 1)).tolist()
    return levels
