"""Stages on the command line: known names, sensible orders, what `fair` belongs to."""

import subprocess
import sys

import pytest

from sr.shrink.registry import STAGES, StageOrderError, parse_stages, stages_of, training_stages


@pytest.mark.parametrize(
    "text", [*STAGES, "chex,fair", "chex,chase,fair", "condense, chex", "uniform,chase"]
)
def test_sensible_orders_are_taken_as_they_are(text):
    assert parse_stages(text) == tuple(text.replace(" ", "").split(","))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prune", "'prune' is not known; use uniform, condense, chex, chase, fair"),
        ("", "is not known"),
        ("chex,chex", "stands twice"),
        ("chase,chex", "write chex,chase"),
        ("chex,condense", "write condense,chex"),
        ("uniform,condense", "both begin with an untrained network"),
        ("fair,chex", "fair is a stage alone"),
        ("condense,fair", "fair is a stage alone"),
    ],
)
def test_others_are_refused_in_one_line(text, says):
    with pytest.raises(StageOrderError) as caught:
        parse_stages(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_fair_is_a_term_of_the_stage_before_it_or_a_stage():
    assert training_stages(("fair",)) == [("fair", False)]
    assert training_stages(("chex", "fair", "chase")) == [("chex", True), ("chase", False)]
    assert training_stages(("condense", "chase", "fair")) == [("condense", False), ("chase", True)]


@pytest.mark.parametrize("name", STAGES)
def test_a_name_makes_the_stage_of_that_name(name):
    (stage,) = stages_of(name)
    assert stage.name == name
    assert stage.shrinks


def test_names_are_known_without_torch():
    program = "import sys; import sr.shrink.registry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
