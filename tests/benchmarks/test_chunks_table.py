"""The table `chunks`: who serves a patch, whose steps are how many, which frames a clip has."""

import numpy as np
import pytest

from benchmarks.shrink import arms_of, table
from benchmarks.shrinking import chunks
from benchmarks.shrinking.chunks import _ARMS, ARMS, CLAIMS, step_shares
from benchmarks.shrinking.clips import Clip
from player.metrics import psnr_db
from player.package.paths import HARD
from sr.encode.methods import Difficulty
from sr.scoring import path_sse, scored_network
from sr.training.data import FramePair


@pytest.fixture(scope="module")
def clip() -> Clip:
    """Six frames of noise that is coarser from frame to frame."""
    rng = np.random.default_rng(0)
    frames = [np.kron(rng.integers(0, 256, (216 // n, 384 // n, 3)), np.ones((n, n, 1)))
              for n in (1, 2, 3, 4, 6, 8)]  # fmt: skip
    return Clip("noise", tuple(FramePair(f[::4, ::4].astype(np.uint8), f.astype(np.uint8))
                               for f in frames))  # fmt: skip


def with_errors(clip: Clip, fine_db: np.ndarray) -> Clip:
    """The same clip with other difficulties."""
    found = Clip(clip.name, clip.pairs)
    found.__dict__["difficulty"] = Difficulty(fine_db, fine_db, np.ones(1, np.float32))
    return found


def test_claims_name_arms_that_there_are():
    assert {arm for claim in CLAIMS for arm in claim.needs} <= set(ARMS)
    assert arms_of("chunks", None) == list(ARMS)
    assert table("chunks") is chunks


@pytest.mark.parametrize("name", ARMS)
def test_every_patch_has_a_network_and_every_network_patches(clip, name):
    arm = _ARMS[name]
    labels = arm.labels(clip, arm.chunks, 0)
    assert labels.shape == clip.difficulty.fine_db.shape
    assert np.array_equal(np.unique(labels), np.arange(arm.chunks))
    assert step_shares(arm, clip, labels).sum() == pytest.approx(1)


def test_chunks_of_time_are_stretches_and_random_ones_are_as_large_as_others(clip):
    time, random, ours = (
        _ARMS[f"{n} 4"].labels(clip, 4, 0) for n in ("time", "random", "difficulty")
    )
    assert (np.diff(time[:, 0, 0]) >= 0).all() and (time == time[:, :1, :1]).all()
    assert np.array_equal(np.bincount(random.ravel()), np.bincount(ours.ravel()))
    assert not np.array_equal(random, ours)
    assert not np.array_equal(random, _ARMS["random 4"].labels(clip, 4, 1))


def test_steps_by_error_are_the_share_of_the_squared_error(clip):
    shape = clip.difficulty.fine_db.shape
    labels = np.zeros(shape, int)
    labels[0] = 1
    graded = with_errors(clip, np.where(labels == 1, 20.0, 30.0))  # ten times the error
    arm = chunks.Arm("", lambda *_: labels, 2, by_error=True)
    assert step_shares(arm, graded, labels)[1] == pytest.approx(10 / (10 + shape[0] - 1))


def test_a_patch_is_judged_by_the_network_of_its_chunk(clip, monkeypatch, tmp_path):
    made, asked = [], []
    train = chunks.trained

    def noted(arch, clip, data, shares, steps, seed):
        asked.append((shares > 0, steps))
        made.append(train(arch, clip, data, shares, 1, seed + len(made)))
        return made[-1]

    monkeypatch.setattr(chunks, "trained", noted)
    row = chunks.make(clip, "time 2", 0, 101, tmp_path)
    assert [steps for _, steps in asked] == [50, 51]  # together as many as one network has
    errors = [np.stack([sse[HARD] for sse in path_sse(scored_network(b), clip.pairs, clip.grid)])
              for b in made]  # fmt: skip
    own = np.where(asked[0][0], errors[0], errors[1]).sum()
    assert row["psnr_db"] == pytest.approx(psnr_db(own / (clip.samples.sum() * len(clip.pairs))))
    assert row["bytes"] == sum(map(len, made))


def test_a_network_of_four_times_the_weights_has_a_quarter_of_the_steps(
    clip, monkeypatch, tmp_path
):
    steps = {}

    def none(arch, clip, data, shares, count, seed):
        steps[arch.widths] = count
        return train(arch, clip, data, shares, 1, seed)

    train = chunks.trained
    monkeypatch.setattr(chunks, "trained", none)
    macs = [chunks.make(clip, arm, 0, 1000, tmp_path)["macs"] for arm in ("one", "one, four times")]
    narrow, wide = steps[(32,) * 6], steps[(64,) * 6]
    assert narrow == 1000
    assert wide * macs[1] == pytest.approx(narrow * macs[0], rel=2e-3)
