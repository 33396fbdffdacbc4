"""What each cell is to be, from the privileged modality: HR's errors, and content that is named.

The router sees the decoded LR frame alone. Its labels come from the server, which has HR: the path
that the oracle plan gives the cell, or the content group that covers it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chunking.errors import InputError
from chunking.routes import BICUBIC, EASY, HARD, path_of, plan_routes
from player.package.weights import PATH_NAMES

Classes = NDArray[np.int64]
Errors = NDArray[np.float64]

UNKNOWN = -1


@dataclass(frozen=True)
class RouterLabels:
    """`classes` [T, gh, gw]: the class of each cell, -1 where unknown; `names` and `paths` [K]."""

    classes: Classes
    names: tuple[str, ...]
    paths: tuple[int, ...]

    def __post_init__(self) -> None:
        """Raises InputError for a class that no cell has."""
        counts = np.bincount(self.classes[self.classes >= 0], minlength=len(self.names))
        missing = [name for name, count in zip(self.names, counts, strict=True) if not count]
        if missing:
            raise InputError(
                f"router: no cell of class {missing[0]} in {len(self.classes)} frames; "
                "leave the class out, or label frames in which it occurs"
            )


def path_labels(
    sse: Errors,
    macs: Errors,
    max_loss_db: float,
    paths: Sequence[int] = (BICUBIC, EASY, HARD),
) -> RouterLabels:
    """The path of each cell in the plan of fewest MACs within `max_loss_db` of the hard path.

    `sse` [3, T, gh, gw] and `macs` [3, gh, gw] as `plan_routes` takes them; `paths`: those that
    become classes, others are out of reach. Raises InputError where the plan never takes one.
    """
    classes = planned_classes(sse, macs, max_loss_db, paths)
    return RouterLabels(classes, tuple(PATH_NAMES[path] for path in paths), tuple(paths))


def planned_classes(
    sse: Errors, macs: Errors, max_loss_db: float, paths: Sequence[int] = (BICUBIC, EASY, HARD)
) -> Classes:
    """[T, gh, gw]: the classes of `path_labels`, whether all of them occur or not."""
    reachable = sse.copy()
    reachable[[path for path in (BICUBIC, EASY, HARD) if path not in paths]] = np.inf
    planned = path_of(plan_routes(reachable, macs, max_loss_db=max_loss_db))
    order = np.full(len(PATH_NAMES), UNKNOWN, np.int64)
    order[list(paths)] = np.arange(len(paths))
    return order[planned]


def with_content(
    labels: RouterLabels, groups: Classes, names: Sequence[str], path: int = HARD
) -> RouterLabels:
    """Adds a class for each content group, that always takes `path`.

    `groups` [T, gh, gw]: 0 the rest, g the group `names[g - 1]`, as `sr.shrink.group_files` reads
    them. Raises InputError for groups of another shape, and for one that no cell has.
    """
    if groups.shape != labels.classes.shape:
        raise InputError(
            f"router: content groups of shape {groups.shape} for cells of shape "
            f"{labels.classes.shape}; read the masks on the router's grid"
        )
    first = len(labels.names)
    classes = np.where(groups > 0, first + groups - 1, labels.classes)
    paths = (*labels.paths, *(path for _ in names))
    return RouterLabels(classes.astype(np.int64), (*labels.names, *names), paths)


def merge_classes(sources: Sequence[Classes]) -> Classes:
    """One class for each cell out of several sources [T, gh, gw], -1 where a source knows none.

    Raises InputError where two of them contradict each other, naming the first such cell.
    """
    merged = sources[0].copy()
    for source in sources[1:]:
        clash = np.argwhere((merged >= 0) & (source >= 0) & (merged != source))
        if len(clash):
            frame, row, column = clash[0].tolist()
            first, second = merged[frame, row, column], source[frame, row, column]
            raise InputError(
                f"router: frame {frame}, cell ({row}, {column}) is labelled both {first} and "
                f"{second}, and {len(clash) - 1} more cells contradict; give each one class"
            )
        merged = np.where(merged >= 0, merged, source)
    return merged
