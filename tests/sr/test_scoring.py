"""Squared errors by the engine and by its fallback: the same numbers, and so the same packages."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.same_bytes import differences
from chunking.grid import Grid
from player.engine import Engine
from player.package.generic import generic_blob
from player.package.paths import BICUBIC, EASY, HARD
from sr import host_engine as host_module
from sr.encode.encode import encode
from sr.encode.options import EncodeOptions
from sr.encode.sampled_routes import block_errors
from sr.host_engine import BUILD_VARIABLE, WORTH_COMPILING_PX, host_engine
from sr.models import architecture
from sr.progress import Progress
from sr.quant.integer_network import IntegerNetwork
from sr.scoring import EngineNetwork, path_sse, scored_network, upscale_paths
from sr.training.data import FramePair

SCALE = 2
ARCH = architecture("chain", SCALE, dynamic=True)
GRID = Grid(37, 53, 12, 12)  # cells are cut at the right and at the bottom


@pytest.fixture(scope="module")
def compiled(shared) -> Path:
    """The folder of this machine's int8 engine."""
    pytest.importorskip("tvm", reason="TVM missing: pip install 'pocketsr[compile]'")
    from tests.compiler.engines import every_int8_version

    return every_int8_version(shared).shared.parent


@pytest.fixture
def both(compiled) -> tuple[EngineNetwork, IntegerNetwork]:
    blob = generic_blob(SCALE, "int8")
    without = scored_network(blob)  # a test's own cache is empty
    assert isinstance(without, IntegerNetwork)
    return EngineNetwork(Engine.open(compiled), blob), without


@pytest.fixture
def pair() -> FramePair:
    """HR is one pixel short of twice the LR frame, as of a film of odd size."""
    draw = np.random.default_rng(5)
    lr, hr = (draw.integers(0, 256, (h, w, 3), np.uint8) for h, w in ((37, 53), (73, 105)))
    return FramePair(lr, hr)


def test_every_cell_of_every_path_has_the_same_error(both, pair):
    (engine,), (integers,) = (path_sse(network, [pair], GRID) for network in both)
    assert np.isfinite(engine).all() and engine.shape == (3, *GRID.shape)
    np.testing.assert_array_equal(engine, integers)
    for path, frame in upscale_paths(both[0], pair.lr):
        wrong = np.square(frame[:73, :105].astype(int) - pair.hr)
        assert engine[path, -1, -1] == wrong[72:, 96:].sum(), path
        assert engine[path].sum() == wrong.sum(), path


def test_frames_in_planes_are_read_too(both, pair):
    planar = FramePair(np.asfortranarray(pair.lr), np.asfortranarray(pair.hr))
    for network in both:
        (rows,), (planes,) = (path_sse(network, [p], GRID) for p in (pair, planar))
        np.testing.assert_array_equal(rows, planes)


def test_paths_that_are_not_asked_are_infinite(both, pair):
    for network in both:
        (sse,) = path_sse(network, [pair], GRID, paths=(HARD,))
        assert np.isinf(sse[[BICUBIC, EASY]]).all() and np.isfinite(sse[HARD]).all()


def test_sampled_blocks_have_the_same_errors(both, pair):
    sampled = np.zeros(GRID.shape, bool)
    sampled[0, 1] = sampled[3, 4] = True
    first, second = ([*block_errors(network, pair, GRID, sampled)] for network in both)
    assert len(first) == 2
    for (cells, sse), (other_cells, other) in zip(first, second, strict=True):
        assert cells == other_cells
        np.testing.assert_array_equal(sse, other)


@pytest.mark.parametrize("method", ["dydca", "stdo"])
def test_a_package_is_the_same_with_an_engine_and_without(
    compiled, film, tmp_path, monkeypatch, method
):
    options = {"scale": SCALE, "steps": 4, "lr_codec": "lossless", "threads": 1, "chunks": 2}
    for name, engine in (("with", Engine.open(compiled)), ("without", None)):
        monkeypatch.setattr("sr.scoring.host_engine", lambda lr_px, found=engine: found)
        with Progress() as progress:
            encode(EncodeOptions.of(film, tmp_path / name, method=method, **options), progress)
    assert not differences(tmp_path / "with", tmp_path / "without")


@pytest.fixture
def compilations(compiled, monkeypatch) -> list[str]:
    """The targets that are asked of the compiler, which gives the engine that is made already."""
    asked: list[str] = []

    def compile_engine(target, out, dtype):
        asked.append(target)
        shutil.copytree(compiled, out, dirs_exist_ok=True)

    monkeypatch.setattr("compiler.engine.compile_engine", compile_engine)
    monkeypatch.delenv(BUILD_VARIABLE)
    return asked


def test_an_engine_is_compiled_once_and_where_that_pays(compilations, capfd):
    assert host_engine(WORTH_COMPILING_PX - 1) is None
    assert host_engine(WORTH_COMPILING_PX).info["dtype"] == "int8"
    assert capfd.readouterr().err.count("\n") == 1
    assert isinstance(scored_network(generic_blob(SCALE, "int8")), EngineNetwork)
    assert compilations == ["host"]
    assert not capfd.readouterr().err


def test_without_the_extra_there_is_no_engine(compilations, monkeypatch):
    monkeypatch.setattr(host_module, "find_spec", lambda name: None)
    assert host_engine(WORTH_COMPILING_PX) is None
    assert not compilations


def test_a_compiler_that_fails_is_told_and_done_without(monkeypatch, capfd):
    from compiler.compile_error import CompileError

    def fail(target, out, dtype):
        raise CompileError("no C compiler")

    monkeypatch.setattr("compiler.engine.compile_engine", fail)
    monkeypatch.delenv(BUILD_VARIABLE)
    assert host_engine(WORTH_COMPILING_PX) is None
    assert "warning: no C compiler" in capfd.readouterr().err


def test_real_numbers_stay_with_torch(compilations):
    network = scored_network(generic_blob(SCALE, "fp32"), WORTH_COMPILING_PX)
    assert not isinstance(network, EngineNetwork | IntegerNetwork)
    assert not compilations
