"""`benchmarks.rate`: the clips' list, the order of cells, curves and hulls of made-up numbers."""

import json
import math
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.rate import finished, has_own_network, has_the_part, results
from benchmarks.rate_tables import TABLES
from benchmarks.rating.cells import ARMS, CODECS, PLAIN_SIDE, Cell, plan
from benchmarks.rating.clips import Shot, film_of, read_shots
from benchmarks.rating.curves import (
    TUNE_OF,
    ablation_rows,
    bd_rows,
    control_row,
    mean_rows,
    metrics_of,
    worst_rows,
)
from benchmarks.rating.envelope import Point, envelope
from benchmarks.rating.making import add_zeros, changed, measure_package
from chunking.video import read_frames
from player.package.verify import verify_package
from sr.encode.encode import encode
from sr.encode.options import EncodeOptions
from sr.encode.search_options import SearchOptions
from sr.progress import Progress

SHOTS = read_shots()


@pytest.mark.parametrize("tune", ["psnr", "default"])
def test_where_two_tunes_are_one_so_are_their_cells(tune):
    shot = read_shots()[0]
    av1, h264 = (Cell(shot, codec, tune, "plain", 30.0) for codec in ("av1", "h264"))
    assert av1.to_json()["tune"] == "psnr" and av1.name.split("_")[-3] == "av1-default"
    assert h264.to_json()["tune"] == tune


def test_clips_are_for_choosing_or_for_reporting_and_never_both():
    parts = {part: {s.clip for s in SHOTS if s.part == part} for part in ("choosing", "reporting")}
    assert parts["choosing"] == {"cups", "dog", "sintel_bamboo", "coffee", "flower_720p"}
    assert len(parts["reporting"]) >= 8 and not parts["choosing"] & parts["reporting"]
    assert len({s.name for s in SHOTS}) == len(SHOTS)
    assert {s.name for s in SHOTS if s.is_long} == {"bbb-long"}
    # All first shots stand before any second one.
    assert [s.place for s in SHOTS if not s.is_long] == sorted(
        s.place for s in SHOTS if not s.is_long
    )


def db_of_crf(cell: Cell) -> float:
    """A codec of whose luma a crf of 36 keeps 36 dB, in any of its scales."""
    return 36 + (36 - cell.crf) * 0.7


def test_cells_have_a_name_each_and_come_shot_by_shot():
    cells = list(plan(SHOTS, CODECS, ("psnr", "default"), ("x1", "dydca"), 7, db_of_crf))
    # SVT-AV1 has one tuning for both kinds of rows, and one cell.
    av1 = [c for c in cells if c.codec == "av1"]
    assert len({c.name for c in cells}) == len(cells) - len(av1) / 2
    first = [c.arm for c in cells if c.shot == cells[0].shot and c.codec == "h264"]
    assert first[:5] == ["plain"] * 5 and first.index("x1") < first.index("dydca")
    assert set(PLAIN_SIDE) < set(first) and "stdo" not in first


@pytest.mark.parametrize("codec", CODECS)
def test_a_ladder_spans_what_is_asked_for_and_every_arm_has_its_rates_of_it(codec):
    cells = list(plan(SHOTS[:1], [codec], ["psnr"], list(ARMS), 7, db_of_crf))
    crfs = {arm: [c.crf for c in cells if c.arm == arm] for arm in ARMS}
    ladder = [db_of_crf(c) for c in cells if c.arm == "plain"]
    assert min(ladder) <= 30 and max(ladder) >= 42 and 4 <= len(ladder) <= 7
    assert sorted(ladder)[1] > 30 and sorted(ladder)[-2] < 42
    for name in ARMS.keys() - {"plain"}:
        assert len(set(crfs[name])) == min(len(ladder), ARMS[name].rates), name
        assert min(crfs[name]) == min(crfs["plain"]) - ARMS[name].finer


def test_a_smaller_stream_goes_on_until_it_shows_what_hr_does():
    """Or a package would be held against HR alone where a smaller stream may still be ahead."""

    def db_of(cell: Cell) -> float:
        lost = {"plain-2": 5.0, "plain-4": 15.0}.get(cell.arm, 0.0)
        return db_of_crf(cell) - lost

    cells = list(plan(SHOTS[:1], ["h264"], ["psnr"], [], 7, db_of))
    best = max(db_of(c) for c in cells if c.arm == "plain")
    crfs = {arm: sorted(c.crf for c in cells if c.arm == arm) for arm in PLAIN_SIDE}
    finest = min(crfs["plain"])
    # Half a dB short at first, one step more; scale 4 is never there, and ends after two.
    assert crfs["plain-1.5"][0] == finest - 3
    assert crfs["plain-2"][:2] == [finest - 6 - 5, finest - 6]
    assert db_of(replace(cells[0], arm="plain-2", crf=crfs["plain-2"][0])) >= best
    assert crfs["plain-4"][:3] == [finest - 9 - 10, finest - 9 - 5, finest - 9]


def test_a_ladder_ends_where_the_codec_does():
    poor = [c.crf for c in plan(SHOTS[:1], ["h264"], ["psnr"], [], 7, lambda cell: 29.0)]
    assert poor[:7] == [33, 28, 23, 18, 13, 8, 3]
    fine = [c for c in plan(SHOTS[:1], ["av1"], ["psnr"], [], 7, lambda cell: 50.0)]
    assert [c.crf for c in fine if c.arm == "plain"] == [48, 53, 58, 63]
    unknown = list(plan(SHOTS[:1], ["av1"], ["psnr"], [], 7, lambda cell: None))
    assert [c.crf for c in unknown if c.arm == "plain"] == [48]


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    """24 frames of noise, 64x48 px, of 1/50 s, and a folder with it."""
    folder = tmp_path_factory.mktemp("clips")
    draw = np.random.default_rng(5)
    with av.open(str(folder / "noise.mkv"), "w") as out:
        stream = out.add_stream("libx264", rate=50, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(24):
            planes = draw.integers(16, 235, (72, 64)).astype(np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        out.mux(stream.encode(None))
    return folder


def test_a_shot_is_cut_out_without_loss(long_clip, tmp_path):
    shot = Shot("noise", "noise.mkv", "reporting", 1, 7, 15)
    whole = [frame.rgb for frame in read_frames(long_clip / "noise.mkv")]
    cut = film_of(shot, long_clip, tmp_path)
    frames = list(read_frames(cut))
    assert len(frames) == 8 and film_of(shot, long_clip, tmp_path) == cut
    for frame, original in zip(frames, whole[7:15], strict=True):
        np.testing.assert_array_equal(frame.rgb, original)
    assert film_of(
        Shot("noise", "noise.mkv", "reporting", 0, 0, 9), long_clip, tmp_path
    ).parent == (long_clip)


def points(*pairs: tuple[int, float], scale: float = 1) -> list[Point]:
    return [Point(size, {"psnr_y": quality}, scale) for size, quality in pairs]


def test_a_curve_is_made_of_what_more_bytes_made_better():
    plain = envelope(
        points((1000, 30), (2000, 33), (2000, 32.9), (4000, 32.5), (8000, 37)), "psnr_y"
    )
    assert plain.curves == (((1000, 30), (2000, 33), (8000, 37)),)
    assert plain.quality_at(2000) == pytest.approx(33)
    assert plain.bytes_for(33) == pytest.approx(2000)
    # Never guessed beyond the ends.
    assert plain.quality_at(16000) is None and plain.bytes_for(29.9) is None


def test_the_envelope_takes_the_better_scale_at_each_rate():
    small = points((1000, 32), (2000, 34), (4000, 35), scale=2)
    plain = envelope([*small, *points((1000, 28), (2000, 32), (4000, 36), (8000, 40))], "psnr_y")
    assert plain.quality_at(2000) == pytest.approx(34)
    assert plain.quality_at(4000) == pytest.approx(36)
    assert plain.bytes_for(32) == pytest.approx(1000)
    curve = plain.sampled()
    assert curve[0] == (1000, pytest.approx(32)) and curve[-1] == (8000, pytest.approx(40))
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(curve))


def test_a_single_encode_of_a_scale_counts_where_it_is_better():
    curve = points((1000, 30), (2000, 33), (4000, 36))
    plain = envelope([*curve, *points((1500, 34), scale=3)], "psnr_y")
    assert plain.quality_at(1500) == plain.quality_at(2000) == 34
    assert plain.bytes_for(33.9) == plain.bytes_for(34) == 1500
    assert plain.bytes_for(31) < 1500 < plain.bytes_for(34.5)
    assert plain.quality_at(500) is None and plain.bytes_for(29) is None


def test_nothing_is_promised_between_two_scales():
    """A straight line from the small stream to HR would show 35 dB for 2,828 bytes."""
    small = points((1000, 30), (1100, 30.1), scale=4)
    plain = envelope([*small, *points((2000, 30), (4000, 34), (8000, 40))], "psnr_y")
    assert plain.quality_at(2828) < 32.5
    assert plain.quality_at(1500) is None


def db_of(size: float) -> float:
    """A codec's quality: each doubling of the bytes brings a little less than the one before."""
    return 30 + 3 * math.log2(size) - 0.1 * math.log2(size) ** 2


def test_a_codec_with_one_tuning_has_all_metrics_in_one_cell():
    assert metrics_of("h264", "psnr") == ["psnr_y", "psnr_rgb", "xpsnr_y"]
    assert metrics_of("h265", "default") == ["vmaf", "vmaf_neg"]
    assert metrics_of("av1", "psnr") == metrics_of("av1", "default") == list(TUNE_OF)


def cells_of(clip: str, factor: float, place: int = 0) -> list[dict]:
    """A shot whose arm `x1` needs `factor` times the bytes of the codec at HR, `plain-2` 1.5 times
    them, and 1.2 with the generic network.
    """
    found = []
    needs = {"plain": 1, "plain-2": 1.5, "zero": 1, "x1": factor}
    for arm, size in product(needs, (1, 2, 4, 8)):
        total = round(100_000 * size * needs[arm])
        found.append({
            "name": f"{clip}-{place}-{arm}-{size}", "clip": clip, "shot": f"{clip}-{place}",
            "part": "reporting", "long": False, "codec": "h264", "tune": "psnr", "arm": arm,
            "crf": size, "segments": 2, "scale": 2 if arm == "plain-2" else 1,
            "bytes": {"video": total - 900, "manifests": 900, "total": total},
            "quality": {"psnr_y": db_of(size)}, "generic": {"psnr_y": db_of(1.25 * size)},
        })  # fmt: skip
    return found


def test_means_are_over_clips_and_a_clip_is_the_mean_of_its_shots():
    cells = [*cells_of("a", 0.8), *cells_of("a", 0.9, 1), *cells_of("b", 0.75)]
    rows = bd_rows(cells, ["x1", "bicubic", "generic"])
    (mean,) = (r for r in mean_rows(rows) if r["arm"] == "x1")
    assert mean["clips"] == 2 and mean["percent"] == pytest.approx(-20, abs=0.1)
    assert mean["standard_error"] == pytest.approx(5, abs=0.1)
    others = {r["arm"]: r["percent"] for r in mean_rows(rows)}
    assert others["bicubic"] == pytest.approx(50, abs=0.1)
    assert others["generic"] == pytest.approx(20, abs=0.5)


def test_a_search_without_a_network_does_not_win_by_its_scale():
    """Its package is the plain encode of a scale that the other side was not measured at."""
    cells = cells_of("a", 1)
    bare = [
        {**c, "arm": "cpu", "networks": [], "scale": 3}
        for c in cells_of("a", 0.7)
        if c["arm"] == "x1"
    ]
    (row,) = bd_rows([*cells, *bare], ["cpu"])
    assert row["percent"] == pytest.approx(0, abs=0.01)
    taught = [{**c, "networks": [{}]} for c in bare]
    (row,) = bd_rows([*cells, *taught], ["cpu"])
    assert row["percent"] == pytest.approx(-30, abs=0.1)


def test_a_sharp_stream_is_on_the_plain_side_only_beside_both():
    """No ladder but ours is made so; what a package has of it is told apart."""
    cells = cells_of("a", 1)
    ladder = [{**c, "arm": "sharp-2", "scale": 2} for c in cells_of("a", 0.7) if c["arm"] == "x1"]
    choice = {"choice": {"lr": "sharp"}, "scale": 2}
    made = [{**c, "arm": "cpu", "networks": [], **choice} for c in ladder]
    for networks in ([], [{}]):
        packages = [{**c, "networks": networks} for c in made]
        rows = bd_rows([*cells, *packages], ["cpu", "cpu/sharp"])
        assert [r["arm"] for r in rows] == ["cpu"]  # the other side was not measured
        rows = bd_rows([*cells, *packages, *ladder], ["cpu", "cpu/sharp"])
        found = {r["arm"]: r["percent"] for r in rows}
        assert found["cpu"] == pytest.approx(-30, abs=0.1)
        assert found["cpu/sharp"] == pytest.approx(0, abs=0.1)


def test_beside_hr_alone_a_package_has_the_gain_of_its_scale_too():
    """What a smaller stream saves by itself is in the number."""
    small = [c for c in cells_of("a", 0.6) if c["arm"] == "x1"]
    cells = [*cells_of("a", 1), *({**c, "arm": "plain-4", "scale": 4} for c in small)]
    packages = [c for c in cells_of("a", 0.54) if c["arm"] == "x1"]
    cells += [{**c, "arm": "cpu", "networks": [{}], "scale": 4} for c in packages]
    found = {r["arm"]: r["percent"] for r in bd_rows(cells, ["cpu", "cpu/hr"])}
    assert found["cpu"] == pytest.approx(-10, abs=0.1)
    assert found["cpu/hr"] == pytest.approx(-46, abs=0.1)


def test_a_part_is_worth_the_bytes_that_are_missed_without_it():
    cells = cells_of("a", 0.8)
    for arm, factor in (("all", 0.8), ("no-size", 0.88), ("no-routes", 0.8)):
        cells += [{**c, "arm": arm} for c in cells_of("a", factor) if c["arm"] == "x1"]
    rows = {r["arm"]: r for r in ablation_rows(cells)}
    assert rows.keys() == {"no-size", "no-routes"} and rows["no-size"]["cells"] == 4
    assert rows["no-size"]["percent"] == pytest.approx(10, abs=0.01)
    assert (
        rows["no-routes"]["percent"] == pytest.approx(0) and rows["no-size"]["standard_error"] < 1
    )


def test_an_ablation_changes_its_own_part_of_what_was_chosen():
    choice = {
        "scale": 2, "lr": "sharp", "crf": 22.5, "units": 1, "widths": [32] * 4, "exits": [2, 4],
        "shipped": None, "adapted": False, "most_macs": 2e9, "loss_per_bit": 1e-9,
    }  # fmt: skip
    asked = {"lr_codec": "h264", "codec_opts": "tune=psnr", "preset": "fast"}
    search = SearchOptions.of(Path("f.mp4"), Path("p"), **asked)
    made = search.of_choice(Path("p"), choice, choice["crf"])

    def options(arm: str) -> EncodeOptions:
        return changed(made, Cell(SHOTS[0], "h264", "psnr", arm, 28))

    assert options("all") == made and made.routes.max_macs == 2e9
    training, stream = made.training, made.stream
    replaced = {
        "no-size": replace(training, widths=(16,) * 4, exits=(2, 4)),
        "no-rate-aware-weights": replace(training, rate_weight=0.0),
        "no-routes": replace(training, method="awdnn", patches="error"),
        "no-haste": replace(training, preset="balanced"),
    }
    for arm, other in replaced.items():
        assert options(arm) == replace(made, training=other) != made
    moved = {
        "no-scale": replace(stream, scale=1, lr_crf=28.5, lr=None),
        "no-sharp": replace(stream, lr="bicubic"),
        "no-reordering": replace(stream, codec_opts="tune=psnr:bframes=0:mbtree=0"),
    }
    for arm, streamed in moved.items():
        assert options(arm) == replace(made, stream=streamed) != made
    assert has_the_part(choice, "no-sharp") and has_the_part(choice | {"lr": "bicubic"}, "all")
    assert not has_the_part(choice | {"lr": "bicubic"}, "no-sharp")


def test_what_cannot_be_compared_is_told_with_its_reason():
    few = [c for c in cells_of("a", 0.8) if c["arm"] != "x1" or c["crf"] < 8]
    (row,) = bd_rows(few, ["x1"])
    assert row["percent"] is None and "4 are needed" in row["reason"]
    assert mean_rows([row]) == [] and bd_rows(few, ["dydca"]) == []


def test_never_worse_allows_half_a_percent_or_what_an_index_costs():
    (fair,) = worst_rows(cells_of("a", 1.004), ["x1"])
    assert fair["broken"] == 0 and fair["behind"] == pytest.approx(0.004, abs=1e-4)
    (behind,) = worst_rows([*cells_of("a", 1.004), *cells_of("b", 1.02)], ["x1"])
    assert behind["broken"] == 4 and behind["shot"] == "b-0" and behind["points"] == 8


def test_the_control_shows_what_the_plain_stream_shows():
    cells = cells_of("a", 1)
    assert control_row(cells) == {"largest_difference": 0, "numbers": 4}
    next(c for c in cells if c["arm"] == "zero")["quality"] = {"psnr_y": 30.01}
    assert control_row(cells)["largest_difference"] == pytest.approx(0.01)


def test_results_follow_from_the_cells_and_a_finished_one_is_known(tmp_path):
    made = results(cells_of("a", 0.8))
    assert made["means"] and made["worst"] and len(made["cells"]) == 16
    path, work = tmp_path / "rate.json", tmp_path / "work"
    (work / "cells").mkdir(parents=True)
    path.write_text(json.dumps(made))
    (work / "cells" / "x.json").write_text(json.dumps({"name": "x"}))
    assert finished(path, work).keys() == {c["name"] for c in made["cells"]} | {"x"}


def test_a_network_of_zeros_shows_what_the_stream_shows(long_clip, tmp_path, monkeypatch):
    """The control arm on a real film: bytes more, and not one pixel else."""
    monkeypatch.setenv("POCKETSR_HOME", str(tmp_path / "home"))
    film, plain = long_clip / "noise.mkv", tmp_path / "plain"
    options = EncodeOptions.of(film, plain, method="plain", scale="1", lr_codec="h264", frames=6)
    encode(options, Progress())
    zeros = add_zeros(plain)
    verify_package(zeros).check()
    metrics = ["psnr_y", "psnr_rgb"]
    before, after = (measure_package(folder, film, metrics) for folder in (plain, zeros))
    assert before["quality"] == after["quality"] and before["quality"]["psnr_y"] < 100
    assert not before["networks"] and len(after["networks"]) == 1
    more = {part: after["bytes"][part] - size for part, size in before["bytes"].items()}
    assert more["weights"] > 0 and more["routes"] > 0 and more["video"] == more["manifests"] == 0
    assert before["bytes"]["total"] == sum(
        size for part, size in before["bytes"].items() if part != "total"
    )


def test_tables_are_made_of_results_alone():
    cells = [*cells_of("a", 0.8), *cells_of("b", 0.9)]
    cells += [{**c, "arm": "cpu"} for c in cells if c["arm"] == "x1"]
    cells += [{**c, "arm": "all"} for c in cells if c["arm"] == "x1"]
    cells += [{**c, "arm": "no-size"} for c in cells if c["arm"] == "plain-2"]
    cost = {"scale": 1, "engine_ms": 12.0, "skipped": 0.5, "seconds": 5.0}
    network = {"widths": [16] * 5, "exits": [5], "units": 1}
    result = results([{**c, **cost, "networks": [network]} for c in cells])
    made = {name.removeprefix("rate."): table(result) for name, table in TABLES.items()}
    assert "| h264 | `cpu` | -15.0 ± 5.0 % | - | - | - | - | 2 |" in made["means"]
    first = result["means"][0]
    of_one = {**first, "metric": "psnr_rgb", "clips": 1, "standard_error": None}
    told = TABLES["rate.means"]({"means": [first, of_one]})
    assert "% (of 1) |" in told and "± 5.0 % | " in told and "| 2 |" in told
    assert "| a-0 | h264 | -20.0 % |" in made["clips"]
    # 0.8 times the bytes of 200 kB, of which the plain side shows 0.9 dB less.
    assert (
        "| a-0 | h264 | `cpu` | 256 | 32.90 | 31.99 |" in made["points"]
        and "x1, 5 of 16, u 1" in made["points"]
    )
    assert "| h264 | `cpu` | PSNR-Y | -10.0 % | b-0 | 0 of 8 |" in made["worst"]
    assert "| h264 | size | +" in made["ablation"] and "| 0.00 | 8 |" in made["control"]
    assert TABLES["rate.ablation"](results([])) == "Not measured yet."


@pytest.mark.parametrize(
    ("choice", "is_own"),
    [
        ({"widths": None, "shipped": None}, False),
        ({"widths": [48] * 8, "shipped": "x4-coarse"}, False),
        ({"widths": [8] * 3, "shipped": None}, True),
        ({"widths": [8] * 3}, True),  # of before networks shipped
    ],
)
def test_only_networks_of_the_films_own_are_ablated(choice, is_own):
    assert has_own_network(choice) is is_own
