"""A small package and an engine for the player's tests, both made here.

The film: 20 frames of 94x70 px at uneven times, LR 48x36 lossless in four segments, a 3x3 grid of
fine cells, two networks. The engine is fake_engine.c: HR = LR repeated + an offset, 3 x path for
the package's networks and 9 x path for the generic one.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from chunking.stream import write_lr_stream
from chunking.video import Frame, probe
from player.package.architecture import Architecture, tensor_layout
from player.package.entries import Size
from player.package.index import parse_index
from player.package.signature import signing_key
from player.package.weights import pack_weights
from player.package.writer import Contents, write_package
from tests.player.indexes import as_json
from tests.player.route_code import route_code

LR, HR, SCALE, CELL = (48, 36), (94, 70), 2, 16
PTS = [40 * i + 7 * (i % 3) for i in range(20)]  # ticks of 1/600 s
ARCH = Architecture("chain", SCALE, (4, 4), (1, 2))


def tiny_blob(seed: int, self_tested: bool, arch: Architecture = ARCH) -> bytes:
    """A valid weights blob of random numbers."""
    draw = np.random.default_rng(seed)
    tensors = {s.name: draw.normal(size=s.shape).astype("f4") for s in tensor_layout(arch)}
    rows = {path: np.zeros(64, np.uint8) for path in arch.paths} if self_tested else {}
    return pack_weights(arch, tensors, 2, rows)


def film_codes(frames: int, first: int) -> np.ndarray:
    """Routes [T, 3, 3] that name both networks and all paths, and change over time."""
    codes = np.empty((frames, 3, 3), np.uint8)
    for t in range(frames):
        paths = (np.arange(9).reshape(3, 3) + (first + t) // 4) % 3
        codes[t] = [[route_code(x % 2, int(p)) for x, p in enumerate(row)] for row in paths]
    return codes


@pytest.fixture(scope="session")
def engine_path(tmp_path_factory):
    """The compiled fake engine; skips where there is no C compiler at all."""
    return compile_fake(tmp_path_factory.mktemp("engine") / "libpocketsr.so")


def compile_fake(out: Path, *sources: Path) -> Path:
    """The fake engine, and other C files, as a library at `out`."""
    compiler = [cc] if (cc := shutil.which("cc")) else [sys.executable, "-m", "ziglang", "cc"]
    files = [str(path) for path in (Path(__file__).with_name("fake_engine.c"), *sources)]
    command = [*compiler, "-O1", "-shared", "-fPIC", *files, "-o", str(out)]
    result = subprocess.run(command, capture_output=True, text=True)
    if "No module named ziglang" in result.stderr:
        pytest.skip("no C compiler: install gcc, or pip install ziglang")
    assert result.returncode == 0, result.stderr
    return out


@pytest.fixture
def engine(engine_path):
    from player.engine import Engine

    return Engine.open(engine_path)


@pytest.fixture(scope="session")
def lr_frames():
    """The film's LR frames [36, 48, 3] u8."""
    draw = np.random.default_rng(0)
    return [draw.integers(0, 200, (LR[1], LR[0], 3)).astype(np.uint8) for _ in PTS]


@pytest.fixture(scope="session")
def source_clip(tmp_path_factory, lr_frames):
    """The film as an MP4 with a sound track, the kind of file that a package is made from."""
    path = tmp_path_factory.mktemp("source") / "clip.mp4"
    with av.open(str(path), "w", options={"video_track_timescale": "600"}) as out:
        video = out.add_stream("libx264", rate=15)
        video.width, video.height, video.pix_fmt = *LR, "yuv420p"
        video.time_base = video.codec_context.time_base = Fraction(1, 600)
        audio = out.add_stream("aac", rate=48000)
        for pts, rgb in zip(PTS, lr_frames, strict=True):
            picture = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            picture.pts, picture.time_base = pts, Fraction(1, 600)
            out.mux(video.encode(picture))
        out.mux(video.encode(None))
        for start in range(0, 64_000, 1024):
            tone = np.sin(np.arange(start, start + 1024) / 20).astype("f4")[None] * 0.3
            sound = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            sound.pts, sound.sample_rate, sound.time_base = start, 48000, Fraction(1, 48000)
            out.mux(audio.encode(sound))
        out.mux(audio.encode(None))
    return path


@pytest.fixture(scope="session")
def _home(tmp_path_factory):
    """No test may touch the user's own key."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POCKETSR_HOME", str(home))
        yield home


@pytest.fixture(autouse=True)
def _own_home(_home):
    """Every test of this folder has the session's home."""


@pytest.fixture(scope="session")
def made_package(tmp_path_factory, lr_frames, source_clip, _home):
    """The package as it was made; tests that change it take `package_dir`."""
    return write_film(tmp_path_factory.mktemp("made") / "film", lr_frames, source_clip)


def write_film(
    folder: Path, lr_frames, source_clip, last_ticks: int | None = None, **changes
) -> Path:
    """The package in a folder, new or with tracks of it, with `changes` of its contents; its last
    frame may be told to last.
    """
    folder.mkdir(exist_ok=True)
    frames = [Frame(rgb, pts, i) for i, (rgb, pts) in enumerate(zip(lr_frames, PTS, strict=True))]
    frames[-1] = replace(frames[-1], duration=last_ticks)
    info = probe(source_clip)
    video = write_lr_stream(frames, folder, info, "lossless", None, segment_s=0.35)
    counts = [s.frames for s in video.segments]
    firsts = np.cumsum([0, *counts[:-1]])
    contents = Contents(
        scale=SCALE, lr=Size(*LR), hr=Size(*HR), fine_h=CELL, fine_w=CELL, method="dydca",
        preset="fast", video=video,
        weights=[tiny_blob(1, True), tiny_blob(2, True)],
        routes=[film_codes(n, int(first)) for n, first in zip(counts, firsts, strict=True)],
        colour=vars(info.colour), version="0.1.0",
    )  # fmt: skip
    write_package(folder, replace(contents, **changes), signing_key())
    return folder


@pytest.fixture
def package_dir(made_package, tmp_path):
    """A copy of the package, to be damaged."""
    return Path(shutil.copytree(made_package, tmp_path / "film"))


@pytest.fixture
def generic_folder(tmp_path, monkeypatch):
    """A folder with generic networks in the place of the shipped one."""
    folder = tmp_path / "generic"
    folder.mkdir()
    (folder / "x2.bin").write_bytes(tiny_blob(3, False))
    shipped = "player.package.generic.blob_path"
    monkeypatch.setattr(shipped, lambda scale, dtype: folder / f"x{scale}.bin")
    return folder


@pytest.fixture
def expected_hr(lr_frames):
    """The HR frames that the fake engine must make with the package's own networks and routes."""

    def frame(number: int, offset: int = 3) -> np.ndarray:
        paths = film_codes(1, number)[0] & 3
        add = np.kron(paths, np.ones((CELL, CELL), int))[: LR[1], : LR[0], None] * offset
        hr = (lr_frames[number] + add).astype(np.uint8).repeat(SCALE, 0).repeat(SCALE, 1)
        return hr[: HR[1], : HR[0]]

    return frame


@pytest.fixture(scope="session")
def old_index():
    """An index of schema 1 with all that there is: networks, maps, a router, sound."""
    return json.loads(Path(__file__).with_name("index-v1.json").read_bytes())  # of before schema 2


@pytest.fixture(scope="session")
def index_json(old_index):
    """The same in this version's schema."""
    return as_json(parse_index(old_index))
