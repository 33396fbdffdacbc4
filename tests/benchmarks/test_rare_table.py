"""The table `rare`: which patches are rare, how controls draw them, the worst group's drop."""

import numpy as np
import pytest

from benchmarks.shrink import table
from benchmarks.shrinking import rare
from benchmarks.shrinking.clips import CROP_PX, SCALE
from benchmarks.shrinking.rare import _CONTROLS, ARMS, CLAIMS, RareClip, finish, make
from chunking.input_error import InputError
from chunking.lr import downscale
from sr.training.data import FramePair

FRAMES, RED = 36, 12  # of 8 patches each: 4 % are red


def frame(number: int) -> FramePair:
    noise = np.random.default_rng(number).normal(120, 9, (*CROP_PX, 3))
    if number < RED:
        noise[: SCALE * 54, : SCALE * 48] += (80, -80, -80)
    hr = noise.clip(0, 255).astype(np.uint8)
    return FramePair(downscale(hr, SCALE), hr)


@pytest.fixture(scope="module")
def clip() -> RareClip:
    return RareClip("made", tuple(frame(i) for i in range(FRAMES)))


def test_what_looks_like_little_else_is_a_group(clip):
    red = np.zeros((FRAMES, 2, 4), bool)
    red[:RED, 0, 0] = True
    (group,) = np.unique(clip.groups[red])
    assert group > 0 and not (clip.groups[~red] == group).any()
    sizes = np.bincount(clip.groups.ravel())[1:]
    assert len(sizes) <= 3 and all(8 <= size <= 0.05 * clip.groups.size for size in sizes)
    assert np.array_equal(RareClip("again", clip.pairs).groups, clip.groups)


def test_a_clip_of_too_few_patches_is_refused(clip):
    with pytest.raises(InputError, match=r"few: no content of 2 to 5 % .* give more frames"):
        _ = RareClip("few", clip.pairs[:4]).groups


def test_controls_that_know_groups_draw_them_alike(clip, monkeypatch):
    drawn = {}

    def watched(arm, clip, seed, steps, store, sampler):
        drawn[arm.about] = np.bincount(clip.groups.ravel(), sampler.shares.ravel())

    monkeypatch.setattr(rare, "train_arm", watched)
    monkeypatch.setattr(rare, "judge", lambda network, clip, sampler: {})
    for name in ("group-blind", "group-blind, evenly"):
        make(clip, name, 0, 10, None)
        (shares,) = drawn.values()
        drawn.clear()
        spread = shares.max() / shares.min()
        assert spread > 4 if name == "group-blind" else spread == pytest.approx(1)


def test_the_worst_drop_is_that_of_the_group_that_lost_most():
    rows = [
        {"arm": arm, "clip": "a", "seed": 0, "group_db": db}
        for arm, db in (("dense", [40.0, 30.0]), ("fair", [39.9, 28.0]))
    ]
    finish(rows)
    assert [row["worst_drop_db"] for row in rows] == pytest.approx([0, 2])


def test_claims_name_arms_that_there_are():
    assert {arm for claim in CLAIMS for arm in claim.needs} <= set(ARMS)
    assert {*_CONTROLS} < set(ARMS) and table("rare") is rare
