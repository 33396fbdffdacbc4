"""Goals: what may be asked together, and what the devices' table says."""

import json
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from chunking.encoders import ENCODERS
from player.package.architecture import Architecture
from player.package.paths import BICUBIC, EASY, HARD
from sr.cli import pocketsr
from sr.encode.attempts import Attempt
from sr.encode.rounds import Rounds
from sr.rate.budget import budget_of, devices, path_price
from sr.rate.candidates import candidates
from sr.rate.curve import Point
from sr.rate.goal import LAST_CRF, USUAL_CRF, Goal, GoalError, goal_of
from sr.usage_error import UsageError

ROOT = Path(__file__).parents[2]


def test_nothing_asked_is_the_codecs_usual_rate():
    assert goal_of("h264") == Goal("psnr_y", like_crf=23)
    assert goal_of("av1", metric="vmaf") == Goal("vmaf", like_crf=35)
    with_rate = {name for name, encoder in ENCODERS.items() if encoder.crf is not None}
    assert USUAL_CRF.keys() == LAST_CRF.keys() == with_rate


def test_a_target_of_the_worst_frames():
    goal = goal_of("h265", target_vmaf=90.0, worst=0.05)
    assert (goal.metric, goal.value, goal.worst) == ("vmaf", 90.0, 0.05)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"like_crf": 20.0, "target_kbps": 500.0}, "--like-crf and --target-kbps contradict"),
        ({"target_psnr": 35.0, "target_vmaf": 90.0}, "contradict"),
        ({"target_psnr": 35.0, "metric": "vmaf"}, "--metric vmaf and --target-psnr contradict"),
        ({"worst": 0.05}, "--worst is for"),
        ({"like_crf": 60.0}, "--like-crf 60: h264 has none above 51"),
    ],
)
def test_contradictions_are_refused(options, says):
    with pytest.raises(UsageError, match=says):
        goal_of("h264", **options)


@pytest.mark.parametrize("worst", ["0%", "some", "101%"])
def test_the_worst_frames_are_a_share(worst):
    asked = ["encode", "film.mp4", "-o", "p", "--target-psnr", "35", "--worst", worst]
    result = CliRunner().invoke(pocketsr, asked)
    assert result.exit_code == 2
    assert "is no share, such as 5%" in result.output


def test_a_lossless_stream_has_no_rate():
    with pytest.raises(UsageError, match="give --scale"):
        goal_of("lossless")


def test_devices_are_those_of_the_estimates():
    """The table that ships says what benchmarks/results/android.json says of the cores."""
    rows = json.loads((ROOT / "benchmarks/results/android.json").read_text())
    per_frame = 47_500 * rows["work"]["lr"][0] * rows["work"]["lr"][1] / 1e9
    gmacs = {r["core"]: r["estimated_fps_1_core"] * per_frame for r in rows["rows"]}
    table = json.loads((ROOT / "sr/rate/devices.json").read_text())
    for device in (d for d in table["devices"] if d["class"] == "cpu"):
        total = sum(gmacs[core] * count for core, count in device["cores"].items())
        assert device["gmacs_per_s"] == pytest.approx(total, rel=0.01)


def test_the_budget_is_the_time_of_a_frame():
    budget = budget_of("cpu", Fraction(30))
    assert budget.macs == pytest.approx(devices()[0].gmacs_per_s * 1e9 / 30)
    assert budget_of("npu", Fraction(30)).macs == pytest.approx(60e9)
    assert budget_of("cpu", Fraction(30), ms=5.0).ms == 5.0
    slower = budget_of("cpu", Fraction(30), table="mid-range")
    assert slower.macs < budget.macs


def test_a_table_of_ones_own(tmp_path):
    own = tmp_path / "mine.json"
    row = {"name": "mine", "class": "cpu", "gmacs_per_s": 10}
    own.write_text(json.dumps({"schema": "pocketsr.devices/1", "devices": [row]}))
    assert budget_of("cpu", Fraction(25), table=str(own)).macs == pytest.approx(0.4e9)
    for bad in ("{", "[]", '{"schema": "x"}', json.dumps(
        {"schema": "pocketsr.devices/1", "devices": [{**row, "gmacs_per_s": -1}]}
    )):  # fmt: skip
        own.write_text(bad)
        with pytest.raises(UsageError, match="not a table of devices"):
            budget_of("cpu", Fraction(25), table=str(own))
    with pytest.raises(UsageError, match="neither a file nor one of flagship"):
        budget_of("cpu", Fraction(25), table="pixel")


def test_prices_count_what_kernels_compute():
    arch = Architecture("chain", 1, (16, 16, 16), (2, 3))
    assert path_price(arch, HARD) == 9 * 4 * 16 + 2 * 9 * 16 * 16 + 16 * 4
    assert path_price(arch, EASY) == 9 * 4 * 16 + 9 * 16 * 16 + 16 * 4
    assert path_price(arch, BICUBIC) == 0
    on_units = Architecture("chain", 1, (16, 16, 16), (2, 3), 2)
    assert path_price(on_units, HARD) < path_price(arch, HARD) / 2


def test_candidates_fit_the_budget():
    small = budget_of("cpu", Fraction(30), table="mid-range")
    cheap = list(candidates(1, 720, 1280, small))
    every = list(candidates(1, 720, 1280, budget_of("none", Fraction(30))))
    assert 0 < len(cheap) < len(every)
    assert all(c.price * 0.6 <= small.macs for c in cheap)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("none", 5.0, None), "--budget-class none has no time of a frame"),
        (("none", None, "nosuch"), "leave out --budget-ms and --device-table"),
        (("npu", None, "mid-range"), "mid-range is no npu; give --budget-class cpu"),
    ],
)
def test_budgets_that_contradict_themselves_are_refused(asked, says):
    kind, ms, table = asked
    with pytest.raises(UsageError, match=says):
        budget_of(kind, Fraction(30), ms, table)


def attempt(**shown: float) -> Attempt:
    point = Point(1000, {"psnr_y": shown.get("psnr_y", 40.0)}, {"kbps": shown.get("kbps", 500.0)})
    return Attempt(Path("x"), {}, 1.0, {}, SimpleNamespace(shown=point))


@pytest.mark.parametrize(
    ("goal", "near", "far"),
    [
        (Goal("psnr_y", value=48.0), {"psnr_y": 47.8}, {"psnr_y": 45.1}),
        (Goal("psnr_y", kbps=500.0), {"kbps": 530.0}, {"kbps": 700.0}),
    ],
)
def test_a_target_that_the_film_misses_is_told_or_refused(goal, near, far):
    rounds = Rounds(SimpleNamespace(goal=goal), None, None)
    (metric, value), asked = *near.items(), goal.value or goal.kbps
    assert rounds.missed(attempt(**{metric: asked})) is None
    said = rounds.missed(attempt(**near))
    assert f"target of {asked:g}" in said and f"the nearest is {value:.2f}" in said
    with pytest.raises(GoalError, match="the nearest is"):
        rounds.missed(attempt(**far))
    alike = Rounds(SimpleNamespace(goal=Goal(like_crf=23)), None, None)
    assert alike.missed(attempt(**far)) is None
