"""The lines that people read when an encode has ended."""

import pytest

from sr.commands.encode_lines import network_lines

PATHS = {"bicubic": 0.5, "easy": 0.25, "hard": 0.25}
OWN = {"method": "dydca", "scale": 2, "weights_bytes": [812], "paths": PATHS}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, "812 bytes; scale 2"),
        ({"weights_bytes": [800, 700]}, "2 of 1500 bytes; scale 2"),
        (
            {"shipped": "x2-fine", "weights_bytes": [0]},
            "x2-fine, which lies with the player; scale 2",
        ),
        (
            {"shipped": "x2-fine", "adapted": True},
            "x2-fine, which lies with the player, 812 bytes of changes; scale 2",
        ),
        ({"method": "plain", "weights_bytes": []}, "none: scale 2, shown by bicubic"),
        ({"method": "plain", "weights_bytes": [], "scale": 1}, "none"),
    ],
)
def test_a_network_is_told_by_what_it_is_and_costs(changed, told):
    lines = dict(network_lines(OWN | changed))
    assert lines["network"] == told
    # Of a plain encode there is no share of paths to tell.
    assert ("paths" in lines) == ("none" not in told)
