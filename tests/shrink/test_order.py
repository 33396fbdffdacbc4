"""Stages on the command line: known names, sensible orders, what `fair` belongs to."""

import pytest

from sr.shrink.registry import StageOrderError, parse_stages, training_stages


@pytest.mark.parametrize(
    "text", ["chex", "chase", "fair", "condense", "chex,fair", "chex,chase,fair", "condense, chex"]
)
def test_sensible_orders_are_taken_as_they_are(text):
    assert parse_stages(text) == tuple(text.replace(" ", "").split(","))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prune", "'prune' is not known; use condense, chex, chase, fair"),
        ("", "is not known"),
        ("chex,chex", "stands twice"),
        ("chase,chex", "write chex,chase"),
        ("chex,condense", "write condense,chex"),
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
