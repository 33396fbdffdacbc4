"""Which cells are probed: whole blocks, so that the network's halo is paid once for many cells."""

import numpy as np
from numpy.typing import NDArray

BLOCK = 4  # cells a side


def draw_probes(
    shape: tuple[int, int, int], share: float, seed: int, block: int = BLOCK
) -> NDArray[np.bool_]:
    """[G, gh, gw]: about `share` of the cells, in aligned blocks of `block` x `block`.

    Spread over time (one block from each of as many equal stretches as there are blocks), and
    over places: none is probed again before every other one has been. At least one block.
    """
    groups, rows, columns = shape
    rng = np.random.default_rng(seed)
    places = [(y, x) for y in range(0, rows, block) for x in range(0, columns, block)]
    count = int(np.clip(round(share * groups * len(places)), 1, groups * len(places)))
    probed = np.zeros(shape, bool)
    turns = rng.permutation(len(places))
    for i in range(count):
        y, x = places[turns[i % len(places)]]
        free = np.flatnonzero(~probed[:, y, x])
        wanted = (i + rng.random()) * groups / count
        group = free[np.argmin(np.abs(free + 0.5 - wanted))]
        probed[group, y : y + block, x : x + block] = True
    return probed
