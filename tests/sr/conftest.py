"""A small film for the encode job: textured, drifting, 192x160, 12 frames; a small network."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.same_bytes import drifting_pictures, write_film
from player.package.generic import blob_path
from player.package.weights import unpack_weights
from sr.models import Network, build_network, precision
from sr.quant.integer_network import IntegerNetwork
from sr.training.data import CropSampler, TrainingSet
from sr.training.loop import TrainingPlan, overfit
from tests.sr.small_trained import ARCH

FILM_SIZE = (160, 192)
# For encodes of which nothing is asked of the network: the backbone's own takes a second to code.
SMALL = {"widths": (16, 16, 16), "exits": (1, 3)}
MARGIN = 3


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


@pytest.fixture(scope="session")
def sampler() -> CropSampler:
    """Waves of many lengths, so that bicubic loses some."""
    y, x = np.mgrid[:120, :200]
    waves = [np.sin(x / (1.3 + i) + i) * np.cos(y / (2.1 + i)) for i in range(3)]
    hr = np.stack([(127 + 110 * w).astype(np.uint8) for w in waves])[..., None].repeat(3, axis=3)
    hr[..., 1] = hr[:, ::-1, :, 1]
    lr = hr[:, ::2, ::2]
    margin = (MARGIN, MARGIN)
    data = TrainingSet(np.pad(lr, ((0, 0), margin, margin, (0, 0)), "edge"), hr, 2, MARGIN)
    return CropSampler(data, np.ones((3, 2, 3)), (54, 48), 2, seed=7)


@pytest.fixture(scope="session")
def trained(sampler) -> Network:
    """In bf16 on every processor: what is asked of it is asked of the same network."""
    network = build_network(ARCH)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "computes_in_bf16", lambda: True)
        overfit(network, sampler, TrainingPlan(steps=150))
    return network
