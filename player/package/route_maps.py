"""Route maps: for each fine cell of each frame, which network and which path.

    "PSRR" u8 version  u16 frames  u16 rows  u16 columns  deflated cells       little endian

Version 2 where a cell takes one of the paths between easy and hard, else version 1, which older
players read. A cell is one byte, a route code (paths.py). Each frame is stored as XOR with the
frame before. One file a segment; nothing refers to another file.
"""

import struct
import zlib
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from player.package import limits
from player.package.package_error import PackageError
from player.package.paths import COARSE, HARD, UPPER, Codes, network_of, path_of

_MAGIC = b"PSRR"
_DEEPEST = {1: HARD, 2: UPPER}  # by version, the last path that it can name
_HEADER = struct.Struct("<4sBHHH")


def pack_routes(codes: Codes) -> bytes:
    """The route map of a segment from codes [T, rows, columns] u8.

    Raises PackageError where a code or a size is outside the limits.
    """
    frames, rows, columns = codes.shape
    _check_size(frames, rows, columns)
    version = 1 if (path_of(codes) <= HARD).all() else 2
    _check_codes(codes, version)
    # Routes change slowly: most of what is left are zeros, which deflate likes.
    delta = codes.copy()
    delta[1:] ^= codes[:-1]
    cells = zlib.compress(delta.tobytes(), 9)
    return _HEADER.pack(_MAGIC, version, frames, rows, columns) + cells


def unpack_routes(blob: bytes) -> Codes:
    """Codes [T, rows, columns] u8; raises PackageError on any byte that is not as it should be."""
    if not _HEADER.size < len(blob) <= limits.MAX_ROUTES_BYTES:
        raise PackageError(f"route map: {len(blob)} bytes is outside the limits; fetch it again")
    magic, version, *shape = _HEADER.unpack_from(blob)
    if magic != _MAGIC or version not in _DEEPEST:
        raise PackageError("route map: not a route map of version 1 or 2; update the player")
    # Before anything is inflated: the header alone says how much memory that takes.
    _check_size(*shape)
    cells = _inflate(blob[_HEADER.size :], shape[0] * shape[1] * shape[2])
    delta = np.frombuffer(cells, np.uint8).reshape(shape)
    # XOR undoes itself: of all frames up to one, only that one is left.
    codes = np.bitwise_xor.accumulate(delta, axis=0)
    _check_codes(codes, version)
    return codes


def _check_size(frames: int, rows: int, columns: int) -> None:
    within = (
        1 <= frames <= limits.MAX_SEGMENT_FRAMES
        and 1 <= rows <= limits.MAX_GRID_SIDE
        and 1 <= columns <= limits.MAX_GRID_SIDE
        and frames * rows * columns <= limits.MAX_ROUTE_CELLS
    )
    if not within:
        raise PackageError(f"route map: {frames}x{rows}x{columns} cells is outside the limits")


def _check_codes(codes: Codes, version: int) -> None:
    if (path_of(codes) > _DEEPEST[version]).any():
        raise PackageError("route map: a cell names a path that does not exist")


def _inflate(data: bytes, size: int) -> bytes:
    """Exactly `size` bytes from a zlib stream that ends with `data`, never allocating more."""
    stream = zlib.decompressobj()
    try:
        # One byte more than is promised tells a stream that goes on; no more of it is unpacked.
        cells = stream.decompress(data, size + 1)
    except zlib.error as error:
        raise PackageError(f"route map: damaged ({error}); fetch it again") from error
    if len(cells) != size or not stream.eof or stream.unused_data:
        raise PackageError("route map: its length is wrong, the file is damaged; fetch it again")
    return cells


def patches_of(
    codes: Codes, fine_h_px: int, fine_w_px: int, height_px: int, width_px: int
) -> NDArray[np.int32]:
    """The rectangles [n, 6] (y, x, h, w, network, path) that cover an LR frame once.

    `codes` [rows, columns] is one frame's cells. Neighbouring cells with one route become one
    rectangle, in rows first, then equal rows.
    """
    rows = []
    # By the halo a bigger patch gives the same pixels, with less of them computed twice. The coarse
    # bit is no part of a route: neighbours that differ in it alone are joined.
    for row in codes & ~np.uint8(COARSE):
        edges = [0, *(np.flatnonzero(row[1:] != row[:-1]) + 1).tolist(), len(row)]
        rows.append([(a, b, int(row[a])) for a, b in pairwise(edges)])
    top, bottom, left, right, code = np.array(_merge_rows(rows), np.int32).T
    y, x = top * fine_h_px, left * fine_w_px
    h = np.minimum(bottom * fine_h_px, height_px) - y
    w = np.minimum(right * fine_w_px, width_px) - x
    route = code.astype(np.uint8)
    return np.stack([y, x, h, w, network_of(route), path_of(route)], axis=1, dtype=np.int32)


Run = tuple[int, int, int]  # left, right (exclusive), code


def _merge_rows(rows: list[list[Run]]) -> list[tuple[int, int, int, int, int]]:
    """Runs that repeat in the next row grow down: (top, bottom, left, right, code) each."""
    done: list[tuple[int, int, int, int, int]] = []
    growing: dict[Run, int] = {}
    for y, runs in enumerate(rows):
        # A run grows only by the very same run below it: so what grows stays a rectangle.
        ended = [run for run in growing if run not in runs]
        done += [(growing.pop(run), y, *run) for run in ended]
        growing.update({run: y for run in runs if run not in growing})
    done += [(top, len(rows), *run) for run, top in growing.items()]
    return sorted(done)
