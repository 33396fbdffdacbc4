"""The encode job end to end on a small film: packages of every method, resuming, repeating."""

from pathlib import Path

import numpy as np
import pytest

from player.package.index import read_index
from player.package.paths import network_of, path_of
from player.package.route_maps import unpack_routes
from player.package.verify import verify_package
from sr.encode import encode as encode_module
from sr.encode import overfitting
from sr.encode.encode import encode
from sr.encode.job_folder import open_job
from sr.encode.options import EncodeOptions
from sr.encode.records import CHANGING
from sr.progress import Progress
from sr.usage_error import UsageError
from tests.sr.conftest import FILM_SIZE, SMALL, drifting_pictures, write_film


def run(film: Path, out: Path, restart: bool = False, **options) -> dict:
    options = {"scale": 2, "steps": 4, "lr_codec": "lossless", "threads": 1, **SMALL, **options}
    with Progress() as progress:
        return encode(EncodeOptions.of(film, out, **options), progress, restart)


def contents(package: Path) -> dict[str, bytes]:
    """Every file but the report, which holds times."""
    found = {p.relative_to(package).as_posix(): p for p in package.rglob("*") if p.is_file()}
    return {name: p.read_bytes() for name, p in found.items() if name != "report.json"}


@pytest.mark.parametrize(
    ("method", "networks"),
    [
        ("dydca", 1),
        ("jstdo", 1),
        ("awdnn", 1),
        ("repcam", 1),
        ("nas", 2),
        ("cafm", 3),
        ("delta", 3),
        ("stdo", 2),
        pytest.param("stdo", 4, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_every_method_makes_a_package_that_verifies(film, tmp_path, method, networks):
    chunks = networks - 1 if method in CHANGING else max(networks, 2)
    report = run(film, tmp_path / "p", method=method, chunks=chunks)
    verification = verify_package(tmp_path / "p")
    assert verification.ok, verification.faults
    index = read_index(tmp_path / "p").index
    assert (index.frames, len(index.weights), index.method) == (12, networks, method)
    assert (index.hr.width, index.hr.height, index.lr.width) == (192, 160, 96)
    codes = np.concatenate(
        [unpack_routes((tmp_path / "p" / r.file).read_bytes()) for r in index.routes]
    )
    assert codes.shape == ((12, 7, 8) if method == "dydca" else (12, 2, 2))  # cells of 12 px, or 54
    assert set(np.unique(network_of(codes))) <= set(range(networks))
    assert sum(report["paths"].values()) == pytest.approx(1)
    if method != "dydca":
        assert np.all(path_of(codes) == 2)
    if method in ("nas", *CHANGING):
        first = int(method in CHANGING)
        assert network_of(codes).max(axis=(1, 2)).tolist() == [first] * 6 + [first + 1] * 6
    assert not (tmp_path / "p" / "work").exists()


@pytest.mark.parametrize("backbone", ["wdsr", "espcn"])
def test_baselines_encode_too(film, tmp_path, backbone):
    run(film, tmp_path / "p", method="jstdo", backbone=backbone, frames=3, widths=None)
    index = read_index(tmp_path / "p").index
    assert (index.weights[0].arch.name, index.frames) == (backbone, 3)


def test_a_trained_hard_path_is_worth_its_cost_on_texture(film, tmp_path):
    """Routes go to the hard path only where it lowers the error below bicubic's."""
    report = run(film, tmp_path / "p", steps=120)
    assert report["paths"]["hard"] > 0.25


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(film, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(film, tmp_path / name, seed=seed)
    first, second, other = (contents(tmp_path / name) for name in "abc")
    assert first == second
    assert first["sr/weights-000.bin"] != other["sr/weights-000.bin"]


POINTS = [
    pytest.param("write_streams", marks=pytest.mark.slow),
    pytest.param("score_difficulty", marks=pytest.mark.slow),
    "overfit_networks",
    pytest.param("plan_all_routes", marks=pytest.mark.slow),
    "write_package",
]


@pytest.mark.parametrize("point", POINTS)
def test_a_job_cut_after_any_step_goes_on_and_ends_with_the_same_bytes(
    film, tmp_path, monkeypatch, point
):
    run(film, tmp_path / "whole")
    original = getattr(encode_module, point)

    def cut(*arguments):
        original(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(encode_module, point, cut)
    with pytest.raises(KeyboardInterrupt):
        run(film, tmp_path / "cut")
    monkeypatch.setattr(encode_module, point, original)
    run(film, tmp_path / "cut")
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_finished_work_is_not_done_again(film, tmp_path, monkeypatch):
    run(film, tmp_path / "p")

    def fail(*arguments):
        raise AssertionError("trained again")

    monkeypatch.setattr(overfitting, "overfit", fail)
    assert run(film, tmp_path / "p")["frames"] == 12
    assert not (tmp_path / "p" / "work").exists()


def test_two_processes_do_not_work_on_one_job(film, tmp_path):
    config = EncodeOptions.of(film, tmp_path / "p", scale=2)
    first = open_job(config, restart=False, warn=print)
    with pytest.raises(UsageError, match="another encode"):
        open_job(config, restart=False, warn=print)
    del first
    open_job(config, restart=False, warn=print)


def test_a_damaged_result_of_a_step_is_made_again(film, tmp_path, monkeypatch):
    run(film, tmp_path / "whole")
    monkeypatch.setattr(encode_module, "plan_all_routes", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(film, tmp_path / "p")
    monkeypatch.undo()
    blob = tmp_path / "p" / "work" / "weights-000.bin"
    blob.write_bytes(blob.read_bytes()[:100])
    monkeypatch.setenv("POCKETSR_HOME", str(tmp_path / "home"))
    run(film, tmp_path / "p")
    assert contents(tmp_path / "p") == contents(tmp_path / "whole")


def _interrupt(*arguments):
    raise KeyboardInterrupt


def test_another_job_in_the_folder_is_refused_with_the_difference(film, tmp_path):
    run(film, tmp_path / "p")
    with pytest.raises(UsageError, match=r"\(seed 0 -> 5\).*--restart"):
        run(film, tmp_path / "p", seed=5)
    other = write_film(tmp_path / "other.mp4", drifting_pictures(3, *FILM_SIZE))
    with pytest.raises(UsageError, match=r"\(another film, source film.mp4 -> other.mp4\)"):
        run(other, tmp_path / "p")
    many = {"seed": 5, "steps": 6, "scale": 3, "lr_codec": "av1", "max_loss_db": 1.0}
    with pytest.raises(UsageError, match=r"^[^>]*(-> [^>]*){4}, and \d more\)"):
        run(film, tmp_path / "p", **many)
    run(film, tmp_path / "p", seed=5, restart=True)
    assert verify_package(tmp_path / "p").ok


def test_a_folder_with_other_things_is_left_alone(film, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="not empty"):
        run(film, tmp_path / "mine", restart=True)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_more_chunks_than_patches_is_refused(film, tmp_path):
    with pytest.raises(UsageError, match="lower --chunks"):
        run(film, tmp_path / "p", method="stdo", chunks=16, frames=1)
