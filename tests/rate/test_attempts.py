"""Which networks are made one after the other, once the plain encode has stood its proof."""

from typing import Any

import pytest

from sr.encode.attempts import network_choices
from sr.rate.choice import LEAST_WORTH


def choice(scale: float, worth: float, widths: list[int] | None = None) -> dict[str, Any]:
    return {"scale": scale, "worth": worth, "widths": widths}


def found(best: dict[str, Any], *others: dict[str, Any]) -> dict[str, Any]:
    considered = sorted([best, *others], key=lambda c: -c["worth"])
    return {"best": best, "considered": considered}


HR, SMALL = choice(1, 1.0), choice(1.5, 1.04)


def test_the_best_then_that_of_another_scale():
    best, same, other = (choice(s, w, [8]) for s, w in ((2, 1.2), (2, 1.1), (1, 1.05)))
    assert network_choices(found(best, same, other, HR), HR) == [best, other]
    assert network_choices(found(best, same, HR), HR) == [best]


@pytest.mark.parametrize(("plain", "tried"), [(HR, True), (SMALL, False)])
def test_what_a_smaller_plain_encode_promised_and_did_not_keep_stands_in_no_ones_way(plain, tried):
    network = choice(1, 1.03, [16])
    assert network_choices(found(SMALL, network, HR), plain) == ([network] if tried else [])


def test_what_promises_too_little_is_not_made():
    near = choice(1, 0.999 * LEAST_WORTH, [16])
    assert network_choices(found(HR, near), HR) == []
