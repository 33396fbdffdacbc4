"""`benchmarks.ladders`: rungs as a curve beside plain encodes, and a whole small one."""

import pytest

from benchmarks.ladders import ladder_row, rates
from benchmarks.rating.clips import Shot
from benchmarks.same_bytes import drifting_pictures, write_film
from player.package.ladder import read_ladder

METRICS = ("psnr_y", "psnr_rgb", "xpsnr_y")
SIZES = (10_000, 20_000, 40_000, 80_000, 160_000)


def encode_of(size: int, db: float) -> dict:
    sizes = {"video": size - 1000, "manifests": 1000, "total": size}
    quality = dict.fromkeys(METRICS, db)
    return {"arm": "plain", "bytes": sizes, "quality": quality, "scale": 1, "crf": 28}


def plain_side() -> list[dict]:
    return [encode_of(size, 30 + 3 * i) for i, size in enumerate(SIZES)]


@pytest.mark.parametrize("share", [0.8, 1.0, 1.25])
def test_rungs_of_less_bytes_at_the_same_quality_save_as_much(share):
    rungs = [encode_of(round(share * size), 30 + 3 * i) for i, size in enumerate(SIZES)]
    found = rates(rungs, plain_side(), ["psnr_y"])["psnr_y"]
    assert found["percent"] == pytest.approx(100 * (share - 1), abs=0.05) and not found["reason"]


def test_three_rungs_are_no_curve():
    found = rates(plain_side()[:3], plain_side(), ["psnr_y"])["psnr_y"]
    assert found["percent"] is None and "test" in found["reason"]


@pytest.mark.slow
def test_a_ladder_is_made_measured_and_resumed(tmp_path):
    film = write_film(tmp_path / "film.mp4", drifting_pictures(24, 96, 128))
    shot = Shot("made", film.name, "choosing", 0, 0, 24)
    row = ladder_row(shot, "h264", film, tmp_path / "ladder", plain_side())
    assert row["like_crf"] == 28 and row["rungs"]
    assert [r["folder"] for r in row["rungs"]] == [
        r.folder for r in read_ladder(tmp_path / "ladder")[0].rungs
    ]
    sizes = [rung["bytes"]["total"] for rung in row["rungs"]]
    assert sizes == sorted(sizes) and row["rates"].keys() >= {"psnr_y", "psnr_rgb"}
    assert ladder_row(shot, "h264", film, tmp_path / "ladder", plain_side()) == row
