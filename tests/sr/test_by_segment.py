"""Measuring every frame of a film: by segment, and a killed run goes on behind its last one."""

from types import SimpleNamespace

import numpy as np
import pytest

from sr.encode.by_segment import by_segment

LENGTHS = (4, 3, 5)
GROUPS = np.array([0, 0, 1, 1, 2, 2, 3, 4, 4, 5, 5, 6])  # of two frames, none over two segments


class Killed(Exception):
    """In the place of a kill."""


class KeptJob:
    """Steps that are done stay done, as in a job's folder."""

    def __init__(self, folder) -> None:
        self.folder, self.done = folder, set()

    def path(self, name: str):
        return self.folder / name

    def step(self, name: str, make, files) -> None:
        if name not in self.done:
            make()
            self.done.add(name)


@pytest.fixture
def work(tmp_path):
    """A film whose frames are their own numbers."""
    stream = SimpleNamespace(segments=[SimpleNamespace(frames=n) for n in LENGTHS])
    film = SimpleNamespace(stream=stream, pairs=lambda: (i for i in range(sum(LENGTHS))))
    progress = SimpleNamespace(stage=lambda *told: None, at=lambda done: None)
    return SimpleNamespace(film=film, job=KeptJob(tmp_path), progress=progress)


def summed(seen: list[int], kill_at: int | None = None):
    """Sums each frame group's numbers, [1, G, 1, 1]."""

    def measure(pairs, own):
        sums = np.zeros((1, own[-1] - own[0] + 1, 1, 1))
        for group, number in zip(own, pairs, strict=True):
            if number == kill_at:
                raise Killed
            seen.append(number)
            sums[:, group - own[0]] += number
        return sums

    return measure


def test_each_frame_counts_once_for_its_own_group(work):
    found = by_segment(work, GROUPS, summed([]))
    assert found.ravel().tolist() == [1, 5, 9, 6, 15, 19, 11]


def test_a_killed_run_goes_on_with_its_segment(work):
    with pytest.raises(Killed):
        by_segment(work, GROUPS, summed([], kill_at=6))
    seen: list[int] = []
    found = by_segment(work, GROUPS, summed(seen))
    assert seen == [*range(4, 12)]
    assert found.ravel().tolist() == [1, 5, 9, 6, 15, 19, 11]
