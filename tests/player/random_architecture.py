"""Random members of the family of networks, for tests of whatever reads or computes them."""

import numpy as np

from player.package.architecture import Architecture
from player.package.limits import MAX_DEPTH, MAX_EXITS, MAX_UNITS
from player.package.scale import SCALES, Scale

# Every scale with the units that make whole HR pixels of it.
SHAPES: list[tuple[Scale, int]] = [
    (scale, units)
    for scale in SCALES
    for units in range(1, MAX_UNITS + 1)
    if units % scale.denominator == 0
]


def random_architecture(seed: int, widest: int = 48) -> Architecture:
    """A chain; the seeds go round the scales and units, all else is drawn."""
    draw = np.random.default_rng(seed)
    depth = int(draw.integers(1, MAX_DEPTH + 1))
    early = draw.permutation(np.arange(1, depth))[: draw.integers(0, MAX_EXITS)]
    widths = tuple((4 * draw.integers(1, widest // 4 + 1, depth)).tolist())
    scale, units = SHAPES[seed % len(SHAPES)]
    return Architecture("chain", scale, widths, (*sorted(early.tolist()), depth), units)
