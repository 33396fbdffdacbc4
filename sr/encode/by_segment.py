"""What is measured of every frame of a film, kept by segment: a killed encode goes on behind the
last one that it looked at.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.package.artefact import read_sealed, write_sealed
from sr.encode.work import Work
from sr.training.data import FramePair

Errors = NDArray[np.float64]
Groups = NDArray[np.int64]
Measure = Callable[[Iterator[FramePair], Groups], Errors]
"""The frames of a segment, and the frame group of each of them -> [N, G, gh, gw]."""


def by_segment(work: Work, groups: Groups, measure: Measure) -> Errors:
    """[N, G, gh, gw] over all frame groups, of which `groups` [T] has each frame's."""
    assert work.film.stream is not None
    work.progress.stage("routes", len(groups))
    parts, first = [], 0
    with closing(work.film.pairs()) as pairs:
        numbered = enumerate(pairs)
        for number, segment in enumerate(work.film.stream.segments, 1):
            file = work.job.path(f"errors-{number:05d}.npy")
            frames = range(first, first + segment.frames)
            first += segment.frames
            make = partial(_measure, work, measure, groups, numbered, frames, file)
            work.job.step(f"errors-{number:05d}", make, [file])
            parts.append(read_array(file))
    return np.concatenate(parts, axis=1)


def _measure(
    work: Work,
    measure: Measure,
    groups: Groups,
    numbered: Iterator[tuple[int, FramePair]],
    frames: range,
    file: Path,
) -> None:
    def told() -> Iterator[FramePair]:
        # What is before them was looked at in an earlier run.
        later = ((i, pair) for i, pair in numbered if i >= frames.start)
        for i, pair in islice(later, len(frames)):
            yield pair
            work.progress.at(i + 1)

    keep_array(file, measure(told(), groups[frames.start : frames.stop]))


def keep_array(file: Path, array: NDArray[Any]) -> None:
    """Sealed, as all files of work/."""
    # Through memory, because the file is to be sealed.
    buffer = io.BytesIO()
    np.save(buffer, array)
    write_sealed(file, buffer.getvalue())


def read_array(file: Path) -> NDArray[Any]:
    """The inverse of `keep_array`."""
    array: NDArray[Any] = np.load(io.BytesIO(read_sealed(file)))
    return array
