"""`--protect CLASS --groups FILE`: content that is worth more than its error says.

Faces, text, or the flames in a drone's picture: cells of a protected class always take the hard
path, and are drawn more often while the network is overfitted, so that more of its weights serve
them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chunking.input_error import InputError
from player.package.paths import COARSE, HARD, merge_coarse
from sr.encode.work import Work
from sr.usage_error import UsageError

PROTECTED_DRAWS = 3.0  # how often a protected place is drawn, against another of the same error

Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class Protected:
    """The classes to protect: their numbers in the groups' labels, and their names."""

    labels: NDArray[np.int64]  # [T, rows, columns], 0 the rest
    names: tuple[str, ...]

    @property
    def cells(self) -> NDArray[np.bool_]:
        """[T, rows, columns]: the cells of any protected class."""
        return self.labels > 0


def protected(work: Work, cell_px: tuple[int, int], frames: Sequence[int]) -> Protected | None:
    """What `--protect` names, at cells of the given frames; None where it names nothing.

    Raises UsageError for a name that the groups lack, InputError for a class that never occurs.
    """
    wanted = work.options.routes.protect
    if not wanted:
        return None
    groups = work.film.content(cell_px, frames)
    labels = np.zeros_like(groups.labels)
    for number, name in enumerate(wanted, start=1):
        # The first name stands for all that is in no group.
        if name not in groups.names[1:]:
            raise UsageError(
                f"--protect {name}: {work.options.routes.groups} has {', '.join(groups.names[1:])}"
            )
        labels[groups.labels == groups.names.index(name)] = number
        if not (labels == number).any():
            raise InputError(
                f"--protect {name}: no patch of {len(frames)} frames belongs to it; "
                "leave it out, or label frames in which it occurs"
            )
    return Protected(labels, wanted)


def on_hard_path(codes: Codes, cells: NDArray[np.bool_]) -> Codes:
    """Routes [T, gh, gw] with the marked cells on the hard path of network 0."""
    # Coarse marks are made anew: a protected cell may have parted a patch.
    plain = np.where(cells, np.uint8(HARD), codes & ~np.uint8(COARSE))
    return merge_coarse(plain.astype(np.uint8))
