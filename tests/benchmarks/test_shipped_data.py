"""Tiles that the shipped networks learn from: LR and HR of one place, turned together."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from benchmarks import shipped_data
from benchmarks.rating.clips import read_shots
from benchmarks.same_bytes import drifting_pictures, write_film
from benchmarks.shipped_data import (
    CLIPS,
    SEQUENCE_FRAMES,
    TILE_PX,
    USED_FRAMES,
    coded_pairs,
    sequences,
    tile_set,
    tile_shares,
    tiles_of,
)
from chunking.lr import downscale
from player.package.scale import hr_px
from sr.rate.rungs import Rung
from sr.rate.sample import Coding
from sr.training.data import FramePair


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    write_film(folder / "cups_720p.mp4", drifting_pictures(26, 208, 224))
    write_film(folder / "bee_720p.mp4", drifting_pictures(26, 96, 96))  # a reported one
    return folder


@pytest.fixture(autouse=True)
def one_photograph(monkeypatch):
    monkeypatch.setattr(shipped_data, "PHOTOGRAPHS", ("chelsea",))


def test_no_reported_clip_is_learned_from():
    reported = {shot.file for shot in read_shots() if shot.part == "reporting"}
    assert not [file for file in reported if file.startswith(CLIPS)]


def test_sequences_are_of_the_clips_named_and_of_photographs(clips):
    found = [(len(frames), frames[0].rgb.shape[:2]) for frames, _ in sequences(clips)]
    assert [count for count, _ in found] == [SEQUENCE_FRAMES] * 4
    assert [shape for _, shape in found[:3]] == [(208, 224)] * 3
    (*_, (pan, info)) = sequences(clips)
    assert (info.height, info.width) == pan[0].rgb.shape[:2]
    assert all((a.rgb != b.rgb).any() for a, b in pairwise(pan))


@pytest.mark.parametrize("scale", [2, Fraction(3, 2)])
def test_a_tile_and_its_picture_are_of_one_place(scale):
    (picture,) = drifting_pictures(1, 210, 228)
    lr = downscale(picture, scale)
    tiles = list(tiles_of(FramePair(lr, picture), scale, 6))
    assert len(tiles) == (lr.shape[0] // TILE_PX) * (lr.shape[1] // TILE_PX)
    for low, high in tiles:
        assert low.shape == (TILE_PX + 12,) * 2 + (3,)
        assert high.shape == (hr_px(TILE_PX, scale),) * 2 + (3,)
        inner = low[6:-6, 6:-6].astype(int)
        again = downscale(high, scale)[:TILE_PX, :TILE_PX].astype(int)
        # At the borders of a tile its own downscaling has other neighbours.
        assert np.abs(inner - again)[4:-4, 4:-4].max() <= 1


@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_encodes_are_of_the_codecs_named(clips, monkeypatch, codec):
    asked = []
    monkeypatch.setattr(
        shipped_data, "Coding", lambda name, *rest: asked.append(name) or Coding(name, *rest)
    )
    next(coded_pairs(clips, Rung(2), (20.0, 30.0), (codec,)))
    assert asked == [codec]


def test_coded_tiles_are_turned_together(clips):
    pairs = list(coded_pairs(clips, Rung(2), (20.0, 30.0), ("h264",)))
    assert len(pairs) == 4 * len(USED_FRAMES)
    data = tile_set(iter(pairs), 2, 6, most=9)
    assert len(data.lr) == 9
    for lr, hr in zip(data.lr, data.hr, strict=True):
        low = downscale(hr, 2).astype(float)
        near = np.abs(lr[6:-6, 6:-6] - low).mean()
        turned = np.abs(np.rot90(lr[6:-6, 6:-6]) - low).mean()
        assert near < turned
    shares = tile_shares(data)
    assert shares.shape == (9, 8, 8) and (shares >= 0).all() and shares.sum() > 0
