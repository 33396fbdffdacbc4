"""The search's own decisions, with trials that say what a test wants them to say."""

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.same_bytes import write_film
from chunking.probe import probe
from sr.progress import Progress
from sr.rate import search as search_module
from sr.rate.budget import Budget
from sr.rate.goal import Goal
from sr.rate.sample import Coding, StreamShelf, take_sample
from sr.rate.search import MOST_AGAIN, Search
from sr.rate.trial import Training, Trial


def smooth_pictures() -> list[np.ndarray]:
    """Six of a drifting cloud, which half the pixels show as well."""
    noise = np.random.default_rng(5).uniform(0, 255, (120, 160, 3))
    cloud = 128 + 5 * (cv2.GaussianBlur(noise, (0, 0), 2.0) - 127.5)
    whole = np.clip(cloud, 0, 255).astype(np.uint8)
    return [whole[2 * i : 2 * i + 96, 3 * i : 3 * i + 128].copy() for i in range(6)]


@pytest.fixture
def shelf(tmp_path) -> StreamShelf:
    film = write_film(tmp_path / "film.mp4", smooth_pictures())
    # Of a film so long that the bytes of weights are little.
    sample = replace(take_sample(film, probe(film), None, 4.0), film_frames=60_000)
    return StreamShelf(sample, Coding("h264", 4.0), Path(tmp_path), ("psnr_y", "psnr_rgb"))


def run(shelf, monkeypatch, gain_of, lr=None) -> tuple[dict, list[Trial]]:
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
        goal, budget = Goal("psnr_y", like_crf=30.0), Budget(None, math.inf)
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
