"""Random members of the family of networks, of every kind, and their blobs."""

import numpy as np

from player.package.architecture import Architecture, convolutions, tensor_layout
from player.package.limits import MAX_BLOCKS, MAX_DEPTH
from player.package.weights import FLOAT16, INT8, pack_weights
from tests.player.random_architecture import random_architecture


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


def empty_blob(arch: Architecture, dtype: str) -> bytes:
    """The blob of a network whose weights are zero, without a self-test."""
    if dtype == "fp32":
        zeros = {s.name: np.zeros(s.shape, np.float32) for s in tensor_layout(arch)}
        return pack_weights(arch, zeros, FLOAT16)
    tensors = {}
    for name, shape in convolutions(arch):
        tensors[f"{name}.weight"] = np.zeros(shape, np.int8)
        tensors[f"{name}.bias"] = np.zeros(shape[0], np.int32)
        tensors[f"{name}.multiplier"] = np.ones(shape[0], np.float32)
    return pack_weights(arch, tensors, INT8)
