"""The table `sampling`: what crops follow, and that only that differs between arms."""

import numpy as np
import pytest

from benchmarks.shrink import table
from benchmarks.shrinking import sampling
from benchmarks.shrinking.clips import SCALE, Clip
from benchmarks.shrinking.sampling import _ARMS, ARMS, CLAIMS, DEFAULT, make
from chunking.lr import downscale
from sr.training.data import FramePair


@pytest.fixture(scope="module")
def clip() -> Clip:
    """Two frames, flat on the left, stripes on the right, whose last cells are not whole."""
    rng = np.random.default_rng(0)
    hr = np.full((4 * 110, 4 * 97, 3), 120, np.uint8)
    hr[:, 200:] = np.where(np.arange(188) // 6 % 2, 40, 200)[None, :, None]
    frames = [np.clip(hr + rng.normal(0, 1, hr.shape), 0, 255).astype(np.uint8) for _ in range(2)]
    return Clip("half", tuple(FramePair(downscale(f, SCALE), f) for f in frames))


@pytest.mark.parametrize("name", ARMS)
def test_every_cell_has_a_share_and_texture_no_smaller_one(clip, name):
    shares = _ARMS[name].shares(clip)
    assert shares.shape == clip.difficulty.cell_mse.shape and (shares > 0).all()
    flat, textured = shares[:, :, :7].mean(), shares[:, :, 9:].mean()
    assert textured == pytest.approx(flat) if name == "anywhere" else textured > 2 * flat


def test_a_higher_power_follows_the_error_more(clip):
    spread = [
        np.ptp(np.log(_ARMS[name].shares(clip)))
        for name in ("anywhere", DEFAULT, "its 3/4 power", "the error")
    ]
    assert spread == pytest.approx(spread[3] * np.array([0, 0.5, 0.75, 1]))


def test_the_default_is_what_encode_draws(clip, monkeypatch):
    """Same shares, crops and order; only the shares are another arm's."""
    seen = []
    monkeypatch.setattr(sampling, "overfit", lambda network, sampler, plan: seen.append(sampler))
    monkeypatch.setattr(sampling, "judge", lambda network, clip, sampler: {"psnr_db": 0.0})
    for name in (DEFAULT, "the error"):
        make(clip, name, 3, 5, None)
    ours, other = seen
    assert np.allclose(ours.shares, np.sqrt(clip.difficulty.cell_mse))
    assert (ours.side_px, ours.batch, ours.cell_px, ours.seed) == (24, 8, (6, 6), 3)
    assert (other.side_px, other.batch, other.cell_px, other.seed) == (24, 8, (6, 6), 3)
    assert not np.allclose(ours.shares, other.shares)


def test_claims_name_arms_that_there_are():
    assert {arm for claim in CLAIMS for arm in claim.needs} <= set(ARMS)
    assert table("sampling") is sampling
