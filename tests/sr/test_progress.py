"""What is said of work on its way, where nobody sees a bar."""

import pytest

from sr import progress
from sr.progress import Progress


@pytest.mark.parametrize(("first", "line"), [(1, "6/30 , 24 s left"), (11, "16/30 , 14 s left")])
def test_the_time_left_is_by_the_steps_of_this_run(monkeypatch, capsys, first, line):
    """A stage that goes on behind its tenth step has not done ten in no time."""
    clock = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: clock[0])
    monkeypatch.setattr(progress, "PLAIN_EVERY_S", 5.5)
    with Progress() as shown:
        shown.stage("overfit", 30)
        for done in range(first, first + 6):  # a step a second
            clock[0] += 1
            shown.at(done)
    assert capsys.readouterr().err.splitlines() == [f"overfit {line}"]
