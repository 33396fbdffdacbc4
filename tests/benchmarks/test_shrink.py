"""benchmarks.shrink: what claims are read from rows, groups' PSNR, arms that end as they say."""

import numpy as np
import pytest

from benchmarks.shrinking.arms import ARMS
from benchmarks.shrinking.claims import RUN, STAGES, claims_of, ratio
from benchmarks.shrinking.clips import Clip
from benchmarks.shrinking.judge import group_psnr
from benchmarks.shrinking.stages import add_drops
from benchmarks.verdict import differences
from sr.training.data import FramePair


def row(arm: str, clip: str, psnr_db: float, **columns) -> dict:
    ratios = {"macs_ratio": 1.0, "time_ratio": 1.0}
    return {"arm": arm, "clip": clip, "seed": 0, "psnr_db": psnr_db, **ratios, **columns}


def test_a_difference_is_taken_within_each_clip_first():
    rows = [row("chex", "a", 30.2), row("chex", "b", 40.4)]
    rows += [
        row("even widths", "a", 30.0),
        row("even widths", "b", 40.0),
        row("even widths", "c", 10.0),
    ]
    found = differences(rows, "chex", "even widths", "psnr_db", RUN)
    assert found == pytest.approx([0.2, 0.4])


def test_a_claim_holds_or_does_not_and_is_left_out_without_its_arms():
    rows = [row("chex", c, db) for c, db in (("a", 30.2), ("b", 40.5))]
    rows += [row("even widths", c, db) for c, db in (("a", 30.0), ("b", 40.0))]
    claim, *others = claims_of(rows, STAGES)
    assert [other["claim"].partition(":")[0] for other in others] == ["chex"]  # its time
    assert claim["verdict"] == "tie"  # 0.35 ± 0.15 above, and 0.15 is asked for
    difference = claim["measured"]["difference_db"]
    assert difference == {"mean": 0.35, "standard_error": 0.15, "runs": 2}
    rows[0]["psnr_db"] = 30.49
    assert claims_of(rows, STAGES)[0]["verdict"] == "holds"
    rows[0]["psnr_db"] = rows[1]["psnr_db"] = 30.1
    assert claims_of(rows[:1] + rows[2:], STAGES)[0]["verdict"] == "one run"


def test_half_the_multiplications_must_be_felt():
    def verdict(macs: float, time: float) -> str:
        rows = [row("fair", clip, 30.0, macs_ratio=macs, time_ratio=time) for clip in "ab"]
        (claim,) = claims_of(rows, STAGES)
        return claim["verdict"]

    assert verdict(0.48, 0.59) == "holds"
    assert verdict(0.48, 0.62) == "reversed"
    assert verdict(0.7, 0.55) == "reversed"


def test_a_ratio_is_of_sums_and_its_error_is_run_by_run():
    claim = ratio("chase", "dense", "bytes", 0.6, "bytes")
    rows = [row("dense", clip, 0.0, bytes=100.0) for clip in "abc"]
    rows += [row("chase", clip, 0.0, bytes=b) for clip, b in zip("abc", (40, 50, 60), strict=True)]
    verdict, measured = claim.judge(rows)
    error = np.std([0.4, 0.5, 0.6], ddof=1) / 3**0.5
    assert measured["ratio"]["mean"] == 0.5
    assert measured["ratio"]["standard_error"] == pytest.approx(error, rel=1e-3)
    assert verdict == "tie"  # 0.1 below the bar, 1.7 standard errors


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
