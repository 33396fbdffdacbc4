"""Networks that lie with the player, in the search: what they gain is measured, not hoped for."""

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.same_bytes import drifting_pictures, write_film
from chunking.probe import probe
from player.bicubic import upscale_bicubic
from player.package.paths import BICUBIC, HARD
from player.package.shipped import is_for_sharp, shipped_blob, shipped_names, ships_for
from sr.encode.options import EncodeOptions
from sr.rate.budget import Budget, Device
from sr.rate.candidates import Candidate, candidates, shipped_candidates
from sr.rate.choice import best_of
from sr.rate.rungs import Rung
from sr.rate.sample import Coding, StreamShelf, take_sample
from sr.rate.trial import routed, try_ready
from sr.scoring import scored_network, upscale_paths
from sr.training.data import FramePair

ALL = Budget(None, math.inf)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory) -> StreamShelf:
    folder = tmp_path_factory.mktemp("shelf")
    film = write_film(folder / "film.mp4", drifting_pictures(6, 96, 128))
    sample = take_sample(film, probe(film), None, 4.0)
    return StreamShelf(sample, Coding("h264", 4.0), Path(folder), ("psnr_y", "psnr_rgb"))


def test_they_cost_no_weights_but_time():
    for scale in (1, 2, 3, 4):
        found = list(shipped_candidates(Rung(scale), "h264", 720, 1280, ALL))
        known = {n for n in shipped_names(scale) if ships_for(n, "h264") and not is_for_sharp(n)}
        assert {c.shipped for c in found} == known and known
        assert all(c.blob_bytes == 0 and c.price > 1e9 for c in found)
    assert all(c.shipped is None and c.blob_bytes > 0 for c in candidates(2, 720, 1280, ALL))
    slow = Budget(Device("slow", "cpu", 1.0), 1.0)
    assert list(shipped_candidates(Rung(2), "h264", 720, 1280, slow)) == []


@pytest.mark.parametrize("scale", [Fraction(3, 2), 2, 3, 4])
def test_a_sharp_stream_has_networks_of_its_own(scale):
    bicubic, sharp = (
        {c.shipped for c in shipped_candidates(Rung(scale, lr), "av1", 720, 1280, ALL)}
        for lr in ("bicubic", "sharp")
    )
    assert sharp and all("sharp" in name.split("-") for name in sharp)
    assert bicubic | sharp == set(shipped_names(scale)) and not bicubic & sharp


def test_a_filter_is_tried_on_streams_of_its_codec_alone():
    found = {
        codec: {c.shipped for c in shipped_candidates(Rung(1), codec, 720, 1280, ALL)}
        for codec in ("h264", "h265", "av1")
    }
    assert set().union(*found.values()) == set(shipped_names(1))
    assert all(codec in name.split("-") for codec, names in found.items() for name in names)


def test_a_trial_is_what_the_network_does(shelf):
    candidate = next(iter(shipped_candidates(Rung(4), "h264", 96, 128, ALL)))
    stream = shelf.stream(Rung(4), 24.0)
    trial = try_ready(candidate, stream, "psnr_rgb")
    network = scored_network(shipped_blob(candidate.shipped))
    errors = []
    for pair in stream.pairs(range(6)):
        made = dict(upscale_paths(network, pair.lr))
        wrong = {p: (frame.astype(float) - pair.hr) ** 2 for p, frame in made.items()}
        whole = np.zeros_like(wrong[BICUBIC])
        for y, x in product(range(0, 96, 48), range(0, 128, 48)):  # cells of 12 px of LR
            cells = [w[y : y + 48, x : x + 48] for w in wrong.values()]
            whole[y : y + 48, x : x + 48] = min(cells, key=np.sum)
        errors.append([whole.mean(), wrong[BICUBIC].mean(), wrong[HARD].mean()])
    ours, anchor, everywhere = np.mean(errors, axis=0)
    assert trial.gain == pytest.approx(10 * np.log10(anchor / ours), abs=1e-3)
    assert ours <= min(anchor, everywhere)
    assert trial.steps == 0


@dataclass(frozen=True)
class Promise:
    """What `best_of` looks at of a choice."""

    worth: float
    candidate: Candidate


@pytest.mark.parametrize(("scale", "name"), [(1, "x1-h264"), (2, "x2-fine"), (4, "x4-fine")])
def test_a_trial_has_the_cells_of_an_encode(shelf, monkeypatch, scale, name, tmp_path):
    asked = []
    monkeypatch.setattr(
        "sr.rate.trial.routed",
        lambda network, pairs, cell_px, frame_bits, share: (
            asked.append(cell_px) or [upscale_bicubic(pair.lr, scale) for pair in pairs]
        ),
    )
    arch = scored_network(shipped_blob(name)).arch
    try_ready(Candidate(arch, 1.0, name), shelf.stream(Rung(scale), 30.0), "psnr_y")
    options = EncodeOptions.of(tmp_path / "film.mp4", tmp_path / "p", scale=scale, shipped=name)
    assert set(asked) == {options.route_cell_px}


def test_cells_hold_the_path_that_is_best_over_all_frames(monkeypatch):
    """But where another is worth its bits; of one frame each cell has its own."""
    hr = np.full((48, 24, 3), 100, np.uint8)
    pairs = [FramePair(np.full_like(hr, i), hr) for i in range(2)]
    off = {0: [(1, 3), (1, 3)], 1: [(1, 3), (9, 2)]}  # by frame and path: of each half

    def paths(network, lr):
        for path in range(2):
            made = hr.copy()
            for half in range(2):
                made[24 * half : 24 * (half + 1)] += off[lr[0, 0, 0]][half][path]
            yield path, made

    monkeypatch.setattr("sr.rate.trial.upscale_paths", paths)
    network = SimpleNamespace(arch=SimpleNamespace(scale=1))

    def halves(frame_bits: float, *pairs: FramePair) -> list[list[int]]:
        shown = routed(network, pairs, 24, frame_bits)
        return [[int(frame[0, 0, 0]), int(frame[24, 0, 0])] for frame in shown]

    # 3 ** 2 + 2 ** 2 < 1 + 9 ** 2; of each sample 8 are missed in the first frame, or a few bits.
    assert halves(5.0, *pairs) == [[101, 103], [101, 102]]
    assert halves(1e6, *pairs) == [[101, 101], [101, 102]]
    assert halves(5.0, pairs[0]) == [[101, 101]] and halves(5.0, pairs[1]) == [[101, 102]]


def test_a_shipped_network_must_be_clearly_ahead():
    own = next(iter(candidates(4, 96, 128, ALL)))
    shipped = next(iter(shipped_candidates(Rung(4), "h264", 96, 128, ALL)))
    first, near, far = Promise(2.0, shipped), Promise(1.95, own), Promise(1.85, own)
    assert best_of([first, near, far]) is near
    assert best_of([first, far]) is first
    assert best_of([far]) is far
    adapted = Promise(2.0, replace(shipped, adapted=True))
    assert best_of([adapted, near]) is adapted
