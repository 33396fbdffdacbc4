"""Paths of a network, and the route codes that name them: what each cell of a frame takes.

    code (u8):  bit 7: cell of a coarse patch | bits 6, 1, 0: path | bits 2-5: network

Server, compiler, player and engine all take these numbers from here.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.package.limits import MAX_NETWORKS

# Hard is the deepest path of every network, so that each has one; easy the shallowest of several.
# Between them lie middle and upper: numbers are never given again, so they came last.
BICUBIC, EASY, HARD, MIDDLE, UPPER = range(5)
PATH_NAMES = ("bicubic", "easy", "hard", "middle", "upper")
PLANNED_PATHS = (BICUBIC, EASY, HARD)  # what the server's plans choose from, by rising cost
# By how many exits a network has: its paths, shallow to deep.
PATHS_OF_EXITS = ((), (HARD,), (EASY, HARD), (EASY, MIDDLE, HARD), (EASY, MIDDLE, UPPER, HARD))
COARSE = 0x80
QUARTER_PX = 4  # LR; the router's cells are multiples of it, and it sees one beyond its own
_NETWORK_SHIFT, _PATH_BITS = 2, 0x03
_HIGH_PATH_SHIFT = 4  # from a path's third bit to the code's bit 6

Codes = NDArray[np.uint8]


def route_codes(paths: NDArray[Any], networks: NDArray[Any] | int = 0) -> Codes:
    """The codes (u8, same shape) of paths and networks, coarse patches not yet marked.

    Raises ValueError for a network that four bits cannot name.
    """
    if np.any(np.asarray(networks) >= MAX_NETWORKS) or np.any(np.asarray(networks) < 0):
        raise ValueError(f"a route can name {MAX_NETWORKS} networks")
    # Of network 0 a code is the path itself, so that what a router decides is codes already.
    paths = np.asarray(paths)
    path_bits = paths & _PATH_BITS | (paths & UPPER) << _HIGH_PATH_SHIFT
    return (path_bits | np.asarray(networks) << _NETWORK_SHIFT).astype(np.uint8)


def path_of(codes: Codes) -> Codes:
    """The path of each cell, same shape."""
    high = np.right_shift(codes, _HIGH_PATH_SHIFT, dtype=np.uint8) & np.uint8(UPPER)
    return codes & np.uint8(_PATH_BITS) | high


def network_of(codes: Codes) -> Codes:
    """The network of each cell, 0..15, same shape."""
    # Shifted out at the bottom before the mask, the bits at the top go with the mask.
    return np.right_shift(codes, _NETWORK_SHIFT, dtype=np.uint8) & np.uint8(MAX_NETWORKS - 1)


def merge_coarse(codes: Codes) -> Codes:
    """[T, rows, columns]: marks every coarse patch, of 2x2 cells, that takes one route."""
    plain = codes & ~np.uint8(COARSE)
    # Edge padding compares a partial coarse patch with its own cells only.
    pad = ((0, 0), (0, plain.shape[1] % 2), (0, plain.shape[2] % 2))
    padded = np.pad(plain, pad, mode="edge")
    blocks = padded.reshape(len(plain), padded.shape[1] // 2, 2, padded.shape[2] // 2, 2)
    equal = blocks.max(axis=(2, 4)) == blocks.min(axis=(2, 4))
    cells = equal.repeat(2, axis=1).repeat(2, axis=2)[:, : plain.shape[1], : plain.shape[2]]
    return np.where(cells, plain | np.uint8(COARSE), plain)


def grid_shape(height_px: int, width_px: int, cell_h_px: int, cell_w_px: int) -> tuple[int, int]:
    """(rows, columns) of the cells that cover a frame; the last ones may be cut."""
    return -(-height_px // cell_h_px), -(-width_px // cell_w_px)
