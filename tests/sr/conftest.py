"""A small film for the encode job: textured, drifting, 192x160, 12 frames."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from player.package.generic import blob_path
from player.package.weights import unpack_weights
from sr.quant.integer_network import IntegerNetwork

FILM_SIZE = (160, 192)


def drifting_pictures(count: int, height: int, width: int) -> list[np.ndarray]:
    """[H, W, 3] u8: waves that bicubic loses on the left, a smooth ramp on the right."""
    y, x = np.mgrid[:height, :width]
    pictures = []
    for i in range(count):
        waves = 127 + 90 * np.sin((x + i) * 1.9) * np.cos((y - i) * 1.1)
        ramp = (x + y + i) * 200 / (height + width)
        grey = np.where(x < width // 2, waves, ramp)
        pictures.append(np.stack([grey, grey[::-1], 255 - grey], axis=-1).astype(np.uint8))
    return pictures


def write_film(path: Path, pictures: list[np.ndarray], rate: int = 30) -> Path:
    """Lossless H.264 RGB."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=rate, options={"qp": "0"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.time_base = "rgb24", Fraction(1, rate)
        for i, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = i, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


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
