"""Encodes at every scale and unit: whole packages of films whose sides are no whole units."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from benchmarks.same_bytes import drifting_pictures, write_film
from chunking.difficulty import patch_samples, patch_sse
from chunking.grid import Grid, Patch, hr_window
from player import metrics
from player.bicubic import upscale_bicubic
from player.engine import Engine
from player.package.generic import generic_blob
from player.package.index import read_index
from player.package.paths import BICUBIC, EASY, HARD, PLANNED_PATHS, path_of
from player.package.route_maps import unpack_routes
from player.package.scale import scale_number
from player.package.verify import verify_package
from player.package.weights import unpack_weights
from player.session import open_package
from player.upscale import read_lr, upscale
from sr.encode import encode as encode_module
from sr.encode import overfitting
from sr.encode.difficulty import measure_difficulty
from sr.encode.encode import encode
from sr.encode.film import Film
from sr.encode.options import EncodeOptions
from sr.encode.sampled_routes import block_errors
from sr.packing import pack_integers
from sr.progress import Progress
from sr.quant.integer_network import IntegerNetwork
from sr.scoring import path_sse, scored_network, upscale_paths
from sr.training.data import FramePair
from sr.training.spread import CELL_PX
from tests.player.random_architecture import SHAPES
from tests.sr.conftest import SMALL
from tests.sr.random_int8 import random_int8
from tests.sr.test_family import chain, pixels

HEIGHT, WIDTH = 158, 190  # neither side is a multiple of 3; at x4 LR is padded as well


@pytest.fixture(scope="module")
def odd_film(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("film")
    return write_film(folder / "film.mp4", drifting_pictures(4, HEIGHT, WIDTH))


def run(film: Path, out: Path, **options) -> dict:
    options = {"steps": 3, "lr_codec": "lossless", "threads": 1, **SMALL, **options}
    with Progress() as progress:
        return encode(EncodeOptions.of(film, out, **options), progress)


# On the units that a scale has by itself, and one more; `make test-all` makes the others.
USUAL = {(1, 1), (1, 2), (Fraction(3, 2), 2), (2, 1), (3, 1), (4, 1)}
PACKAGES = [s if s in USUAL else pytest.param(*s, marks=pytest.mark.slow) for s in SHAPES]


@pytest.mark.parametrize(("scale", "units"), PACKAGES)
def test_a_package_of_every_scale_and_unit(odd_film, tmp_path, scale, units):
    report = run(odd_film, tmp_path / "p", scale=scale_number(scale), units=units)
    assert (report["scale"], report["units"]) == (scale_number(scale), units)
    assert verify_package(tmp_path / "p").ok
    index = read_index(tmp_path / "p").index
    (entry,) = index.weights
    assert (index.scale, entry.arch.scale, entry.arch.units) == (scale, scale, units)
    cell_px = 24 if (scale, units) == (1, 1) else 12 * units
    assert (index.fine_h, index.fine_w) == (cell_px, cell_px)
    assert (index.hr.width, index.hr.height) == (WIDTH, HEIGHT)
    codes = np.concatenate([unpack_routes((tmp_path / "p" / r.file).read_bytes())
                            for r in index.routes])  # fmt: skip
    assert codes.shape == (4, *index.grid_shape)
    frames = list(upscale(open_package(tmp_path / "p"), None))
    assert {frame.rgb.shape for frame in frames} == {(HEIGHT, WIDTH, 3)}
    network = scored_network((tmp_path / "p" / entry.file).read_bytes())
    for _, hr in upscale_paths(network, frames[0].lr):
        assert hr.shape[0] >= HEIGHT and hr.shape[1] >= WIDTH


@pytest.mark.parametrize(("scale", "units"), [(1, 2), (Fraction(3, 2), 2)])
@pytest.mark.parametrize("method", ["jstdo", "stdo"])
def test_the_static_methods_work_where_no_generic_network_is(
    odd_film, tmp_path, scale, units, method
):
    run(odd_film, tmp_path / "p", scale=scale, units=units, method=method, chunks=2)
    assert verify_package(tmp_path / "p").ok


def test_a_router_and_sampled_routes_at_one_and_a_half(odd_film, tmp_path):
    report = run(odd_film, tmp_path / "p", scale="1.5", routes="both", probe_share=0.3)
    assert verify_package(tmp_path / "p").ok
    index = read_index(tmp_path / "p").index
    assert (index.fine_h, index.scale) == (24, Fraction(3, 2))
    assert report["router"] is not None


def test_a_filter_behind_the_decoder_mends_what_the_codec_lost(film, tmp_path):
    """Scale 1, units of 2 x 2, coarse H.264: the paths are skip, easy and hard."""
    report = run(film, tmp_path / "p", scale=1, units=2, steps=200, lr_codec="h264", lr_crf=38)
    assert report["paths"]["easy"] + report["paths"]["hard"] > 0.2
    package = open_package(tmp_path / "p")
    (entry,) = package.index.weights
    network = scored_network((tmp_path / "p" / entry.file).read_bytes())
    errors = {path: [] for path in (BICUBIC, EASY, HARD)}
    for frame, original in zip(read_lr(package), drifting_pictures(12, 160, 192), strict=True):
        made = dict(upscale_paths(network, frame.rgb))
        assert np.array_equal(made[BICUBIC], frame.rgb)
        for path, rgb in made.items():
            errors[path].append(metrics.mse_rgb(rgb, original))
    skip, easy, hard = (metrics.psnr_db(float(np.mean(found))) for found in errors.values())
    assert hard > skip + 1 and easy > skip


@pytest.mark.slow
@pytest.mark.parametrize(("scale", "units"), [(1, 1), (1, 3), (Fraction(3, 2), 2), (2, 3)])
def test_the_engine_shows_the_planned_pixels(odd_film, tmp_path, shared, scale, units):
    """Every cell's own path, to the border of a frame that is no whole units."""
    pytest.importorskip("tvm", reason="TVM missing: pip install 'pocketsr[compile]'")
    from tests.compiler.engines import every_int8_version

    asked = {"scale": scale, "units": units, "steps": 60, "lr_codec": "h264", "lr_crf": 36}
    run(odd_film, tmp_path / "p", **asked)
    package, events = open_package(tmp_path / "p"), []
    engine = Engine.open(every_int8_version(shared).shared)
    (entry,) = package.index.weights
    blob = unpack_weights((tmp_path / "p" / entry.file).read_bytes())
    network = IntegerNetwork(blob.arch, blob.tensors)
    for frame in upscale(package, engine, 1, events.append):
        made = dict(upscale_paths(network, frame.lr))
        for y, x, h, w, _, path in frame.patches.tolist():
            rows, columns = hr_window(Patch(y, x, h, w), scale)
            wanted = made[path][:HEIGHT, :WIDTH][rows, columns]
            np.testing.assert_array_equal(frame.rgb[rows, columns], wanted)
    assert events == []


@pytest.mark.parametrize(
    ("stage", "steps"),
    [
        ("uniform", 20),
        pytest.param("chase", 320, marks=pytest.mark.slow),
        pytest.param("chex", 320, marks=pytest.mark.slow),
        pytest.param("fair", 220, marks=pytest.mark.slow),
        pytest.param("condense", 100, marks=pytest.mark.slow),
    ],
)
def test_every_stage_shrinks_a_filter_on_units(film, tmp_path, stage, steps):
    asked = {"stages": stage, "steps": steps, "chunks": 2, "widths": None}
    report = run(film, tmp_path / "p", scale=1, units=2, **asked)
    assert verify_package(tmp_path / "p").ok
    (entry,) = read_index(tmp_path / "p").index.weights
    assert (entry.arch.scale, entry.arch.units) == (1, 2)
    ((row,),) = report["stages"]
    assert row["after"]["cost"] <= row["limit"] < row["before"]["cost"]


def test_stages_of_one_and_a_half_go_on_where_they_were_cut(odd_film, tmp_path, monkeypatch):
    """What a stage keeps is read back: the scale is a fraction."""

    def killed(*_):
        raise KeyboardInterrupt

    options = {"scale": 1.5, "stages": "uniform", "widths": None}
    run(odd_film, tmp_path / "whole", **options)
    with monkeypatch.context() as patched:
        patched.setattr(overfitting, "fine_tune", killed)
        with pytest.raises(KeyboardInterrupt):
            run(odd_film, tmp_path / "cut", **options)
    run(odd_film, tmp_path / "cut", **options)
    weights = [(tmp_path / p / "sr/weights-000.bin").read_bytes() for p in ("whole", "cut")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("scale", [1, Fraction(3, 2), 4])
def test_a_plain_encode_is_its_stream(odd_film, tmp_path, scale, monkeypatch):
    def never(*_):
        raise AssertionError("a plain encode learns nothing")

    for name in ("score_difficulty", "overfit_networks", "make_router", "plan_all_routes"):
        monkeypatch.setattr(encode_module, name, never)
    package = tmp_path / "p"
    report = run(odd_film, package, scale=scale_number(scale), method="plain", steps=None)
    assert verify_package(package).ok
    assert [p.name for p in (package / "sr").iterdir()] == ["index.bin"]
    index = read_index(package).index
    assert (index.scale, index.method, index.weights, index.routes) == (scale, "plain", (), ())
    assert (report["scale"], report["frames"]) == (scale_number(scale), 4)
    nothing = ("patches", "dtype", "units", "router", "quantisation_loss_db", "stages")
    assert not any(report[field] for field in nothing)
    assert report["paths"] == {"bicubic": 1.0, "easy": 0.0, "hard": 0.0}
    (first, *_) = upscale(open_package(package), None)
    assert first.rgb.shape == (HEIGHT, WIDTH, 3)


def test_a_plain_encode_goes_on_where_it_was_cut(odd_film, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    asked = {"scale": 1, "method": "plain", "steps": None}
    with monkeypatch.context() as patched:
        patched.setattr(encode_module, "write_package", killed)
        with pytest.raises(KeyboardInterrupt):
            run(odd_film, tmp_path / "p", **asked)
    with monkeypatch.context() as patched:
        patched.setattr(Film, "lr_frames", killed)
        run(odd_film, tmp_path / "p", **asked)
    assert verify_package(tmp_path / "p").ok


def film_pair(scale, height: int, width: int) -> FramePair:
    """An LR frame, and an HR frame that differs from its anchor."""
    lr = pixels(1, height, width)
    hr = upscale_bicubic(lr, scale).astype(int)
    noise = np.random.default_rng(2).integers(-9, 10, hr.shape)
    return FramePair(lr, np.clip(hr + noise, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("scale", [1, Fraction(3, 2)])
def test_difficulty_without_a_generic_network_is_the_anchors_error(scale):
    pair, grid = film_pair(scale, 60, 90), Grid(60, 90)
    anchor = upscale_bicubic(pair.lr, scale)
    wanted = patch_sse(anchor, pair.hr, grid, scale)
    samples = patch_samples(grid, scale, *pair.hr.shape[:2])
    for dtype in ("fp32", "int8"):
        network = scored_network(generic_blob(scale, dtype))
        found = measure_difficulty(network, [pair], grid, samples)
        sse = 255.0**2 * samples / 10 ** (found.fine_db[0] / 10)
        assert np.allclose(sse, wanted, rtol=0 if dtype == "int8" else 0.01)
    assert found.cell_mse.shape == (1, 60 // CELL_PX, 90 // CELL_PX)


@pytest.mark.parametrize(("scale", "units"), SHAPES)
def test_blocks_of_a_sample_have_the_whole_frames_errors(scale, units):
    """At the frame's border too, where a block is no whole units."""
    arch = replace(chain(scale, units), widths=(4, 4, 4))
    tensors = random_int8(arch, 3)
    network = scored_network(pack_integers(arch, tensors))
    assert isinstance(network, IntegerNetwork)
    pair = film_pair(scale, 12 * units + 10, 18 * units + 4)
    grid = Grid(*pair.lr.shape[:2], 4 * units, 4 * units)
    (whole,) = path_sse(network, [pair], grid)
    found = np.full_like(whole, -1)
    for cells, errors in block_errors(network, pair, grid, np.ones(grid.shape, bool)):
        found[:, *cells] = errors
    assert np.array_equal(found, whole)
    assert np.isfinite(found[list(PLANNED_PATHS)]).all()


def test_route_cells_and_routers_are_whole_units(odd_film, tmp_path):
    report = run(odd_film, tmp_path / "p", scale=2, units=3, routes="both")
    index = read_index(tmp_path / "p").index
    assert index.fine_h == 24, "a router's cells are 32 px at most"
    assert report["router"] is not None
    codes = unpack_routes((tmp_path / "p" / index.routes[0].file).read_bytes())
    assert set(np.unique(path_of(codes))) <= {BICUBIC, EASY, HARD}


def test_a_package_has_an_id_and_a_revision(odd_film, tmp_path):
    """Of the film and of what is asked for: not of the folder, nor of the how-manieth it is."""
    made = {}
    asked = {"a": {}, "b": {"revision": 2}, "c": {"lr": "sharp"}}
    for name, more in asked.items():
        run(odd_film, tmp_path / name, scale=2, method="plain", steps=None, **more)
        made[name] = read_index(tmp_path / name).index
    assert made["a"].id == made["b"].id != made["c"].id and len(made["a"].id) == 18
    assert [index.revision for index in made.values()] == [1, 2, 1]
    assert (tmp_path / "a/video/init.mp4").read_bytes() == (
        tmp_path / "b/video/init.mp4"
    ).read_bytes()
