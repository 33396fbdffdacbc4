"""Encode's options on which data is used: what is trained on, sampled, protected, routed live."""

import json
from pathlib import Path

import numpy as np
import pytest

from chunking.grid import Grid
from chunking.input_error import InputError
from player.package.index import read_index
from player.package.paths import EASY, HARD, path_of
from player.package.route_maps import unpack_routes
from player.package.router_blob import unpack_router
from player.package.verify import verify_package
from sr.encode import router_step
from sr.encode import sampling as sampling_module
from sr.encode.encode import encode
from sr.encode.options import EncodeOptions
from sr.encode.protect import on_hard_path
from sr.encode.sampled_routes import block_errors
from sr.progress import Progress
from sr.router.decide import Rule
from sr.router.training import RouterPlan
from sr.scoring import path_sse
from sr.training.data import CropSampler, FramePair
from sr.usage_error import UsageError
from tests.sr.conftest import SMALL


@pytest.fixture(autouse=True)
def short_trainings(monkeypatch):
    """Of the router: what it reaches is measured elsewhere."""
    monkeypatch.setattr(router_step, "PLAN", RouterPlan(steps=10))


def run(film: Path, out: Path, **options) -> dict:
    options = {"scale": 2, "steps": 4, "lr_codec": "lossless", "threads": 1, **SMALL, **options}
    with Progress() as progress:
        return encode(EncodeOptions.of(film, out, **options), progress)


def codes_of(package: Path) -> np.ndarray:
    index = read_index(package).index
    return np.concatenate([unpack_routes((package / r.file).read_bytes()) for r in index.routes])


def face_boxes(path: Path, frames: int = 12, name: str = "face") -> Path:
    """A face over the ramp at the right, which is flat and would get the cheapest path."""
    box = {"group": name, "x": 120, "y": 48, "width": 48, "height": 48}
    content = {"groups": ["face", "text"], "size": [192, 160], "frames": [[box]] * frames}
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def samplers(monkeypatch) -> list[CropSampler]:
    """What each overfitting drew from, in order."""
    seen: list[CropSampler] = []

    def sampler_of(*arguments):
        seen.append(chosen(*arguments))
        return seen[-1]

    chosen = sampling_module.sampler_of
    monkeypatch.setattr("sr.encode.overfitting.sampler_of", sampler_of)
    return seen


@pytest.mark.parametrize(
    ("patches", "side_px", "crops"),
    [
        ("error", 24, 16),
        ("method", 48, 4),
        ("all", 48, 4),
    ],
)
def test_every_choice_of_patches_draws_what_it_says(
    film, tmp_path, samplers, patches, side_px, crops
):
    report = run(film, tmp_path / "p", patches=patches)
    assert verify_package(tmp_path / "p").ok
    assert (report["patches"], report["crop_px"], report["crops_a_step"]) == (
        patches, side_px, crops,
    )  # fmt: skip
    (sampler,) = samplers
    assert sampler.shares.all()
    assert (np.ptp(sampler.shares) == 0) == (patches == "all")


def test_dydca_trains_where_the_error_is_and_the_papers_methods_on_patches():
    def choice(**options) -> str:
        return EncodeOptions.of(Path("film.mp4"), Path("out"), **options).patch_choice

    assert choice() == "error"
    assert choice(method="jstdo") == choice(method="stdo") == choice(stages="fair") == "method"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"patches": "all", "method": "stdo"}, "--patches: stdo"),
        ({"patches": "error", "stages": "fair"}, "needs whole patches"),
        ({"patches": "forgetting"}, "benchmarks/reproduction/selection"),
        ({"patches": "ticket"}, "benchmarks/reproduction/selection"),
        ({"protect": "face"}, "--protect: say where"),
        ({"routes": "router", "method": "jstdo"}, "--routes router: jstdo has one path"),
        ({"probe_share": 0.1, "method": "stdo"}, "--probe-share: stdo"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, words):
    with pytest.raises(UsageError, match=words):
        EncodeOptions.of(Path("film.mp4"), Path("out"), **options)


def test_a_protected_class_takes_the_hard_path_everywhere_and_the_rest_does_not(film, tmp_path):
    groups = face_boxes(tmp_path / "faces.json")
    run(film, tmp_path / "plain", max_loss_db=3.0)
    run(film, tmp_path / "p", max_loss_db=3.0, groups=groups, protect="face")
    plain, codes = codes_of(tmp_path / "plain"), codes_of(tmp_path / "p")
    face = np.s_[:, 2:4, 5:7]  # LR 60..83, 24..47 in cells of 12 px
    assert np.all(path_of(codes[face]) == HARD)
    assert not np.all(path_of(plain[face]) == HARD)
    assert not np.all(path_of(codes) == HARD)


def test_protected_places_are_drawn_more_often(film, tmp_path, samplers):
    run(film, tmp_path / "plain")
    run(film, tmp_path / "p", groups=face_boxes(tmp_path / "faces.json"), protect="face")
    plain, more = (sampler.shares for sampler in samplers)
    factor = more[plain > 0] / plain[plain > 0]
    assert set(np.unique(factor.round(6))) == {1.0, 3.0}


def test_a_class_that_is_unknown_or_never_occurs_is_named(film, tmp_path):
    groups = face_boxes(tmp_path / "faces.json")
    with pytest.raises(UsageError, match=r"--protect dog: .* has face, text"):
        run(film, tmp_path / "p", groups=groups, protect="dog")
    with pytest.raises(InputError, match="--protect text: no patch of 12 frames"):
        run(film, tmp_path / "q", groups=groups, protect="text")


def test_routes_on_the_hard_path_are_merged_again():
    codes = np.full((1, 2, 4), EASY | 0x80, np.uint8)
    marked = np.zeros((1, 2, 4), bool)
    marked[:, :, :2] = True
    assert on_hard_path(codes, marked).tolist() == [[[130, 130, 129, 129]] * 2]
    marked[0, 1, 1] = False
    assert on_hard_path(codes, marked).tolist() == [[[2, 2, 129, 129], [2, 1, 129, 129]]]


def test_a_router_replaces_the_map_or_goes_beside_it(film, tmp_path):
    report = run(film, tmp_path / "p", routes="router", steps=30)
    index = read_index(tmp_path / "p").index
    assert index.routes == () and index.router is not None
    router = unpack_router((tmp_path / "p" / index.router.file).read_bytes())
    assert report["router"]["bytes"] == index.router.bytes
    assert router.sizes.classes == len(report["router"]["classes"])
    assert verify_package(tmp_path / "p").ok
    run(film, tmp_path / "both", routes="both", steps=30)
    both = read_index(tmp_path / "both").index
    assert len(both.routes) > 0 and both.router is not None
    assert (tmp_path / "both" / both.router.file).read_bytes() == (
        tmp_path / "p" / index.router.file
    ).read_bytes()


def test_a_protected_class_is_a_class_of_the_router(film, tmp_path):
    groups = face_boxes(tmp_path / "faces.json")
    report = run(film, tmp_path / "p", routes="router", steps=30, groups=groups, protect="face")
    assert report["router"]["classes"][-1] == "face"
    index = read_index(tmp_path / "p").index
    router = unpack_router((tmp_path / "p" / index.router.file).read_bytes())
    assert router.paths[-1] == HARD


def test_a_protected_class_is_not_pushed_away_to_save_multiplications():
    rule = router_step.protecting(Rule((0, 2, 2), (1.0, -3.0, 8.0), (0.0, 0.0, 0.0)), ordinary=2)
    assert rule.offsets == (1.0, -3.0, -3.0)


def test_blocks_are_measured_as_in_the_whole_frame(generic_network):
    rng = np.random.default_rng(0)
    hr = rng.integers(0, 256, (4 * 70, 4 * 100, 3), np.uint8)
    pair = FramePair(np.ascontiguousarray(hr[::4, ::4]), hr[: 4 * 70 - 3, : 4 * 100 - 2])
    grid = Grid(70, 100, 12, 12)
    (whole,) = path_sse(generic_network, [pair], grid)
    sampled = np.zeros(grid.shape, bool)
    sampled[1, 1] = sampled[5, 8] = True  # a whole block, and one cut by both edges
    found = dict(
        ((rows.start, columns.start), sse)
        for (rows, columns), sse in block_errors(generic_network, pair, grid, sampled)
    )
    assert set(found) == {(0, 0), (4, 8)}
    assert np.array_equal(found[0, 0], whole[:, :4, :4])
    assert np.array_equal(found[4, 8], whole[:, 4:, 8:])


def test_sampling_everything_there_is_plans_what_measuring_does(film, tmp_path):
    run(film, tmp_path / "whole", steps=30)
    run(film, tmp_path / "p", steps=30, probe_share=0.99)
    assert np.array_equal(codes_of(tmp_path / "whole"), codes_of(tmp_path / "p"))


def test_a_tenth_of_the_cells_makes_a_package_and_repeats(film, tmp_path):
    first, second = (run(film, tmp_path / n, steps=30, probe_share=0.1) for n in ("a", "b"))
    assert np.array_equal(codes_of(tmp_path / "a"), codes_of(tmp_path / "b"))
    assert first["paths"] == second["paths"]
