"""What the search decides on: portions of a film, their encodes, and a short training on them."""

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from benchmarks.same_bytes import drifting_pictures, write_film
from chunking.colour import Colour
from chunking.probe import probe
from chunking.writer import VideoWriter
from player.package.architecture import Architecture
from sr.rate.candidates import Candidate
from sr.rate.curve import Point
from sr.rate.rungs import HR, Rung, rungs
from sr.rate.sample import GOAL_ENCODES, Coding, StreamShelf, take_sample
from sr.rate.trial import (
    LARGE_EXPONENT,
    REST_A_DOUBLING,
    SMALL_EXPONENT,
    SMALL_WEIGHTS,
    Training,
    Trial,
    run_trial,
)
from sr.training.spread import SMALL_CROPS_FOR_ONE

METRICS = ("psnr_y", "psnr_rgb")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory) -> StreamShelf:
    folder = tmp_path_factory.mktemp("film")
    film = write_film(folder / "film.mp4", drifting_pictures(90, 64, 96))
    sample = take_sample(film, probe(film), None, 4.0)
    return StreamShelf(sample, Coding("h264", 4.0), folder, METRICS)


def candidate(width: int, depth: int, scale=1) -> Candidate:
    return Candidate(Architecture("chain", scale, (width,) * depth, (2, depth), 1), 1e9)


def test_a_film_of_less_than_a_segment_is_its_own_sample(tmp_path):
    film = write_film(tmp_path / "film.mp4", drifting_pictures(20, 64, 96))
    sample = take_sample(film, probe(film), None, 1.0)
    assert [frame.index for frame in sample.frames] == list(range(20)) and sample.factor == 1


def film_of_segments(folder: Path, hard: set[int], count: int) -> Path:
    """Segments of six frames each, 0.25 s: a still, or noise where it is hard."""
    rng = np.random.default_rng(2)
    still = drifting_pictures(1, 64, 96)[0]
    pictures = [
        rng.integers(0, 256, still.shape, np.uint8) if i // 6 in hard else still
        for i in range(6 * count)
    ]
    return write_film(folder / "film.mp4", pictures)


@pytest.mark.parametrize("hard", [{0, 1, 2, 3}, {1, 3, 5, 7}, {4, 5, 6, 7}])
def test_segments_stand_for_the_easy_and_the_hard_parts_alike(tmp_path, hard):
    film = film_of_segments(tmp_path, hard, 8)
    info = probe(film)
    sample = take_sample(film, info, None, 6 / float(info.frame_rate))
    easy_or_hard = [frame.index // 6 in hard for frame in sample.frames]
    assert sorted(easy_or_hard) == [False] * 6 + [True] * 6
    assert len(sample.frames) == 12 and sample.factor == 4


@pytest.mark.parametrize(("count", "portions"), [(2, 1), (3, 2), (14, 2), (15, 3)])
def test_the_longer_a_film_the_more_portions(tmp_path, count, portions):
    film = film_of_segments(tmp_path, set(range(0, count, 3)), count)
    info = probe(film)
    sample = take_sample(film, info, None, 6 / float(info.frame_rate))
    assert len(sample.frames) == 6 * portions and sample.film_frames == 6 * count


@pytest.mark.parametrize("stated", [24, 1000, 100_000])
def test_a_container_may_state_more_frames_than_it_has(tmp_path, stated):
    film = write_film(tmp_path / "film.mp4", drifting_pictures(24, 64, 96))
    sample = take_sample(film, replace(probe(film), frames_hint=stated), None, 0.1)
    assert sample.film_frames == 24
    as_it_is = take_sample(film, probe(film), None, 0.1)
    assert [f.index for f in sample.frames] == [f.index for f in as_it_is.frames] != []


def test_each_encode_is_made_once_and_more_crf_is_less_of_both(shelf):
    fine, coarse = shelf.point(HR, 24.0), shelf.point(HR, 34.0)
    assert shelf.point(HR, 24.0) is fine
    assert fine.bytes > coarse.bytes
    assert fine.quality["psnr_y"] > coarse.quality["psnr_y"]
    assert [p.made_by["crf"] for p in shelf.points(HR)] == [24.0, 34.0]


@pytest.mark.parametrize("wanted", [2.9, 3.1, 3.5, 6.0])
def test_a_goal_far_from_the_usual_crf_is_found(shelf, monkeypatch, wanted):
    """The bytes of small streams fall ever more slowly: few secants from crf 23 end too early."""

    def point(rung, crf) -> Point:
        return Point(round(1000 * math.exp(2.5 + 5 * math.exp(-crf / 18))), {}, {})

    monkeypatch.setattr(shelf, "point", point)

    def off(found: Point) -> float:
        return math.log(found.bytes / 1000) - wanted

    assert abs(off(point(HR, shelf.crf_for(HR, 23.0, off, 0.02, GOAL_ENCODES)))) < 0.02


def test_some_frames_show_what_all_of_them_do(shelf, monkeypatch):
    stream = shelf.stream(Rung(2), 24.0)
    some = stream.quality(METRICS)
    monkeypatch.setattr("sr.rate.sample._JUDGED", 10**6)
    every = stream.quality(METRICS)
    assert some != every
    assert some == pytest.approx(every, abs=0.1)


def test_what_a_trial_promises():
    trial = Trial(candidate(16, 4), HR, 30.0, 400, 0.5)
    assert trial.expected(trial.candidate, 400) == 0.5
    assert trial.expected(trial.candidate, 1600) == pytest.approx(0.5 * (1 + 2 * REST_A_DOUBLING))
    larger, smaller = candidate(32, 8), candidate(8, 3)
    assert smaller.weights < trial.candidate.weights < SMALL_WEIGHTS < larger.weights
    ratio = smaller.weights / trial.candidate.weights
    assert trial.expected(smaller, 400) == pytest.approx(0.5 * ratio**SMALL_EXPONENT)
    to_there = (SMALL_WEIGHTS / trial.candidate.weights) ** SMALL_EXPONENT
    from_there = (larger.weights / SMALL_WEIGHTS) ** LARGE_EXPONENT
    assert trial.expected(larger, 400) == pytest.approx(0.5 * to_there * from_there)
    harmful = Trial(candidate(16, 4), HR, 30.0, 400, -0.5)
    assert harmful.expected(larger, 9000) == 0.0
    assert trial.to_json().items() >= {"scale": 1, "steps": 400, "gain": 0.5}.items()


def test_a_trial_gains_on_frames_that_it_did_not_learn_from(shelf):
    stream = shelf.stream(HR, 34.0)
    seen: list[int] = []
    training = Training(steps=400, batch=1, loss="ycbcr")
    trial = run_trial(
        candidate(8, 3), stream, "psnr_y", training, lambda step, db: seen.append(step)
    )
    assert seen == list(range(1, 81))
    assert 0.0 < trial.gain < 20.0
    assert Training(steps=36_000, batch=4).trial_steps == 400


def test_the_larger_the_frames_the_more_crops_a_step():
    scales = sorted(SMALL_CROPS_FOR_ONE)
    assert set(scales) == {1, Fraction(3, 2), 2, 3, 4}
    crops = [SMALL_CROPS_FOR_ONE[s] for s in scales]
    assert crops == sorted(crops, reverse=True) and crops[-1] == 2


def test_a_film_lasts_as_long_as_it_does_with_its_pauses(tmp_path):
    film, colour = tmp_path / "film.mp4", Colour("bt709", False, "bt709", "bt709")
    times = [0, 1, 2, 3, 90, 91, 92, 93]
    with VideoWriter(film, (64, 96), Fraction(1, 30), colour) as writer:
        for picture, pts in zip(drifting_pictures(8, 64, 96), times, strict=True):
            writer.write(picture, pts)
    assert take_sample(film, probe(film), None, 4.0).seconds == pytest.approx(94 / 30, abs=0.01)


def test_the_rungs_are_hr_and_each_scale_once_a_kind():
    every = list(rungs())
    assert every.count(HR) == 1
    assert {r.scale for r in every} == {1, Fraction(3, 2), 2, 3, 4}
    assert len({r.name for r in every}) == len(every) == 1 + 2 * 4
    assert {r.lr for r in rungs("sharp") if r != HR} == {"sharp"}
    assert [r.name for r in rungs("bicubic")] == ["x1", "x1.5", "x2", "x3", "x4"]


def test_a_sharp_rung_is_another_stream_that_shows_more(shelf):
    soft, sharp = (shelf.point(Rung(2, kind), 20.0) for kind in ("bicubic", "sharp"))
    assert sharp.quality["psnr_y"] > soft.quality["psnr_y"] + 0.1
    assert sharp.made_by == {"scale": 2, "lr": "sharp", "crf": 20.0, "network": None}
    ceilings = [shelf.ceiling(Rung(2, kind))["psnr_y"] for kind in ("bicubic", "sharp")]
    assert ceilings[1] > ceilings[0] + 0.1
