"""A network of the film that is there already, of another rung of its ladder."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.same_bytes import drifting_pictures, write_film
from chunking.probe import probe
from player.package.index import read_index
from player.package.layout import SR, weights_name
from player.package.verify import verify_package
from sr.encode.encode import encode
from sr.encode.options import EncodeOptions
from sr.encode.search_options import SearchOptions, network_file
from sr.progress import Progress
from sr.rate import search as search_module
from sr.rate.budget import Budget
from sr.rate.candidates import Given, given_candidates
from sr.rate.goal import Goal
from sr.rate.rungs import Rung
from sr.rate.sample import Coding, StreamShelf, take_sample
from sr.rate.search import Search
from sr.rate.trial import Training, Trial, try_ready

ALL = Budget(None, math.inf)


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return write_film(tmp_path_factory.mktemp("film") / "film.mp4", drifting_pictures(6, 96, 128))


@pytest.fixture(scope="module")
def above(film, tmp_path_factory) -> Path:
    """The package of the rung above, at scale 2."""
    out = tmp_path_factory.mktemp("ladder") / "800k"
    shape = {"widths": (8, 8, 8), "exits": (2, 3), "steps": 60, "threads": 1}
    options = EncodeOptions.of(film, out, scale=2, lr_codec="h264", lr_crf=24.0, **shape)
    with Progress() as progress:
        encode(options, progress)
    return out


@pytest.fixture
def given(above) -> Given:
    return Given("800k", network_file(above).read_bytes())


def test_it_is_a_candidate_of_its_scale_alone_and_costs_its_bytes(given):
    for scale, count in ((1, 0), (2, 1), (3, 0)):
        found = list(given_candidates(scale, 96, 128, ALL, [given]))
        assert len(found) == count
    [candidate] = given_candidates(2, 96, 128, ALL, [given])
    assert candidate.blob_bytes == len(given.blob) and candidate.stream_share == 0
    assert not list(given_candidates(2, 96, 128, Budget(None, math.inf), []))


def shelf_of(film: Path, folder: Path) -> StreamShelf:
    sample = replace(take_sample(film, probe(film), None, 4.0), film_frames=60_000)
    return StreamShelf(sample, Coding("h264", 4.0), folder, ("psnr_y", "psnr_rgb"))


def test_a_search_takes_it_where_it_is_worth_most(film, given, tmp_path, monkeypatch):
    def ready(candidate, stream, metric):
        return Trial(candidate, stream.rung, stream.crf, 0, 12.0 if candidate.given else -1.0)

    monkeypatch.setattr(search_module, "try_ready", ready)
    monkeypatch.setattr(
        search_module, "run_trial", lambda c, s, *more: Trial(c, s.rung, s.crf, 1, 0.0)
    )
    monkeypatch.setattr(Search, "_can_reach", lambda self, rung, here: True)
    shelf, goal = shelf_of(film, tmp_path), Goal("psnr_y", like_crf=30.0)
    with Progress() as progress:
        search = Search(shelf, goal, ALL, Training(40, 4), progress, lr="bicubic", given=[given])
        found = search.run().to_json()
    assert (found["best"]["given"], found["best"]["scale"]) == ("800k", 2)
    assert found["best"]["shipped"] is None and not found["best"]["adapted"]


def test_a_trial_of_it_is_what_it_does_on_that_stream(film, given, tmp_path):
    [candidate] = given_candidates(2, 96, 128, ALL, [given])
    trial = try_ready(candidate, shelf_of(film, tmp_path).stream(Rung(2), 24.0), "psnr_y")
    assert trial.gain > 0.05 and trial.steps == 0


def test_an_encode_sends_it_as_it_is_and_trains_nothing(film, above, tmp_path):
    options = SearchOptions.of(film, tmp_path / "300k", lr_codec="h264", threads=1)
    options = replace(options, given=(above,))
    choice = {"scale": 2, "lr": "bicubic", "widths": [8, 8, 8], "exits": [2, 3], "units": 1,
              "shipped": None, "adapted": False, "given": "800k", "loss_per_bit": 1e-9,
              "most_macs": None}  # fmt: skip
    with Progress() as progress:
        report = encode(options.of_choice(tmp_path / "300k", choice, 30.0), progress)
    assert report["steps"] == 0 and report["weights_bytes"] == [network_file(above).stat().st_size]
    made = (tmp_path / "300k" / SR / weights_name(0)).read_bytes()
    assert made == network_file(above).read_bytes()
    assert verify_package(tmp_path / "300k").ok
    assert read_index(tmp_path / "300k").index.scale == 2
    # What decides the result is what the file holds.
    assert "given_sha256" in options.to_json() and "given" not in options.to_json()
