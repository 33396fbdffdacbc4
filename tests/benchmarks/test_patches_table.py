"""The table `patches`: time to a PSNR is read between lengths, claims name arms that there are."""

import numpy as np
import pytest

from benchmarks.shrink import TABLES, arms_of, table
from benchmarks.shrinking import patches
from benchmarks.shrinking.clips import Clip
from benchmarks.shrinking.patches import (
    ANYWHERE,
    FACTORS,
    REFERENCE,
    SETTINGS,
    SMALL,
    sooner,
    time_to_reference,
    trained_on,
)
from sr.training.data import FramePair


def rows_of(name: str, at_one: float, clip: str = "a") -> list[dict]:
    """An arm whose steps cost half and whose PSNR rises by 1 dB each time the work doubles."""
    return [
        {
            "arm": f"{name}, {factor:g}x",
            "clip": clip,
            "seed": 0,
            "work": factor / 2,
            "psnr_db": at_one + np.log2(factor),
        }
        for factor in FACTORS
    ]


def reference(psnr_db: float, clip: str = "a") -> dict:
    return {"arm": REFERENCE, "clip": clip, "seed": 0, "work": 1.0, "psnr_db": psnr_db}


def test_the_time_to_a_psnr_is_read_between_two_lengths():
    rows = [reference(30.0), *rows_of(SMALL, 30.0)]
    wanted = 0.5 * 2**-patches.ALLOWED_DB  # 0.03 dB early
    assert time_to_reference(rows, SMALL)["a", 0] == pytest.approx(wanted, rel=0.01)


def test_a_psnr_that_is_never_reached_counts_as_the_longest_run():
    rows = [reference(40.0), *rows_of(SMALL, 30.0)]
    assert time_to_reference(rows, SMALL)["a", 0] == pytest.approx(FACTORS[-1] / 2)


def test_sooner_needs_both_the_time_and_the_control():
    def judged(at_least: float, fast: float, slow: float) -> tuple[str, dict]:
        rows = [reference(at_least, clip) for clip in "ab"]
        for name, at_one in ((SMALL, fast), (ANYWHERE, slow)):
            rows += [row for clip in "ab" for row in rows_of(name, at_one, clip)]
        return sooner(SMALL, ANYWHERE).judge(rows)

    verdict, measured = judged(30.0, 30.0, 29.9)
    assert verdict == "holds"
    assert measured["work"]["mean"] < measured["control"]["mean"] < 0.7
    assert judged(30.0, 29.9, 29.9)[0] == "tie"  # in time, and no sooner than the control
    assert judged(30.9, 30.0, 29.9)[0] == "tie"  # never there: as late as the longest run


@pytest.mark.parametrize("name", TABLES)
def test_claims_and_references_name_arms_that_there_are(name):
    module = table(name)
    assert {arm for claim in module.CLAIMS for arm in claim.needs} <= set(module.ARMS)
    first = next(iter(module.ARMS))
    assert first in arms_of(name, [first])
    assert set(arms_of(name, None)) == set(module.ARMS)


@pytest.fixture(scope="module")
def clip() -> Clip:
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(3):
        hr = rng.integers(0, 256, (216, 384, 3), np.uint8)
        pairs.append(FramePair(np.ascontiguousarray(hr[::4, ::4]), hr))
    return Clip("noise", tuple(pairs))


def test_halves_are_halves_and_what_is_held_out_is_not_served(clip):
    patches_in_all = clip.difficulty.fine_db.size
    for arm in ("ticket", "ticket, drawn", "random half"):
        sampler = SETTINGS[arm].sampler(clip, 0, 10)
        assert trained_on(sampler, clip).sum() == patches_in_all // 2
    held = SETTINGS["forgetting"].sampler(clip, 0, 10)
    assert trained_on(held, clip).sum() == patches_in_all - round(0.2 * patches_in_all)
    assert trained_on(SETTINGS[f"{SMALL}, 1x"].sampler(clip, 0, 10), clip).all()


def test_the_random_controls_draw_as_many_crops_of_the_same_size(clip):
    for own, control in (
        (f"{SMALL}, 1x", f"{ANYWHERE}, 1x"),
        (patches.CELLS, patches.CELLS_CONTROL),
    ):
        first, second = (SETTINGS[arm].sampler(clip, 0, 10) for arm in (own, control))
        assert (first.batch, first.side_px) == (second.batch, second.side_px)
        assert SETTINGS[own].factor == SETTINGS[control].factor
