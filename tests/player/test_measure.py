"""`measure`: the object of contracts.md, its numbers against others' arithmetic."""

import json

import numpy as np
import pytest

from chunking.video import Frame, InputError
from player import metrics
from player.measure import MeasureOptions, measure
from player.package.package_error import PackageError
from player.session import open_package

CONTRACT = {
    "schema": str, "frames": int, "width": int, "height": int, "scale": int,
    "psnr": {"rgb": float, "y": float, "rgb_mean_of_frames": float, "rgb_p5": float},
    "ssim_y": float, "xpsnr_y": type(None), "vmaf": type(None), "vmaf_neg": type(None),
    "plain": type(None),
    "bicubic": {"psnr_rgb": float, "psnr_y": float},
    "generic": {"psnr_rgb": float, "psnr_y": float},
    "bytes": {"video": int, "audio": int, "weights": int, "routes": int, "router": int,
              "index": int, "total": int},
    "kbps": {"video": float, "sr": float, "total": float},
    "paths": {"bicubic": float, "easy": float, "hard": float}, "macs_per_frame": int,
    "fps": {"upscale_p50": float, "upscale_p95": float, "pipeline": float},
    "arena_bytes": int, "peak_rss_bytes": int,
    "engine": {"target": str, "dtype": str, "threads": int},
}  # fmt: skip


@pytest.fixture
def reference(expected_hr, monkeypatch):
    """The film whose frames are the engine's own, but for an error of 2 in every third."""
    frames = [
        Frame(expected_hr(i) + np.uint8(2 * (i % 3 == 0)), 1000 * i, i) for i in range(20)
    ]  # fmt: skip
    return use_reference(monkeypatch, frames)


def use_reference(monkeypatch, frames):
    """Let the film's decoder give these frames, at times in 1/25000 s that match the package's."""
    from fractions import Fraction
    from types import SimpleNamespace

    times = [40 * i + 7 * (i % 3) for i in range(20)]
    info = SimpleNamespace(time_base=Fraction(1, 6000), frame_rate=Fraction(15))
    timed = [Frame(f.rgb, times[f.index] * 10 + 1, f.index) for f in frames]
    monkeypatch.setattr("player.compare.probe", lambda path: info)
    monkeypatch.setattr("player.compare.read_frames", lambda path: iter(timed))
    return "film.mp4"


def check_shape(value, contract, where="measure"):
    for name, wanted in contract.items():
        if isinstance(wanted, dict):
            check_shape(value[name], wanted, f"{where}.{name}")
        else:
            assert type(value[name]) is wanted, f"{where}.{name} is {value[name]!r}"


def test_the_object_is_that_of_the_contract(made_package, engine, reference, generic_folder):
    result = json.loads(json.dumps(measure(open_package(made_package), reference, engine)))
    check_shape(result, CONTRACT)
    assert result["schema"] == "pocketsr.measure/1"
    assert (result["frames"], result["width"], result["height"]) == (20, 94, 70)


def test_psnr_is_from_the_mean_error_over_all_frames(
    made_package, engine, reference, generic_folder
):
    result = measure(open_package(made_package), reference, engine)
    assert result["psnr"]["rgb"] == pytest.approx(metrics.psnr_db(4 * 7 / 20))
    per_frame = [metrics.psnr_db(4) if i % 3 == 0 else 100.0 for i in range(20)]
    assert result["psnr"]["rgb_mean_of_frames"] == pytest.approx(np.mean(per_frame))
    assert result["psnr"]["rgb_p5"] == pytest.approx(np.percentile(per_frame, 5))


def test_the_controls_are_path_0_and_the_generic_networks_hard_path(
    made_package, engine, reference, generic_folder, lr_frames, expected_hr
):
    result = measure(open_package(made_package), reference, engine)
    wanted = {"bicubic": [], "generic": []}
    for i, lr in enumerate(lr_frames):
        film = expected_hr(i) + np.uint8(2 * (i % 3 == 0))
        for name, add in (("bicubic", 0), ("generic", 2 * 9)):
            hr = (lr + np.uint8(add)).repeat(2, 0).repeat(2, 1)[:70, :94]
            wanted[name].append(metrics.mse_rgb(hr, film))
    for name, errors in wanted.items():
        assert result[name]["psnr_rgb"] == pytest.approx(metrics.psnr_db(np.mean(errors)))


def test_bytes_are_those_on_disk(made_package, engine, reference, generic_folder):
    sizes = measure(open_package(made_package), reference, engine)["bytes"]

    def on_disk(pattern):
        return sum(p.stat().st_size for p in made_package.glob(pattern))

    assert sizes["video"] == on_disk("video/*") and sizes["routes"] == on_disk("sr/routes-*")
    assert sizes["weights"] == on_disk("sr/weights-*") and sizes["index"] == on_disk(
        "sr/index.json"
    )
    assert sizes["total"] == sum(v for k, v in sizes.items() if k != "total")


def test_costs_are_those_of_the_routes(made_package, engine, reference, generic_folder):
    result = measure(open_package(made_package), reference, engine)
    assert sum(result["paths"].values()) == pytest.approx(1)
    assert 0 < result["paths"]["easy"] < 1 and result["macs_per_frame"] > 0
    assert result["model_switches_per_frame"] > 1  # both networks in every row of cells


def test_the_papers_protocol_is_added(made_package, engine, reference, generic_folder):
    options = MeasureOptions(protocol="stdo", limit=6, ssim_frames=3)
    result = measure(open_package(made_package), reference, engine, options)
    assert (result["frames"], result["ssim_frames"]) == (6, 3)
    assert result["stdo"]["psnr_rgb"] == pytest.approx(metrics.psnr_db(4 * 2 / 6))


def test_a_lost_segment_does_not_shift_the_comparison(
    package_dir, engine, reference, generic_folder
):
    (package_dir / "video/seg-00002.m4s").unlink()
    result = measure(open_package(package_dir), reference, engine)
    assert 10 < result["frames"] < 20 and result["psnr"]["rgb"] > 45


def test_without_an_engine_it_measures_bicubic(made_package, reference):
    result = measure(open_package(made_package), reference, None)
    assert result["generic"] is None and result["engine"]["target"] is None
    assert result["psnr"]["rgb"] == pytest.approx(result["bicubic"]["psnr_rgb"])
    assert result["paths"]["bicubic"] == 1


def test_a_film_of_another_size_is_refused(made_package, engine, monkeypatch, generic_folder):
    film = use_reference(monkeypatch, [Frame(np.zeros((70, 96, 3), np.uint8), 0, 0)])
    with pytest.raises(InputError, match=r"film\.mp4 is 96x70 px, the package shows 94x70"):
        measure(open_package(made_package), film, engine)


def test_without_an_index_there_is_nothing_to_measure(package_dir, engine):
    (package_dir / "sr/index.json").unlink()
    with pytest.raises(PackageError, match="run `verify`"):
        measure(open_package(package_dir), "film.mp4", engine)
