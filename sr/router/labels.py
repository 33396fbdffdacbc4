"""What each cell is to be, from the privileged modality: the paths' errors, which need HR.

The router sees the decoded LR frame alone. Its labels come from the server, which has HR: the path
that the oracle plan gives the cell.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chunking.route_plan import plan_routes
from player.package.paths import BICUBIC, EASY, HARD, PATH_NAMES, path_of

Classes = NDArray[np.int64]
Errors = NDArray[np.float64]

UNKNOWN = -1


def planned_classes(
    sse: Errors, macs: Errors, max_loss_db: float, paths: Sequence[int] = (BICUBIC, EASY, HARD)
) -> Classes:
    """[T, gh, gw]: the path of each cell in the plan of fewest MACs within `max_loss_db` of the
    hard path everywhere, as its place in `paths`.

    `sse` [3, T, gh, gw] and `macs` [3, gh, gw] as `plan_routes` takes them. A path that is no class
    becomes the next dearer one that is, or else the dearest.
    """
    planned = path_of(plan_routes(sse, macs, max_loss_db=max_loss_db))
    rising = sorted(paths)
    nearest = [
        next((p for p in rising if p >= path), rising[-1]) for path in range(len(PATH_NAMES))
    ]
    order = np.array([list(paths).index(path) for path in nearest], np.int64)
    return order[planned]
