"""Networks that ship, adapted to the film, in the search: tried, weighed, made."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.same_bytes import drifting_pictures, write_film
from chunking.probe import probe
from sr.encode.search_options import SearchOptions
from sr.progress import Progress
from sr.rate import search as search_module
from sr.rate.budget import Budget
from sr.rate.candidates import ADAPTED_SHARE, Candidate, shipped_candidates
from sr.rate.goal import Goal
from sr.rate.rungs import Rung
from sr.rate.sample import Coding, StreamShelf, take_sample
from sr.rate.search import Search
from sr.rate.trial import Training, Trial, try_adapted

ALL = Budget(None, math.inf)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory) -> StreamShelf:
    folder = tmp_path_factory.mktemp("shelf")
    film = write_film(folder / "film.mp4", drifting_pictures(6, 96, 128))
    # Of a film so long that some hundred bytes are little.
    sample = replace(take_sample(film, probe(film), None, 4.0), film_frames=60_000)
    return StreamShelf(sample, Coding("h264", 4.0), Path(folder), ("psnr_y", "psnr_rgb"))


def adapted_candidate(scale) -> Candidate:
    ships = next(iter(shipped_candidates(Rung(scale), "h264", 96, 128, ALL)))
    return Candidate(ships.arch, ships.price, ships.shipped, adapted=True)


def test_it_costs_some_bytes():
    candidate = adapted_candidate(2)
    assert candidate.stream_share == ADAPTED_SHARE > 0 == candidate.blob_bytes
    ships = replace(candidate, adapted=False)
    assert ships.blob_bytes == ships.stream_share == 0


def test_a_trial_trains_and_knows_what_the_network_gains_as_it_ships(shelf):
    candidate, stream = adapted_candidate(2), shelf.stream(Rung(2), 24.0)
    seen: list[int] = []
    training = Training(300, 1)
    trial = try_adapted(candidate, stream, "psnr_rgb", training, lambda done, db: seen.append(done))
    assert trial.steps == training.trial_steps == len(seen) == 60
    assert trial.gain > trial.before
    assert 31 / stream.bytes < trial.share == trial.weighed(60).stream_share
    assert trial.weighed(60).stream_share < trial.weighed(120).stream_share
    assert trial.to_json()["adapted"] is True


def test_what_a_longer_training_brings_is_of_the_adapting_alone():
    candidate = adapted_candidate(4)
    tried = Trial(candidate, Rung(2), 24.0, 100, gain=1.5, before=1.2)
    assert tried.expected(candidate, 100) == pytest.approx(1.5)
    assert 1.5 < tried.expected(candidate, 800) < 1.2 + 2 * 0.3
    worse = Trial(candidate, Rung(2), 24.0, 100, gain=1.0, before=1.2)
    assert worse.expected(candidate, 800) == 1.2  # changes that harm are not made


def gains(monkeypatch, as_it_ships: dict[float, float], adapted: float) -> list[Candidate]:
    """Let trials find so much; returns what is tried adapted."""
    tried: list[Candidate] = []

    def shipped(candidate, stream, metric):
        gain = as_it_ships.get(float(candidate.scale), -1.0)
        return Trial(
            candidate, stream.rung, stream.crf, 0, gain - ("fine" in (candidate.shipped or ""))
        )

    def adapt(candidate, stream, metric, training, on_step):
        tried.append(candidate)
        gain = as_it_ships[float(candidate.scale)]
        return Trial(candidate, stream.rung, stream.crf, training.trial_steps, gain + adapted, gain)

    monkeypatch.setattr(search_module, "MOST_AGAIN", 0)
    monkeypatch.setattr(search_module, "try_ready", shipped)
    monkeypatch.setattr(search_module, "try_adapted", adapt)
    monkeypatch.setattr(Search, "_can_reach", lambda self, scale, here: True)
    monkeypatch.setattr(
        search_module, "run_trial", lambda c, s, *more: Trial(c, s.rung, s.crf, 1, 0.0)
    )
    return tried


def run(shelf) -> dict:
    with Progress() as progress:
        goal = Goal("psnr_y", like_crf=30.0)
        return Search(shelf, goal, ALL, Training(40, 4), progress).run().to_json()


def test_the_best_of_each_scale_is_tried_and_two_at_most(shelf, monkeypatch):
    tried = gains(monkeypatch, {2.0: 12.0, 3.0: 12.0, 4.0: 12.0}, 0.5)
    found = run(shelf)
    assert len(tried) <= 2 and all(c.adapted for c in tried)
    assert all("coarse" in c.shipped for c in tried)
    named = [c for c in found["considered"] if c["adapted"]]
    assert len(named) == len(tried) > 0
    assert {c["shipped"] for c in named} == {c.shipped for c in tried}


@pytest.mark.parametrize("more", [3.0, 0.0])
def test_it_is_chosen_where_it_gains_more_than_its_bytes(shelf, monkeypatch, more):
    gains(monkeypatch, {2.0: 12.0}, more)
    chosen = run(shelf)["best"]
    assert chosen["shipped"] and chosen["adapted"] is (more > 0)


def test_what_was_chosen_is_made_and_goes_on_in_the_next_round(tmp_path):
    options = SearchOptions.of(Path("f.mp4"), tmp_path, lr_codec="h264", steps=90)
    choice = {"scale": 2, "widths": [8], "exits": [1], "shipped": "x2-coarse", "adapted": True,
              "loss_per_bit": 1e-9, "most_macs": None, "units": 1}  # fmt: skip
    training = options.of_choice(tmp_path, choice, 24.0).training.retouched(tmp_path / "blob")
    assert (training.shipped, training.adapt, training.steps) == ("x2-coarse", True, 30)
    assert training.rate_weight == 1e-9 and training.warm_from == tmp_path / "blob"
    assert training.loss == options.training.loss
    assert "adapt" not in options.to_json()
