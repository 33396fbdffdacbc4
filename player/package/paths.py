"""Paths of a network, and the route codes that name them: what each cell of a frame takes.

    code (u8):  bit 7: cell of a coarse patch | bits 2-6: network | bits 0-1: path

Server, compiler, player and engine all take these numbers from here.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.package.limits import MAX_NETWORKS

# Rising with what a path costs: plans compare these numbers.
BICUBIC, EASY, HARD = 0, 1, 2
PATH_NAMES = ("bicubic", "easy", "hard")
COARSE = 0x80
QUARTER_PX = 4  # LR; the router's cells are multiples of it, and it sees one beyond its own
_NETWORK_SHIFT, _PATH_BITS = 2, 0x03

Codes = NDArray[np.uint8]


def route_codes(paths: NDArray[Any], networks: NDArray[Any] | int = 0) -> Codes:
    """The codes (u8, same shape) of paths and networks, coarse patches not yet marked.

    Raises ValueError for a network that five bits cannot name.
    """
    if np.any(np.asarray(networks) >= MAX_NETWORKS) or np.any(np.asarray(networks) < 0):
        raise ValueError(f"a route can name {MAX_NETWORKS} networks")
    # Of network 0 a code is the path itself, so that what a router decides is codes already.
    return (np.asarray(paths) | np.asarray(networks) << _NETWORK_SHIFT).astype(np.uint8)


def path_of(codes: Codes) -> Codes:
    """The path of each cell, same shape."""
    return codes & np.uint8(_PATH_BITS)


def network_of(codes: Codes) -> Codes:
    """The network of each cell, 0..31, same shape."""
    # Shifted out at the bottom before the mask, the coarse bit at the top goes with the mask.
    return np.right_shift(codes, _NETWORK_SHIFT, dtype=np.uint8) & np.uint8(MAX_NETWORKS - 1)


def grid_shape(height_px: int, width_px: int, cell_h_px: int, cell_w_px: int) -> tuple[int, int]:
    """(rows, columns) of the cells that cover a frame; the last ones may be cut."""
    return -(-height_px // cell_h_px), -(-width_px // cell_w_px)
