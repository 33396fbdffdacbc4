"""A small film for the encode job: textured, drifting, 192x160, 12 frames."""

from pathlib import Path

import pytest

from benchmarks.same_bytes import drifting_pictures, write_film
from player.package.generic import blob_path
from player.package.weights import unpack_weights
from sr.quant.integer_network import IntegerNetwork

FILM_SIZE = (160, 192)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signing key of the test's own."""
    monkeypatch.setenv("POCKETSR_HOME", str(tmp_path / "home"))


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "film.mp4", drifting_pictures(12, *FILM_SIZE))


@pytest.fixture(scope="session")
def generic_network() -> IntegerNetwork:
    """The int8 generic network for x4."""
    blob = unpack_weights(blob_path(4, "int8").read_bytes())
    return IntegerNetwork(blob.arch, blob.tensors)
