"""The teacher's table: every arm makes a row on a clip made here, and repeats."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.reproduction.vit.teacher import TeacherShape
from benchmarks.shrinking import teacher
from benchmarks.shrinking.claims import claims_of
from benchmarks.shrinking.clips import SCALE, Clip
from chunking.lr import downscale
from sr.training.data import FramePair


@pytest.fixture
def clip() -> Clip:
    y, x = np.mgrid[:208, :256]
    edges = [np.sin(x / 5 + t) + np.sin(y / 7 - t) > 0 for t in (0, 1)]
    frames = [np.repeat(e[..., None] * np.uint8(200), 3, axis=2) for e in edges]
    return Clip("edges", tuple(FramePair(downscale(hr, SCALE), hr) for hr in frames))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    def shape(arm: teacher.TeacherArm) -> TeacherShape:
        return TeacherShape(SCALE, dim=16, depth=5, heads=2, token_px=arm.token_px)

    monkeypatch.setattr(teacher.TeacherArm, "shape", property(shape))
    monkeypatch.setattr(teacher, "ROUNDS", 2)
    monkeypatch.setattr(teacher, "TIMED_STEPS", 2)


def test_teachers_do_the_work_that_they_say(clip, tmp_path: Path):
    names = (teacher.DENSE, teacher.BOTH, teacher.AT_RANDOM)
    rows = {name: teacher.make(clip, name, 0, 4, tmp_path) for name in names}
    assert rows[teacher.DENSE]["step_ratio"] == 1
    for name in names[1:]:
        assert rows[name]["gflops"] < rows[teacher.DENSE]["gflops"]
    again = teacher.make(clip, teacher.BOTH, 0, 4, tmp_path)
    same = ("psnr_db", "gflops", "steps")
    assert [again[c] for c in same] == [rows[teacher.BOTH][c] for c in same]


@pytest.mark.slow
def test_deployed_networks_cost_what_they_take(clip, tmp_path: Path):
    rows = {
        name: teacher.make(clip, name, 0, 4, tmp_path)
        for name in (teacher.ALONE, teacher.DISTILLED, teacher.SAME_SECONDS)
    }
    assert rows[teacher.DISTILLED]["gflops"] > 2 * rows[teacher.ALONE]["gflops"]
    steps = rows[teacher.DISTILLED]["same_seconds_steps"]
    assert rows[teacher.SAME_SECONDS]["steps"] == steps >= 4
    kept = teacher.make(clip, teacher.DISTILLED, 0, 4, tmp_path)
    assert kept == rows[teacher.DISTILLED]


def test_claims_are_about_arms_and_columns_that_there_are():
    row = {"seed": 0, "psnr_db": 30.0, "gflops": 1.0, "step_ratio": 1.0}
    rows = [{**row, "arm": arm, "clip": clip} for arm in teacher.ARMS for clip in "ab"]
    found = claims_of(rows, teacher.CLAIMS)
    assert len(found) == len(teacher.CLAIMS)
    costs = [c["verdict"] for c in found if "time" in c["claim"] or "operations" in c["claim"]]
    assert set(costs) == {"reversed"}
