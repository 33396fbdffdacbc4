"""What is said of work on its way, where nobody sees a bar."""

import pytest

from sr import progress
from sr.progress import Progress


@pytest.mark.parametrize(("first", "line"), [(1, "6/30, 24 s left"), (11, "16/30, 14 s left")])
def test_the_time_left_is_by_the_steps_of_this_run(monkeypatch, capsys, first, line):
    """A stage that goes on behind its tenth step has not done ten in no time."""
    clock = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: clock[0])
    monkeypatch.setattr(progress, "PLAIN_EVERY_S", 5.5)
    with Progress() as shown:
        shown.stage("overfit", 30)
        clock[0] += 0.6  # the film is read
        for done in range(first, first + 6):
            shown.at(done)
            clock[0] += 1  # a step a second
    assert capsys.readouterr().err.splitlines() == [f"overfit {line}"]


@pytest.mark.parametrize(("total", "line"), [(30, "1/30"), (0, "1")])
def test_of_one_step_or_of_nobody_knows_how_many_no_time_is_told(monkeypatch, capsys, total, line):
    """The first step may wait for a whole film to be read: it says nothing of those to come."""
    clock = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: clock[0])
    with Progress() as shown:
        shown.stage("encodes", total)
        clock[0] += 60
        shown.at(1)
    assert capsys.readouterr().err.splitlines() == [f"encodes {line}"]


def test_names_in_warnings_are_no_markup(capsys):
    with Progress() as shown:
        shown.warn("[group] film [/b] :smile: ends in the middle")
    assert capsys.readouterr().err == "warning: [group] film [/b] :smile: ends in the middle\n"
