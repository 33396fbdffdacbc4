"""The router blob: what decides the paths of cells where no route map was sent.

    "PSRO" u8 version  u8 cell_px  u8 classes  u8 hold_frames             16 bytes
    u16 C0  u16 C1  u16 C2  u16 S                the widths of embed, mix, pool and squeeze
    five convolutions    embed [C0, 3, 4, 4], mix [C1, C0, 3, 3], pool [C2, C1, cell/4, cell/4],
                         squeeze [S, C2, 1, 1], excite [C2, S, 1, 1]; each as in integers.py:
                         weight s8 [O, I, k, k], bias s32 [O], multiplier f32 [O]
    s16 centres[classes, C2]  s32 offsets[classes]  s32 least_margins[classes]  u8 paths[classes]
    u32 self-test        CRC-32 of the attended features and the path of each cell of a seeded frame
    u32 crc32            of everything before

All little endian. The length follows from the first 16 bytes alone; nothing points anywhere. What
the integers mean is defined by `sr/router/reference.py`; `compiler/runtime/router_blob.c` is the
same parser in C. (A route map is another file: "PSRR", route_maps.py.)
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.package.integers import DENSE, Layer, decode_layer, encode_layer
from player.package.package_error import PackageError
from player.package.paths import HARD, QUARTER_PX
from player.package.self_test import self_test_stream

MAX_ROUTER_BYTES = 1 << 19
MAX_ROUTER_CELL_PX, MAX_CLASSES, MAX_ROUTER_WIDTH, MAX_HOLD_FRAMES = 32, 16, 64, 255
# 64 features, each (255 + 1023)^2 from its centre at most, make a distance below 2^27.
CENTRE_LIMIT = 1 << 10  # a centre may lie outside the features' 0..255
OFFSET_LIMIT = 1 << 29  # a distance is below 2^27: with it no sum, and no margin, leaves 32 bits
MARGIN_LIMIT = 1 << 31
LAYERS = ("embed", "mix", "pool", "squeeze", "excite")
_MAGIC, _VERSION = b"PSRO", 1
_HEADER = struct.Struct("<4s4B4H")
_TAIL = struct.Struct("<I")

S32 = NDArray[np.int32]


@dataclass(frozen=True)
class RouterSizes:
    """What fixes the layout: `widths` are the outputs of embed, mix, pool and squeeze."""

    cell_px: int
    classes: int
    hold_frames: int
    widths: tuple[int, int, int, int]

    def __post_init__(self) -> None:
        """Raises PackageError where a number is outside its limit."""
        if self.cell_px % QUARTER_PX or not QUARTER_PX <= self.cell_px <= MAX_ROUTER_CELL_PX:
            raise PackageError(f"router: cells of {self.cell_px} px are not 4, 8 .. 32")
        if not 2 <= self.classes <= MAX_CLASSES:
            raise PackageError(f"router: {self.classes} classes are not 2..{MAX_CLASSES}")
        if not 1 <= self.hold_frames <= MAX_HOLD_FRAMES:
            raise PackageError(f"router: {self.hold_frames} frames are not 1..{MAX_HOLD_FRAMES}")
        if any(w % 4 or not 4 <= w <= MAX_ROUTER_WIDTH for w in self.widths):
            raise PackageError(
                f"router: widths {self.widths} are not multiples of 4 in 4..{MAX_ROUTER_WIDTH}"
            )

    @property
    def shapes(self) -> dict[str, tuple[int, int, int, int]]:
        """The weight's shape [O, I, k, k] of each convolution, in the order of the blob."""
        first, second, third, squeezed = self.widths
        side = self.cell_px // QUARTER_PX
        return {
            "embed": (first, 3, QUARTER_PX, QUARTER_PX),
            "mix": (second, first, 3, 3),
            "pool": (third, second, side, side),
            "squeeze": (squeezed, third, 1, 1),
            "excite": (third, squeezed, 1, 1),
        }

    @property
    def total_bytes(self) -> int:
        """Length of the blob."""
        # Each output of a layer has a bias and a multiplier of 4 bytes; each class C2 numbers of a
        # centre, of 2 bytes, an offset and a margin of 4, and a path of 1.
        layers = sum(int(np.prod(shape)) + 8 * shape[0] for shape in self.shapes.values())
        return _HEADER.size + layers + self.classes * (2 * self.widths[2] + 9) + 2 * _TAIL.size


@dataclass(frozen=True)
class RouterBlob:
    """A router in integers. `layers` maps the names of LAYERS to (weight, bias, multiplier);
    `centres` [K, C2] s16, `offsets` and `least_margins` [K] s32, `paths` [K] u8. `self_test` is the
    checksum that `sr.router.reference.self_test_crc` computes.
    """

    sizes: RouterSizes
    layers: Mapping[str, Layer]
    centres: NDArray[np.int16]
    offsets: S32
    least_margins: S32
    paths: NDArray[np.uint8]
    self_test: int = 0

    def check_cells(self, fine_h_px: int, fine_w_px: int) -> None:
        """Raises PackageError where a film's fine cells are not the router's."""
        cell_px = self.sizes.cell_px
        if (fine_h_px, fine_w_px) != (cell_px, cell_px):
            raise PackageError(
                f"router: its cells are {cell_px} px, but the film's are {fine_h_px}x{fine_w_px} px"
            )


def pack_router_blob(router: RouterBlob) -> bytes:
    """The bytes of a router; raises PackageError where a number breaks its bounds."""
    sizes = router.sizes
    _check_arrays(router)
    _check_classes(router)
    numbers = (sizes.cell_px, sizes.classes, sizes.hold_frames)
    parts = [_HEADER.pack(_MAGIC, _VERSION, *numbers, *sizes.widths)]
    parts += [encode_layer(name, router.layers[name], DENSE) for name in LAYERS]
    parts += [router.centres.astype("<i2").tobytes(), router.offsets.astype("<i4").tobytes()]
    parts += [router.least_margins.astype("<i4").tobytes(), router.paths.tobytes()]
    body = b"".join(parts) + _TAIL.pack(router.self_test)
    return body + _TAIL.pack(zlib.crc32(body))


def is_router(blob: bytes) -> bool:
    """Whether the bytes begin as a router blob does."""
    return blob.startswith(_MAGIC)


def unpack_router(blob: bytes) -> RouterBlob:
    """Parse a blob; raises PackageError on any byte that is not as it should be."""
    if not _HEADER.size + 2 * _TAIL.size <= len(blob) <= MAX_ROUTER_BYTES:
        raise PackageError(f"router: {len(blob)} bytes is outside the limits; fetch it again")
    magic, version, cell_px, classes, hold_frames, *widths = _HEADER.unpack_from(blob)
    if magic != _MAGIC or version != _VERSION:
        raise PackageError("router: not a router of version 1; update the player")
    # After the version, so that a router of a newer one is called that, and not damaged.
    if zlib.crc32(blob[:-4]) != _TAIL.unpack(blob[-4:])[0]:
        raise PackageError("router: the checksum is wrong, the file is damaged; fetch it again")
    first, second, third, squeezed = widths
    sizes = RouterSizes(cell_px, classes, hold_frames, (first, second, third, squeezed))
    if len(blob) != sizes.total_bytes:
        raise PackageError(f"router: {len(blob)} bytes, but its sizes ask for {sizes.total_bytes}")
    layers, at = {}, _HEADER.size
    for name, shape in sizes.shapes.items():
        layers[name], at = decode_layer(name, blob, at, shape, DENSE)
    # Where centres, offsets, least margins and paths end.
    ends = np.cumsum([2 * classes * third, 4 * classes, 4 * classes, classes]) + at
    centres = np.frombuffer(blob, "<i2", classes * third, at).reshape(classes, third)
    router = RouterBlob(
        sizes,
        layers,
        centres.astype(np.int16),
        np.frombuffer(blob, "<i4", classes, int(ends[0])).astype(np.int32),
        np.frombuffer(blob, "<i4", classes, int(ends[1])).astype(np.int32),
        np.frombuffer(blob, np.uint8, classes, int(ends[2])).copy(),
        _TAIL.unpack_from(blob, int(ends[3]))[0],
    )
    _check_classes(router)
    return router


def _check_arrays(router: RouterBlob) -> None:
    """Raises PackageError where an array has another shape or type than the sizes say."""
    classes, features = router.sizes.classes, router.sizes.widths[2]
    wanted: dict[str, tuple[NDArray[Any], tuple[int, ...], type]] = {
        "centres": (router.centres, (classes, features), np.int16),
        "offsets": (router.offsets, (classes,), np.int32),
        "least_margins": (router.least_margins, (classes,), np.int32),
        "paths": (router.paths, (classes,), np.uint8),
    }
    for name, (array, shape, dtype) in wanted.items():
        if array.shape != shape or array.dtype != dtype:
            raise PackageError(f"router: {name} {array.shape} {array.dtype} do not fit its sizes")
    for name, shape in router.sizes.shapes.items():
        if name not in router.layers or router.layers[name][0].shape != shape:
            raise PackageError(f"router: layer {name} of shape {shape} is missing")


def _check_classes(router: RouterBlob) -> None:
    if (np.abs(router.centres.astype(np.int32)) >= CENTRE_LIMIT).any():
        raise PackageError("router: a centre is not within 2^10")
    # 64 bits, for -2^31 has no absolute value in 32.
    if (np.abs(router.offsets.astype(np.int64)) >= OFFSET_LIMIT).any():
        raise PackageError("router: an offset is not within 2^29")
    if (router.least_margins < 0).any():
        raise PackageError("router: a least margin is negative")
    if (router.paths > HARD).any():
        raise PackageError("router: a class has a path that does not exist")


def self_test_frame(cell_px: int) -> NDArray[np.uint8]:
    """The self-test's LR frame [2 cell + 5, 3 cell + 7, 3] u8, no multiple of the cell."""
    # Cells are cut at the right and bottom, so that the test covers the padding as well.
    height, width = 2 * cell_px + 5, 3 * cell_px + 7
    states = self_test_stream(height * width * 3)
    return (states >> 24).astype(np.uint8).reshape(height, width, 3)
