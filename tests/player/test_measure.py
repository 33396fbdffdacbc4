"""`measure`: the object of contracts.md, its numbers against others' arithmetic."""

import json
import os
import re
from dataclasses import replace
from fractions import Fraction
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.checked import ffmpeg_score
from chunking.cropping import NO_CROP, Crop
from chunking.orientation import Orientation
from chunking.video import Colour, Frame, InputError, probe
from chunking.writer import VideoWriter
from player import metrics
from player.checks import ffmpeg_checks
from player.measure import MeasureOptions, measure
from player.package.package_error import PackageError
from player.package.sizes import part_bytes
from player.playback import PlayOptions, play_package
from player.quality import METRICS
from player.session import open_package
from player.vmaf import find_vmaf
from tests.player.conftest import HR, PTS

CONTRACT = {
    "schema": str, "frames": int, "width": int, "height": int, "scale": int,
    "psnr": {"rgb": float, "y": float, "rgb_mean_of_frames": float, "rgb_p5": float},
    "ssim_y": float, "worst": type(None), "plain": type(None),
    "bicubic": {"psnr_rgb": float, "psnr_y": float},
    "generic": {"psnr_rgb": float, "psnr_y": float},
    "bytes": {"video": int, "audio": int, "weights": int, "routes": int, "router": int,
              "index": int, "total": int},
    "manifest_bytes": int,
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
    times = [40 * i + 7 * (i % 3) for i in range(20)]
    info = SimpleNamespace(
        time_base=Fraction(1, 6000), frame_rate=Fraction(15), width=HR[0], height=HR[1],
        colour=Colour("bt709", False, "bt709", "bt709"), interlaced=False, crop=NO_CROP,
    )  # fmt: skip
    timed = [Frame(f.rgb, times[f.index] * 10 + 1, f.index) for f in frames]
    monkeypatch.setattr("player.compare.probe", lambda path: info)
    monkeypatch.setattr("player.measure.probe", lambda path: info)
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


def test_a_film_whose_frames_are_shown_at_other_times_is_refused(
    made_package, engine, expected_hr, monkeypatch
):
    """Such as a package of a broadcast beside a copy that begins at 0."""
    reference = use_reference(monkeypatch, [])
    with pytest.raises(InputError, match="no frame where the package has one: give the film"):
        measure(open_package(made_package), reference, engine)


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
    result = measure(open_package(made_package), reference, engine)
    sizes = result["bytes"]

    def on_disk(pattern):
        return sum(p.stat().st_size for p in made_package.glob(pattern))

    assert sizes["video"] == on_disk("video/*") and sizes["routes"] == on_disk("sr/routes-*")
    assert sizes["weights"] == on_disk("sr/weights-*") and sizes["index"] == on_disk("sr/index.bin")
    assert sizes["total"] == sum(v for k, v in sizes.items() if k != "total")
    assert sizes["manifests"] == on_disk("*.m3u8") + on_disk("*.mpd") > 0
    assert result["manifest_bytes"] == sizes["manifests"]


def test_a_folder_in_the_place_of_a_manifest_has_no_bytes(package_dir):
    package = open_package(package_dir)
    path = package_dir / "manifest.mpd"
    before, lost = part_bytes(package_dir, package.index)["manifests"], path.stat().st_size
    path.unlink()
    path.mkdir()
    assert part_bytes(package_dir, package.index)["manifests"] == before - lost


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
    (package_dir / "sr/index.bin").unlink()
    with pytest.raises(PackageError, match="run `verify`"):
        measure(open_package(package_dir), "film.mp4", engine)


def test_the_worst_frames_by_themselves(made_package, engine, reference, generic_folder):
    options = MeasureOptions(limit=6, worst=0.5, metrics=["psnr_rgb", "psnr_y"])
    result = measure(open_package(made_package), reference, engine, options)
    # Of six frames two have an error of 2, so that the worst three have a mean of 4 x 2 / 3.
    assert result["worst"]["psnr_rgb"] == pytest.approx(metrics.psnr_db(4 * 2 / 3))
    assert result["worst"]["share"] == 0.5 and result["worst"]["psnr_y"] < result["psnr"]["y"]
    assert result["vmaf"] is result["worst"]["vmaf"] is None, "not asked for"


@pytest.mark.parametrize(
    ("report", "plain"),
    [
        ({"plain": {"kbps": 1.5, "psnr_y": 30, "psnr_rgb": 29, "crf": 28}},
         {"kbps": 1.5, "psnr_y": 30, "psnr_rgb": 29}),
        ({"plain": None}, None), ({"plain": {"kbps": "1"}}, None), ([1], None), ({}, None),
    ],
)  # fmt: skip
def test_the_plain_encode_is_that_of_the_report(package_dir, reference, report, plain):
    (package_dir / "report.json").write_text(json.dumps(report))
    options = MeasureOptions(limit=1, metrics=["psnr_rgb"])
    assert measure(open_package(package_dir), reference, None, options)["plain"] == plain


def test_a_pipe_in_the_place_of_the_report_is_waited_for_by_nobody(package_dir, reference):
    os.mkfifo(package_dir / "report.json")
    options = MeasureOptions(limit=1, metrics=["psnr_rgb"])
    assert measure(open_package(package_dir), reference, None, options)["plain"] is None


@pytest.mark.parametrize(("limit", "compared"), [(None, 20), (5, 5)])
def test_a_shorter_reference_is_said_once(
    made_package, engine, expected_hr, monkeypatch, limit, compared
):
    frames = [Frame(expected_hr(i), 1000 * i, i) for i in range(20)]
    package, said = open_package(made_package), []
    options = MeasureOptions(limit=limit, metrics=["psnr_rgb"])
    measure(package, use_reference(monkeypatch, frames), engine, options, said.append)
    assert said == []
    result = measure(package, use_reference(monkeypatch, frames[:3]), engine, options, said.append)
    told = f"the reference has 3 of the package's {compared} frames: the others are not compared"
    assert [*map(str, said)] == [told] and result["frames"] == 3


@pytest.mark.skipif(find_vmaf() is None, reason="needs an FFmpeg with libvmaf")
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_ffmpeg_finds_the_same_on_the_lossless_file(
    made_package, engine, expected_hr, generic_folder, tmp_path, suffix
):
    film, out = tmp_path / "film.mp4", tmp_path / f"hr{suffix}"
    colour = Colour("smpte170m", False, "bt709", "bt709")
    with VideoWriter(film, (HR[1], HR[0]), Fraction(1, 600), colour, crf=35) as writer:
        for number, ticks in enumerate(PTS):
            writer.write(expected_hr(number), ticks)
    package = open_package(made_package)
    result = measure(package, film, engine)
    play_package(package, engine, PlayOptions(out=out, out_crf=None))
    psnr = {f"psnr_{name}": result["psnr"][name] for name in ("rgb", "y")}
    assert list(result["checks"]) == list(METRICS)
    for metric, graph in result["checks"].items():
        assert ffmpeg_score(find_vmaf(), out, film, metric, graph) == pytest.approx(
            {**result, **psnr}[metric], abs=0.002
        ), metric


@pytest.mark.parametrize(
    ("colour", "size", "words"),
    [
        (Colour("bt2020nc", True, "bt2020", "bt2020-10"), HR, ["_matrix=bt2020:", "range=pc"]),
        (Colour("bt470bg", False, "bt709", "bt709"), HR, ["_matrix=bt470:", "=yuv420p["]),
        (Colour("rgb", True, "bt709", "bt709"), (93, 70), ["out_color_matrix=bt709", "yuv444p["]),
    ],
)
def test_ffmpeg_is_told_the_films_own_colour(source_clip, colour, size, words):
    film = replace(probe(source_clip), colour=colour, width=size[0], height=size[1])
    for metric, graph in ffmpeg_checks(film).items():
        is_yuv = metric in ("xpsnr_y", "vmaf", "vmaf_neg")
        assert not is_yuv or all(word in graph for word in words), metric
        assert ("in_h_chr_pos=0" in graph) == (colour.matrix != "rgb")


@pytest.mark.parametrize("flags", product([False, True], repeat=3))
def test_ffmpeg_crops_what_it_has_turned_as_we_turn_what_we_have_cropped(source_clip, flags):
    turn, crop = Orientation(*flags), Crop(1, 2, 3, 4)
    stored = np.arange(48 * 64).reshape(48, 64, 1)
    ours = turn.apply(crop.apply(stored))
    height, width = ours.shape[:2]
    film = replace(probe(source_clip), width=width, height=height, orientation=turn, crop=crop)
    graph = ffmpeg_checks(film)["psnr_rgb"]
    x, y = map(int, re.search(rf"crop={width}:{height}:if.*?,(\d)\):if.*?,(\d)\),", graph).groups())
    assert np.array_equal(ours, turn.apply(stored)[y : y + height, x : x + width])
