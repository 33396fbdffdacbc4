"""Blobs whose headers say anything near the family's limits, for both parsers to judge."""

import struct
from fractions import Fraction

import numpy as np

from player.package.architecture import ARCHITECTURE_IDS, Architecture
from player.package.package_error import PackageError
from player.package.weights import FLOAT16, INT8, INT8_CODED
from tests.compiler.members import empty_blob
from tests.compiler.opening import sealed

KINDS = {number: name for name, number in ARCHITECTURE_IDS.items()}
WIDTHS = (*range(4, 24, 4),) * 12 + (18, 256, 260, 0)  # the last ones are at the limits or beyond


def random_blob(seed: int, dtype: str) -> bytes:
    """A header of any version with a right checksum.

    The weights are zero, and as many as a network of the family has.
    """
    draw = np.random.default_rng(seed)
    version, kind = (
        int(draw.choice([1, 2, 3] if dtype == "int8" else [1, 2])),
        int(draw.choice([0, 1, 1, 1, 1, 1, 1, 2, 3, 4])),
    )
    depth = int(draw.choice([0, 1, 2, 2, 3, 3, 5, 12, 13]))
    widths = draw.choice(WIDTHS, depth).tolist()
    depths = np.arange(draw.choice([0, 1, 1, 1, 1]), depth + 1)
    exits = sorted(draw.choice(depths, min(len(depths), draw.integers(6)), replace=False).tolist())
    if exits and draw.random() < 0.9:
        exits[-1] = depth
    p, q = int(draw.integers(1, 6)), int(draw.choice([0, 1, 1, 1, 1, 2]))
    ratio = 16 * p + q, int(draw.choice([0, 1, 1, 2, 2, 3, 4]))
    if version == 1:
        ratio = p, int(draw.choice([3, 3, 3, 4]))
    number = INT8_CODED if version == 3 else INT8 if dtype == "int8" else FLOAT16
    head = struct.pack("<4s8B", b"PSRW", version, kind, *ratio, number, depth, len(exits), 0)
    if version == 3:
        widths = [width // 4 * 4 for width in widths]
        head += bytes([*(width // 4 for width in widths), *exits])
    else:
        head += np.array([*widths, *exits], "<u2").tobytes()
    scale, units = (Fraction(p), 1) if version == 1 else (Fraction(p, q or 1), ratio[1])
    length = 0 if version == 3 else 4  # bytes that say the payload's
    try:
        arch = Architecture(KINDS.get(kind, ""), scale, (*widths,), (*exits,), units)
        payload = empty_blob(arch, dtype, number)[len(head) + length : -4]
    except PackageError:
        payload = bytes(64)
    return sealed(head + struct.pack("<I", len(payload))[:length] + payload)
