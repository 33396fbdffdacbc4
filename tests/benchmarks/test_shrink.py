"""benchmarks.shrink: what claims are read from rows, groups' PSNR, arms that end as they say."""

import numpy as np
import pytest

from benchmarks.shrinking.arms import ARMS
from benchmarks.shrinking.claims import STAGES, claims_of, difference
from benchmarks.shrinking.clips import Clip
from benchmarks.shrinking.judge import group_psnr
from benchmarks.shrinking.stages import add_drops
from sr.scoring import FramePair


def row(arm: str, clip: str, psnr_db: float, **columns) -> dict:
    ratios = {"macs_ratio": 1.0, "time_ratio": 1.0}
    return {"arm": arm, "clip": clip, "seed": 0, "psnr_db": psnr_db, **ratios, **columns}


def test_a_difference_is_taken_within_each_clip_first():
    rows = [row("chex", "a", 30.2), row("chex", "b", 40.4)]
    rows += [row("uniform", "a", 30.0), row("uniform", "b", 40.0), row("uniform", "c", 10.0)]
    found = difference(rows, "chex", "uniform")
    assert found.mean == pytest.approx(0.3)
    assert found.deviation == pytest.approx(np.std([0.2, 0.4], ddof=1))


def test_a_claim_holds_or_does_not_and_is_left_out_without_its_arms():
    rows = [row("chex", "a", 30.2), row("uniform", "a", 30.0)]
    claim, *others = claims_of(rows, STAGES)
    assert [other["claim"].partition(":")[0] for other in others] == ["chex"]  # its time
    assert claim["holds"]
    assert claim["measured"]["difference_db"]["mean"] == pytest.approx(0.2)
    rows[0]["psnr_db"] = 30.1
    assert not claims_of(rows, STAGES)[0]["holds"]


def test_half_the_multiplications_must_be_felt():
    def holds(macs: float, time: float) -> bool:
        rows = [row("fair", "a", 30.0, macs_ratio=macs, time_ratio=time)]
        (claim,) = claims_of(rows, STAGES)
        return claim["holds"]

    assert holds(0.48, 0.59)
    assert not holds(0.48, 0.62)
    assert not holds(0.7, 0.55)


def test_claims_name_arms_that_there_are():
    assert {arm for claim in STAGES for arm in claim.needs} <= set(ARMS)


def test_drops_are_against_the_dense_network_of_the_same_clip_and_seed():
    rows = [row("dense", "a", 0, group_db=[30.0, 40.0]), row("fair", "a", 0, group_db=[29.5, 39.8])]
    add_drops(rows)
    assert rows[1]["group_drop_db"] == pytest.approx([0.5, 0.2])
    assert rows[1]["spread_db"] == pytest.approx(0.3)


def test_groups_psnr_is_from_the_squared_error_of_their_patches():
    rng = np.random.default_rng(0)
    hr = rng.integers(0, 256, (216, 384, 3), np.uint8)
    clip = Clip("noise", (FramePair(hr[::4, ::4], hr),) * 2)
    errors = np.where(clip.groups == 1, 4.0, 1.0) * clip.samples
    found = group_psnr(errors, clip)
    peak = 20 * np.log10(255)
    assert found["group_db"][0] == pytest.approx(peak)
    assert found["group_db"][1] == found["worst_group_db"] == pytest.approx(peak - 6.0206, abs=1e-3)
    share = float((clip.samples * (clip.groups == 1)).sum() / (2 * clip.samples.sum()))
    assert found["psnr_db"] == pytest.approx(peak - 10 * np.log10(1 + 3 * share))
