"""Route maps: for each fine cell of each frame, which network and which path.

    "PSRR" u8 version  u16 frames  u16 rows  u16 columns                       little endian
    deflated cells                                 versions 1 and 2
    u16 sum  u8 n  n route codes, rising  coded cells       version 4; version 3 without the sum

A cell is one byte, a route code (paths.py). Deflated, each frame is XOR with the frame before;
version 2 where a cell takes one of the paths between easy and hard, else version 1. Coded, a cell
is the place of its code among those that the map has, without the mark of coarse patches, which
follows from the cells (coded_routes.py). The sum is CRC-16 of what stands before and behind it:
the range coder takes nearly any bytes for some map, where zlib has a sum of its own. The shorter
form is written, of the coded ones version 4. One file a segment; nothing refers to another file.
"""

import struct
import zlib
from binascii import crc_hqx
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from player.package import limits
from player.package.coded_routes import MOST_SYMBOLS, SYMBOL_CONTEXTS, code_symbols
from player.package.package_error import PackageError
from player.package.paths import (
    COARSE,
    HARD,
    UPPER,
    Codes,
    merge_coarse,
    network_of,
    path_of,
)
from player.package.range_coder import Decoder, Encoder

_MAGIC = b"PSRR"
_BARE_VERSION, _CODED_VERSION = 3, 4  # coded, without and with a sum
# By version, the last path it can name.
_DEEPEST = {1: HARD, 2: UPPER, _BARE_VERSION: UPPER, _CODED_VERSION: UPPER}
_HEADER = struct.Struct("<4sBHHH")
_SUM = struct.Struct("<H")


def pack_routes(codes: Codes) -> bytes:
    """The route map of a segment from codes [T, rows, columns] u8.

    Raises PackageError where a code or a size is outside the limits.
    """
    _check_size(*codes.shape)
    version = 1 if (path_of(codes) <= HARD).all() else 2
    _check_codes(codes, version)
    # Routes change slowly: most of what is left are zeros, which deflate likes.
    delta = codes.copy()
    delta[1:] ^= codes[:-1]
    blob = _HEADER.pack(_MAGIC, version, *codes.shape) + zlib.compress(delta.tobytes(), 9)
    cells = _coded(codes)
    if cells is None or _HEADER.size + _SUM.size + len(cells) >= len(blob):
        return blob
    header = _HEADER.pack(_MAGIC, _CODED_VERSION, *codes.shape)
    return header + _SUM.pack(crc_hqx(header + cells, 0)) + cells


def route_bits(codes: Codes) -> int:
    """What a segment's map [T, rows, columns] takes, for choices by distortion and rate.

    Roughly: a frame that repeats 0.1, a block of 4x4 cells that stays 0.1, a cell that changes by
    itself 8 to 12, one that changes beside others 3; changing back costs the same again. The first
    frame pays 1 to 2 for a cell along a border between routes.
    """
    return 8 * len(pack_routes(codes))


def _coded(codes: Codes) -> bytes | None:
    """The coded cells with their codes before them; None where a map has no such form."""
    plain = codes & ~np.uint8(COARSE)
    used, symbols = np.unique(plain, return_inverse=True)
    fits = len(used) <= MOST_SYMBOLS and codes.size <= limits.MAX_ROUTE_CELLS
    if not fits or not np.array_equal(merge_coarse(plain), codes):
        return None
    encoder = Encoder(SYMBOL_CONTEXTS)
    try:
        code_symbols(encoder, symbols.reshape(codes.shape).astype(np.uint8), len(used))
    except PackageError:
        return None
    return bytes([len(used)]) + used.tobytes() + encoder.finish()


def unpack_routes(blob: bytes, shape: tuple[int, int, int] | None = None) -> Codes:
    """Codes [T, rows, columns] u8; raises PackageError on any byte that is not as it should be.

    A map of another `shape` than that is refused before it is unpacked.
    """
    if not _HEADER.size < len(blob) <= limits.MAX_ROUTES_BYTES:
        raise PackageError(f"route map: {len(blob)} bytes is outside the limits; fetch it again")
    magic, version, *stated = _HEADER.unpack_from(blob)
    if magic != _MAGIC or version not in _DEEPEST:
        raise PackageError("route map: not a route map of version 1 to 4; update the player")
    # Before anything is inflated: the header alone says how much memory that takes.
    _check_size(*stated)
    shape = shape or (stated[0], stated[1], stated[2])
    if [*shape] != stated:
        raise PackageError(f"route map of {stated} cells, not of {[*shape]}")
    body = blob[_HEADER.size :]
    if version == _CODED_VERSION:
        codes = _decoded(_summed(blob), shape)
    elif version == _BARE_VERSION:
        codes = _decoded(body, shape)
    else:
        cells = _inflate(body, shape[0] * shape[1] * shape[2])
        delta = np.frombuffer(cells, np.uint8).reshape(shape)
        # XOR undoes itself: of all frames up to one, only that one is left.
        codes = np.bitwise_xor.accumulate(delta, axis=0)
    _check_codes(codes, version)
    return codes


def _summed(blob: bytes) -> bytes:
    """What stands behind the sum, which must be right."""
    header, body = blob[: _HEADER.size], blob[_HEADER.size + _SUM.size :]
    if not body or blob[_HEADER.size :][: _SUM.size] != _SUM.pack(crc_hqx(header + body, 0)):
        raise PackageError("route map: damaged, its sum is wrong; fetch it again")
    return body


def _decoded(body: bytes, shape: tuple[int, ...]) -> Codes:
    """The inverse of `_coded`."""
    count = body[0]
    used = np.frombuffer(body[1 : 1 + count], np.uint8)
    rising = np.array_equal(np.unique(used & ~np.uint8(COARSE)), used)
    if not (1 <= count == len(used) <= MOST_SYMBOLS and rising):
        raise PackageError("route map: its list of codes is wrong; fetch it again")
    decoder = Decoder(body[1 + count :], SYMBOL_CONTEXTS)
    symbols = code_symbols(decoder, np.zeros(shape, np.uint8), count)
    decoder.finish()
    if len(np.unique(symbols)) != count:
        raise PackageError("route map: it lists a code that no cell has; fetch it again")
    return merge_coarse(used[symbols])


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
        here = set(runs)
        ended = [run for run in growing if run not in here]
        done += [(growing.pop(run), y, *run) for run in ended]
        growing.update({run: y for run in runs if run not in growing})
    done += [(top, len(rows), *run) for run, top in growing.items()]
    return sorted(done)
