"""Bounds laid over a recorded search."""

import json

import pytest

from benchmarks.hopes import Replay, counted, recorded_searches
from player.package.paths import HARD
from sr.rate.budget import Budget, path_price
from sr.rate.candidates import candidates

HR_PX = 1280 * 720


def point(scale: int, crf: float, size: int, db: float) -> dict:
    made_by = {"scale": scale, "lr": "bicubic", "crf": crf, "network": None}
    return {**made_by, "bytes": size, "psnr_y": db, "psnr_rgb": db - 2}


def trial(scale: int, gain: float, shipped: str | None = None) -> dict:
    widths = [32] * 8 if shipped else [16] * 4
    record = {"scale": scale, "lr": "bicubic", "units": 1, "widths": widths, "crf": 24.0}
    steps = 0 if shipped else 400
    return record | {"shipped": shipped, "adapted": False, "steps": steps, "gain": gain}


@pytest.fixture
def reports(tmp_path):
    """One search: at scale 2 a network that ships hardly gains, at scale 1 one of its own does."""
    arch = next(c.arch for c in candidates(1, 1, 1, Budget(None, 0.0)) if c.arch.units == 1)
    priced = {"scale": 1, "units": 1, "widths": list(arch.widths),
              "gmacs_a_frame": round(HR_PX * path_price(arch, HARD) / 1e9, 2)}  # fmt: skip
    best = {**priced, "lr": "bicubic", "shipped": None, "most_macs": None}
    points = [point(1, 28.0, 400_000, 39.0), point(1, 32.0, 250_000, 37.0)]
    points += [point(2, 20.0, 500_000, 37.0), point(2, 24.0, 320_000, 36.0)]
    trials = [trial(2, 0.02), trial(1, 0.5), trial(2, 0.01, "x2-coarse")]
    search = {"best": best, "considered": [priced], "points": points, "trials": trials}
    goal = {"goal_metric": "psnr_y", "goal_like_crf": 28.0}
    folder = tmp_path / "packages" / "bee-0_h264-psnr_cpu_28"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps({"search": search, "goal": goal}))
    return tmp_path


def test_what_could_not_win_is_left_out_and_the_best_is_not(reports):
    [(name, recorded)] = recorded_searches(reports)
    assert recorded.codec == "h264" and recorded.hr_px == pytest.approx(HR_PX, rel=0.01)
    rows = list(Replay(recorded).run())
    assert {(row["scale"], row["tried"], row["best"]) for row in rows} == {
        (1, True, True),
        (2, False, False),
    }
    assert all(0 < row["of_bound"] < 1 for row in rows)
    row = counted("reporting", {name: rows})
    assert (row["trials"], row["left_out"], row["best_left_out"]) == (2, 1, 0)
