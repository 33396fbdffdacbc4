"""What holds: beyond two standard errors of runs that are compared one by one, and nothing else."""

import json

import pytest

from benchmarks import claims
from benchmarks.harness import RESULTS
from benchmarks.verdict import (
    HOLDS,
    ONE_RUN,
    REVERSED,
    TIE,
    WORDS,
    all_of,
    at_least,
    at_most,
    comparison,
    differences,
    means_within,
    sample,
)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ([0.3, 0.2, 0.4], HOLDS),
        ([-0.3, -0.2, -0.4], REVERSED),
        ([0.3, -0.2, 0.1], TIE),
        ([1.0, 3.0], TIE),  # two standard errors exactly
        ([1.001, 3.0], HOLDS),
        ([5.0], ONE_RUN),
        ([-5.0], ONE_RUN),
        ([0.2, 0.2], HOLDS),  # runs that agree have no error
        ([-0.2, -0.2, -0.2], REVERSED),
        ([0.0, 0.0], TIE),
        ([0.1 + 0.2 - 0.3, 0.1 + 0.2 - 0.3], TIE),  # 5.6e-17: equal but for the last bit
    ],
)
def test_a_verdict_is_the_sign_beyond_two_standard_errors(values, word):
    assert at_least(values) == word
    assert at_most([-value for value in values]) == word


def test_a_bar_is_what_must_be_cleared():
    gains = [0.10, 0.11, 0.12]
    words = [at_least(gains, bar) for bar in (0.0, 0.1, 0.11, 0.15)]
    assert words == [HOLDS, TIE, TIE, REVERSED]
    assert at_most([0.58, 0.59], 0.6) == HOLDS and at_most([0.61, 0.62], 0.6) == REVERSED


def test_nothing_is_judged_without_a_run():
    with pytest.raises(ValueError, match="no runs"):
        at_least([])


def test_a_claim_of_several_parts_is_as_good_as_its_weakest():
    assert all_of(HOLDS, HOLDS) == HOLDS
    assert all_of(HOLDS, TIE) == TIE
    assert all_of(ONE_RUN, TIE) == ONE_RUN
    assert all_of(HOLDS, TIE, REVERSED) == REVERSED


def test_a_sample_tells_its_error_and_how_many_runs():
    assert sample([1.0, 3.0]) == {"mean": 2.0, "standard_error": 1.0, "runs": 2}
    assert sample([1.23456]) == {"mean": 1.235, "standard_error": None, "runs": 1}


def rows_of(**by_arm: tuple[float, ...]) -> list[dict]:
    return [
        {"arm": arm, "clip": f"clip {i}", "seed": i, "db": db}
        for arm, each in by_arm.items()
        for i, db in enumerate(each)
    ]


def test_arms_are_compared_run_by_run_so_that_clips_cancel_out():
    rows = rows_of(ours=(30.1, 40.1, 20.2), other=(30.0, 40.0, 20.0, 99.0))
    assert differences(rows, "ours", "other", "db") == pytest.approx([0.1, 0.1, 0.2])
    claim = comparison("ours is above", rows, ("ours", "other"), "db")
    assert claim["verdict"] == HOLDS  # though the clips lie 10 dB apart
    assert claim["measured"]["difference"]["runs"] == 3
    assert comparison("", rows[::-1], ("other", "ours"), "db")["verdict"] == REVERSED
    assert comparison("", rows, ("ours", "other"), "db", 0.15)["verdict"] == TIE
    alone = [row for row in rows if row["seed"] == 2]
    assert comparison("", alone, ("ours", "other"), "db")["verdict"] == ONE_RUN


def test_the_kept_results_say_what_their_rows_say():
    assert claims.main(["--check"]) == 0


def test_no_kept_result_says_holds_in_other_words():
    for path in RESULTS.glob("*.json"):
        result = json.loads(path.read_text("utf-8"))
        for each in (result, *result.get("entries", {}).values()):
            for claim in each.get("claims", ()):
                assert claim["verdict"] in WORDS and "holds" not in claim


def test_an_old_result_is_told_and_then_brought_up_to_date(tmp_path, monkeypatch, capsys):
    for name in ("shrink_teacher.json", "reproduce.json"):
        (tmp_path / name).write_text((RESULTS / name).read_text("utf-8"))
    teacher = tmp_path / "shrink_teacher.json"
    result = json.loads(teacher.read_text())
    result["claims"][0]["verdict"] = HOLDS
    teacher.write_text(json.dumps(result))
    monkeypatch.setattr(claims, "RESULTS", tmp_path)
    monkeypatch.setattr("benchmarks.shrink.RESULTS", tmp_path)
    assert claims.main(["--check"]) == 1
    assert capsys.readouterr().out == "shrink_teacher.json: old\n"
    assert claims.main([]) == 0 and claims.main(["--check"]) == 0
    assert json.loads(teacher.read_text())["claims"][0]["verdict"] == REVERSED


def test_seeds_of_a_clip_are_one_run_of_a_claim_over_clips():
    rows = [
        {"clip": clip, "seed": seed, "arm": arm, "db": base + (gain + 0.01 * seed) * (arm == "a")}
        for clip, base, gain in (("x", 30.0, 0.4), ("y", 40.0, 0.1))
        for seed in range(3)
        for arm in ("a", "b")
    ]
    by_clip = differences(rows, "a", "b", "db", ("clip", "seed"))
    assert by_clip == pytest.approx([0.41, 0.11])
    # 0.26 ± 0.15: of six runs it would hold.
    assert at_least(by_clip) == "tie" and at_least([0.4, 0.41, 0.42, 0.1, 0.11, 0.12]) == "holds"
    assert means_within(rows, "b", "db") == [30.0, 40.0]
    assert len(differences([r for r in rows if r["clip"] == "x"], "a", "b", "db")) == 3
