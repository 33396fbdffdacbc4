"""The search's own decisions, with trials that say what a test wants them to say."""

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.same_bytes import write_film
from chunking.probe import probe
from player.package.architecture import Architecture
from sr.progress import Progress
from sr.rate import search as search_module
from sr.rate.budget import Budget
from sr.rate.candidates import Candidate
from sr.rate.choice import Choice
from sr.rate.goal import Goal, GoalError
from sr.rate.promises import Promises
from sr.rate.rungs import HR, Rung, rungs
from sr.rate.sample import Coding, StreamShelf, take_sample
from sr.rate.search import MOST_AGAIN, Search
from sr.rate.trial import Training, Trial


def smooth_pictures() -> list[np.ndarray]:
    """Six of a drifting cloud, which half the pixels show as well."""
    noise = np.random.default_rng(5).uniform(0, 255, (120, 160, 3))
    cloud = 128 + 5 * (cv2.GaussianBlur(noise, (0, 0), 2.0) - 127.5)
    whole = np.clip(cloud, 0, 255).astype(np.uint8)
    return [whole[2 * i : 2 * i + 96, 3 * i : 3 * i + 128].copy() for i in range(6)]


def shelf_of(folder: Path, film_frames: int) -> StreamShelf:
    film = write_film(folder / "film.mp4", smooth_pictures())
    sample = replace(take_sample(film, probe(film), None, 4.0), film_frames=film_frames)
    return StreamShelf(sample, Coding("h264", 4.0), folder, ("psnr_y", "psnr_rgb"))


@pytest.fixture
def shelf(tmp_path) -> StreamShelf:
    """Of a film so long that the bytes of weights are little."""
    return shelf_of(tmp_path, 60_000)


def small_chain(scale: int) -> Architecture:
    return Architecture("chain", scale, (8, 8, 8), (2, 3), 1)


LIKE_CRF_30 = Goal("psnr_y", like_crf=30.0)


def run(shelf, monkeypatch, gain_of, lr=None, goal=LIKE_CRF_30) -> tuple[dict, list[Trial]]:
    """A search whose own networks gain so much by scale and crf; and its trials, in order."""
    held: list[Trial] = []

    def trial(candidate, stream, metric, training, on_step):
        gain = gain_of(candidate.scale, stream.crf)
        held.append(Trial(candidate, stream.rung, stream.crf, training.trial_steps, gain))
        return held[-1]

    monkeypatch.setattr(search_module, "run_trial", trial)
    monkeypatch.setattr(search_module, "shipped_candidates", lambda *asked: ())
    monkeypatch.setattr(Search, "_can_reach", lambda self, rung, here: True)
    with Progress() as progress:
        budget = Budget(None, math.inf)
        search = Search(shelf, goal, budget, Training(2000, 4), progress, lr=lr)
        return search.run().to_json(), held


def test_a_promise_from_afar_is_tried_again_where_it_lies(shelf, monkeypatch):
    """On coarse streams a network gains less: what a fine one promised does not hold there."""
    steep = lambda scale, crf: max(0.0, 0.2 * (50 - crf)) if scale == 2 else 0.0  # noqa: E731
    found, held = run(shelf, monkeypatch, steep, "bicubic")
    own = [t for t in held if t.candidate.scale == 2]
    assert found["best"]["scale"] == 2 and 1 < len(own) <= 1 + MOST_AGAIN
    crf = found["best"]["crf"]
    assert abs(own[-1].crf - crf) < abs(own[0].crf - crf)
    assert [t["gain"] for t in found["trials"]].count(round(own[-1].gain, 4)) == 1


def test_a_plain_choice_was_encoded_where_it_lies(shelf, monkeypatch):
    found, _ = run(shelf, monkeypatch, lambda scale, crf: 0.0)
    plain = found["plain"]
    assert plain["scale"] > 1
    made = [
        p["crf"] for p in found["points"] if (p["scale"], p["lr"]) == (plain["scale"], plain["lr"])
    ]
    assert min(abs(crf - plain["crf"]) for crf in made) <= 0.5


def test_a_promise_from_near_is_taken(shelf, monkeypatch):
    near = lambda scale, crf: 1.4 if scale == 2 else 0.0  # noqa: E731
    found, held = run(shelf, monkeypatch, near, "bicubic")
    own = [t for t in held if t.candidate.scale == 2]
    assert found["best"]["scale"] == 2 and len(own) == 1
    assert 0.2 < abs(own[0].crf - found["best"]["crf"]) <= 2.0


@pytest.mark.parametrize(
    ("lr", "kinds"), [("bicubic", {"bicubic"}), ("sharp", {"sharp", "bicubic"})]
)
def test_one_kind_of_downscaling_may_be_asked_for(shelf, monkeypatch, lr, kinds):
    """HR is made by none, and counts as bicubic."""
    found, _ = run(shelf, monkeypatch, lambda scale, crf: 1.0, lr)
    tried = {(p["scale"], p["lr"]) for p in found["points"]}
    assert {kind for _, kind in tried} == kinds
    assert {kind for scale, kind in tried if scale > 1} == {lr}


def test_at_first_sharp_is_tried_at_two_scales_alone(shelf, monkeypatch):
    found, _ = run(shelf, monkeypatch, lambda scale, crf: 1.0)
    sharp = {p["scale"] for p in found["points"] if p["lr"] == "sharp"}
    assert 1 <= len(sharp) <= 2


def test_a_sharp_stream_takes_no_trial_from_another_scale(shelf, monkeypatch):
    """Of drone_coast at crf 28 two of scale 1.5 had left none for the network that was best."""
    monkeypatch.setattr(search_module, "MOST_AGAIN", 0)
    monkeypatch.setattr(search_module, "LEAST_WORTH", 0.0)  # all are worth a trial
    tried = []
    for lr in ("bicubic", None):
        _, held = run(shelf, monkeypatch, lambda scale, crf: 1.0, lr)
        tried.append({(t.rung.scale, t.candidate.arch.units) for t in held})
    assert len(tried[0]) == search_module.MOST_TRIALS
    assert tried[1] == tried[0] and "sharp" in {t.rung.lr for t in held}


def test_what_cannot_win_gets_no_trial(shelf, monkeypatch):
    """Of larger scales more is hoped than of 2, until what ships there shows how little."""
    some = lambda scale, crf: 0.3 if scale == 2 else 0.0  # noqa: E731
    before, held = run(shelf, monkeypatch, some, "bicubic")
    assert {t.rung.scale for t in held} >= {2, 3}
    poor = [Trial(Candidate(small_chain(n), 1.0, "x"), Rung(n), 30.0, 0, 0.001) for n in (3, 4)]
    monkeypatch.setattr(Search, "_try_ready", lambda self, judge, climbed: poor)
    monkeypatch.setattr(Search, "_try_adapted", lambda self, judge, shipped, plain: {})
    after, held = run(shelf, monkeypatch, some, "bicubic")
    assert not {t.rung.scale for t in held} & {3, 4}
    assert after["best"]["scale"] == before["best"]["scale"] == 2


def test_of_one_rung_the_smallest_units_are_tried_first(shelf, monkeypatch):
    monkeypatch.setattr(search_module, "LEAST_WORTH", 0.0)  # all are worth a trial
    monkeypatch.setattr(search_module, "MOST_TRIALS", 9)
    _, held = run(shelf, monkeypatch, lambda scale, crf: 1.0, "bicubic")
    assert [t.candidate.arch.units for t in held if t.rung == HR] == [1, 2]


def kbps_of(shelf, size_bytes: float) -> float:
    return size_bytes / 125 / shelf.sample.seconds


def test_bytes_below_all_that_hr_takes_are_met_by_a_smaller_stream(shelf, monkeypatch):
    """HR at the codec's last crf took more, and 80 kbps of flower_540p were refused."""
    least = {rung.scale: shelf.point(rung, 51.0).bytes for rung in rungs("bicubic")}
    wanted = (0.5 * least[1] + 0.5 * least[4]) / 1.1
    assert least[1] > 1.1 * wanted > least[4]
    goal = Goal("psnr_y", kbps=kbps_of(shelf, wanted))
    found, _ = run(shelf, monkeypatch, lambda scale, crf: 0.0, goal=goal)
    assert found["plain"]["scale"] > 1
    assert found["plain"]["expected_bytes"] == pytest.approx(wanted, rel=0.1)


def test_bytes_below_all_streams_say_the_least_there_is(shelf, monkeypatch):
    goal = Goal("psnr_y", kbps=kbps_of(shelf, shelf.point(Rung(4), 51.0).bytes) / 1.2)
    with pytest.raises(GoalError, match=r"kbps, at --scale 4 --lr-crf 51$"):
        run(shelf, monkeypatch, lambda scale, crf: 0.0, goal=goal)


@pytest.mark.parametrize(("film_frames", "is_small"), [(6, True), (60_000, False)])
def test_a_small_plain_choice_is_the_best_of_those_around_it(
    tmp_path, monkeypatch, film_frames, is_small
):
    """Codecs stray from their own curve by some percent, as much as an index costs."""
    judges: list[tuple[Promises, Choice]] = []
    luckiest = Promises.luckiest

    def watched(self: Promises, plain: Choice) -> Choice:
        judges.append((self, plain))
        return luckiest(self, plain)

    monkeypatch.setattr(Promises, "luckiest", watched)
    shelf = shelf_of(tmp_path, film_frames)
    found, _ = run(shelf, monkeypatch, lambda scale, crf: 0.0)
    ((judge, plain),) = judges
    made = {p.made_by["crf"]: p for p in shelf.points(plain.rung)}
    around = [shelf.bounded(plain.crf) + off for off in (-0.5, -0.25, 0.0, 0.25, 0.5)]
    assert made.keys() >= {*around} if is_small else not made.keys() >= {*around}
    if not is_small:
        assert found["plain"] == plain.to_json()
        return
    worth = {crf: judge.at_hr.bytes_for(judge.value(made[crf])) / made[crf].bytes for crf in around}
    best = max(worth, key=worth.__getitem__)
    assert worth[best] > min(worth.values()) and found["plain"]["crf"] == best
    assert found["plain"]["expected_bytes"] == made[best].bytes
    assert found["plain"]["expected_quality"] == round(judge.value(made[best]), 3)
