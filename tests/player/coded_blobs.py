"""Networks as training for few bits leaves them, for tests of coded blobs."""

import struct
import zlib

import numpy as np

from player.package.architecture import Architecture, convolutions
from player.package.integers import bias_units, grid_multiplier
from player.package.weights import INT8_CODED, pack_weights


def lean_integers(arch: Architecture, size: float = 1.0, seed: int = 0) -> dict[str, np.ndarray]:
    """Integer tensors whose weights are of about `size`, some outputs and inputs hardly used."""
    draw = np.random.default_rng(seed)
    tensors: dict[str, np.ndarray] = {}
    used = np.ones(3 * arch.units**2)
    for name, shape in convolutions(arch):
        inputs = used if len(used) == shape[1] else np.ones(shape[1])
        used = draw.exponential(size=shape[0]) * (draw.random(shape[0]) < 0.8)
        sizes = size * used[:, None, None, None] * inputs[:, None, None]
        weight = np.clip(np.rint(draw.laplace(size=shape) * sizes), -127, 127).astype(np.int8)
        multiplier = grid_multiplier(2 ** draw.uniform(-9, -5, shape[0]))
        bias = np.rint(draw.normal(size=shape[0]) * 40) * bias_units(multiplier, -2)
        tensors[f"{name}.weight"], tensors[f"{name}.multiplier"] = weight, multiplier
        tensors[f"{name}.bias"] = bias.astype(np.int32)
    return tensors


def coded_parts(arch: Architecture, tensors: dict[str, np.ndarray]) -> tuple[bytes, bytes]:
    """The header of a coded blob without self-test, and its payload."""
    blob = pack_weights(arch, tensors, INT8_CODED)
    at = 12 + len(arch.widths) + len(arch.exits)
    return blob[:at], blob[at:-4]


def sealed(head: bytes, payload: bytes) -> bytes:
    """A coded blob without self-test, its checksum right."""
    return head + payload + struct.pack("<I", zlib.crc32(head + payload))
