"""From HR to LR: the one bicubic downscaling that server, tests and benchmarks share."""

from fractions import Fraction
from math import ceil

import numpy as np
from PIL import Image

from chunking.input_error import InputError
from player.package.scale import Scale, hr_px, scale_number

MIN_LR_PX = 16
"""Below 16 px a side nothing can be learnt, and encoders refuse the frame."""


def lr_size(height: int, width: int, scale: Scale) -> tuple[int, int]:
    """(height, width) in px of the LR frame; both even, so that 4:2:0 chroma fits.

    scale * LR covers the HR frame; the display crops what is beyond it.
    """
    return 2 * ceil(Fraction(height, 2) / scale), 2 * ceil(Fraction(width, 2) / scale)


def check_scale(height: int, width: int, scale: Scale) -> None:
    """Raises InputError when `scale` leaves less than 16 px a side of an HR frame."""
    low_h, low_w = lr_size(height, width, scale)
    if min(low_h, low_w) < MIN_LR_PX:
        raise InputError(
            f"{width}x{height} is too small for x{scale_number(scale)}: LR would be "
            f"{low_w}x{low_h}, at least {MIN_LR_PX}x{MIN_LR_PX} is needed; use a smaller --scale"
        )


def downscale(rgb: np.ndarray, scale: Scale) -> np.ndarray:
    """[H, W, 3] u8 HR to [h, w, 3] u8 LR with (h, w) = lr_size(H, W, scale).

    Antialiased bicubic, Keys a = -0.5 (Pillow's, equal to MATLAB's imresize); HR is first
    padded on the right and at the bottom by its edge pixels to a multiple of 2 * scale. At scale 1
    that is all.
    """
    height, width = rgb.shape[:2]
    low_h, low_w = lr_size(height, width, scale)
    pad = ((0, hr_px(low_h, scale) - height), (0, hr_px(low_w, scale) - width), (0, 0))
    image = Image.fromarray(np.pad(rgb, pad, mode="edge"))
    return np.asarray(image.resize((low_w, low_h), Image.Resampling.BICUBIC))
