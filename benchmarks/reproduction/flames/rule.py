"""Flames by the colour of a pixel, on RGB frames without smoke.

After the annotation stage of FlameFinder: red stands out from green and blue by well more than it
does in the frame's mean. A second rule on single pixels keeps what is merely reddish out: a flame
is bright, and its colours are in the order of a glowing body, red over green over blue.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class FlameRule:
    """`excess`: how far red lies above green and blue beyond the frame's mean distance, in code
    values; `least_red`: of a pixel; `patch_share`: flame pixels that make a flame patch."""

    excess: float = 40.0
    least_red: float = 150.0
    patch_share: float = 0.01


DEFAULT = FlameRule()


def flame_mask(rgb: Image, rule: FlameRule = DEFAULT) -> Mask:
    """[H, W, 3] u8 -> [H, W]: pixels of flames. Grey frames have none."""
    red, green, blue = np.moveaxis(rgb.astype(np.float64), -1, 0)
    distance = red - (green + blue) / 2
    stands_out = distance > max(float(distance.mean()), 0.0) + rule.excess
    mask: Mask = stands_out & (red >= rule.least_red) & (red >= green) & (green >= blue)
    return mask


def has_flame(rgb: Image, rule: FlameRule = DEFAULT) -> bool:
    """Whether a patch [H, W, 3] shows a flame: the label of its thermal partner."""
    return bool(flame_mask(rgb, rule).mean() >= rule.patch_share)
