"""Which networks are made one after the other, once the plain encode has stood its proof."""

from typing import Any

import pytest

from sr.encode.attempts import network_choices, rivals
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


def points(scale: float, lr: str, *shown: tuple[int, float, float]) -> list[dict[str, Any]]:
    """Encodes of a sample: bytes, and dB of luma and of RGB."""
    at = {"scale": scale, "lr": lr}
    return [{**at, "bytes": size, "psnr_y": y, "psnr_rgb": rgb} for size, y, rgb in shown]


@pytest.mark.parametrize(
    ("scale", "size", "names"),
    [
        (1, 1000, ["1 bicubic -1"]),  # its own stream is the best by either metric
        (1, 500, ["1 bicubic -1", "2 bicubic 0 2"]),  # in RGB the smaller one is ahead
        (1, 250, ["1 bicubic -1", "2 bicubic 0 2"]),
        (4, 1000, ["1 bicubic 0", "4 sharp 0"]),
        (4, 250, ["1 bicubic 0", "4 sharp 0", "2 bicubic 0 2"]),
        (2, 250, ["1 bicubic 0", "2 bicubic 0"]),  # which is no rival twice
    ],
)
def test_a_package_stands_beside_what_the_sample_shows_for_its_bytes(scale, size, names):
    sample = [
        *points(1, "bicubic", (1000, 40.0, 36.0), (500, 37.0, 33.0)),
        *points(2, "bicubic", (500, 36.9, 33.2), (250, 35.0, 32.0)),
        *points(4, "sharp", (500, 50.0, 50.0), (250, 49.0, 49.0)),  # in no ladder but ours
    ]
    kinds = [(1, "bicubic", 1.0), (2, "bicubic", 0.9), (4, "sharp", 0.8)]
    known = [choice(s, worth) | {"lr": lr} for s, lr, worth in kinds]
    network = choice(2, 1.1, [8]) | {"lr": "bicubic"}
    known = found(network, *known) | {"points": sample}
    told = rivals(known, size, scale)
    shown = [f"{c['scale']} {c['lr']} {' '.join(f'{off:g}' for off in offs)}" for c, offs in told]
    assert shown == names
