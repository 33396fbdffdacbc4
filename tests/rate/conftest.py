"""What the searches' tests share: a small film, and a home of their own."""

from pathlib import Path

import pytest

from benchmarks.same_bytes import drifting_pictures, write_film


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    """No test may touch the user's own key."""
    monkeypatch.setenv("POCKETSR_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """Eight frames of 128 x 96 px: too short to pay for weights."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return write_film(path, drifting_pictures(8, 96, 128))
