"""Random members of the family of networks, of every kind, and what becomes of frames in them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from player.package.architecture import Architecture, convolutions, tensor_layout
from player.package.limits import MAX_BLOCKS, MAX_DEPTH
from player.package.paths import BICUBIC, grid_shape, route_codes
from player.package.route_maps import patches_of
from player.package.scale import hr_px
from player.package.weights import FLOAT16, INT8, pack_weights
from tests.compiler.seeded import int8_blob, reference_frame
from tests.player.random_architecture import random_architecture
from tests.sr.random_int8 import random_int8


def random_member(seed: int, dtype: str, widest: int = 48) -> Architecture:
    """A chain of any scale and units; of seven seeds one is an espcn, of fp32 one a wdsr."""
    draw = np.random.default_rng(seed)
    scale = int(draw.integers(2, 5))
    if seed % 7 == 6:
        widths = _widths(draw, int(draw.integers(1, MAX_DEPTH + 1)), widest)
        return Architecture("espcn", scale, widths, (len(widths),))
    if seed % 7 == 5 and dtype == "fp32":
        blocks = int(draw.integers(1, MAX_BLOCKS + 1))
        return Architecture("wdsr", scale, (*_widths(draw, 2, widest), blocks), (blocks,))
    return random_architecture(seed, widest)


def _widths(draw: np.random.Generator, count: int, widest: int) -> tuple[int, ...]:
    return tuple((4 * draw.integers(1, widest // 4 + 1, count)).tolist())


def empty_blob(arch: Architecture, dtype: str, number: int = INT8) -> bytes:
    """The blob of a network whose weights are zero, without a self-test; int8 in any form."""
    if dtype == "fp32":
        zeros = {s.name: np.zeros(s.shape, np.float32) for s in tensor_layout(arch)}
        return pack_weights(arch, zeros, FLOAT16)
    tensors = {}
    for name, shape in convolutions(arch):
        tensors[f"{name}.weight"] = np.zeros(shape, np.int8)
        tensors[f"{name}.bias"] = np.zeros(shape[0], np.int32)
        tensors[f"{name}.multiplier"] = np.ones(shape[0], np.float32)
    return pack_weights(arch, tensors, number)


@dataclass(frozen=True)
class Played:
    """A random int8 network, a frame, and what the reference makes of it on each path."""

    arch: Architecture
    blob: bytes
    frame: NDArray[np.uint8]
    wanted: dict[int, NDArray[np.uint8]]
    patches: NDArray[np.int32]  # cells of random paths

    @property
    def cuts(self) -> Iterator[tuple[NDArray[np.int32], NDArray[np.uint8]]]:
        """Lists of patches, and the frame that they make: each path alone, then all of them."""
        for path, hr in self.wanted.items():
            yield np.array([[0, 0, *self.frame.shape[:2], 0, path]], np.int32), hr
        mixed = np.empty_like(self.wanted[BICUBIC])
        for y, x, h, w, _, path in self.patches.tolist():
            rows, columns = (
                slice(hr_px(first, self.arch.scale), hr_px(first + side, self.arch.scale))
                for first, side in ((y, h), (x, w))
            )
            mixed[rows, columns] = self.wanted[path][rows, columns]
        yield self.patches, mixed


@cache
def played(seed: int) -> Played:
    """Sides are no multiples of units; cells are, and not all of the spans of a mask."""
    arch, draw = random_member(seed, "int8"), np.random.default_rng((seed, 1))
    tensors = random_int8(arch, seed, extreme=seed % 3 == 0)
    height, width = (int(draw.integers(1, most)) for most in (14, 26))
    frame = draw.integers(0, 256, (height, width, 3)).astype(np.uint8)
    paths = (BICUBIC, *arch.paths)
    wanted = {path: reference_frame(arch, tensors, path, frame) for path in paths}
    cell = arch.units * int(draw.choice([3, 4, 4, 8]))
    codes = route_codes(draw.choice(paths, grid_shape(height, width, cell, cell)))
    patches = patches_of(codes, cell, cell, height, width)
    return Played(arch, int8_blob(arch, tensors), frame, wanted, patches)
