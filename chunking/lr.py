"""From HR to LR: the downscaling that server, tests and benchmarks share.

bicubic   what everyone does: HR, lowpass, fewer samples
sharp     bicubic, and of what its upscaling then misses of HR the bicubic downscaling once more

A sharp LR frame, shown by bicubic, is nearer to the film (one step of iterative back-projection;
Irani and Peleg, CVGIP: Graphical Models and Image Processing 53(3), 1991, section 3).
"""

from fractions import Fraction
from math import ceil

import numpy as np
from PIL import Image

from chunking.input_error import InputError
from player.package.anchor import HALO_PX, integer_anchor
from player.package.limits import MAX_LR_PIXELS, MAX_LR_SIDE_PX
from player.package.scale import Scale, hr_px, scale_number

BICUBIC, SHARP = "bicubic", "sharp"
LR_KINDS = (BICUBIC, SHARP)
_Q6 = 64  # of the anchor: a code value

MIN_LR_PX = 16
"""Below 16 px a side nothing can be learnt, and encoders refuse the frame."""


def lr_size(height: int, width: int, scale: Scale) -> tuple[int, int]:
    """(height, width) in px of the LR frame; both even, so that 4:2:0 chroma fits.

    scale * LR covers the HR frame; the display crops what is beyond it.
    """
    return 2 * ceil(Fraction(height, 2) / scale), 2 * ceil(Fraction(width, 2) / scale)


def check_scale(height: int, width: int, scale: Scale) -> None:
    """Raises InputError when `scale` leaves less than 16 px a side of an HR frame, or more of it
    than a package's stream may have."""
    low_h, low_w = lr_size(height, width, scale)
    if max(low_h, low_w) > MAX_LR_SIDE_PX or low_h * low_w > MAX_LR_PIXELS:
        raise InputError(
            f"{width}x{height} is too large for x{scale_number(scale)}: LR would be "
            f"{low_w}x{low_h}, streams have {MAX_LR_PIXELS} pixels and {MAX_LR_SIDE_PX} a side at "
            "most; give a larger --scale"
        )
    if min(low_h, low_w) < MIN_LR_PX:
        raise InputError(
            f"{width}x{height} is too small for x{scale_number(scale)}: LR would be "
            f"{low_w}x{low_h}, at least {MIN_LR_PX}x{MIN_LR_PX} is needed; use a smaller --scale"
        )


def downscale(rgb: np.ndarray, scale: Scale, kind: str = BICUBIC) -> np.ndarray:
    """[H, W, 3] u8 HR to [h, w, 3] u8 LR with (h, w) = lr_size(H, W, scale).

    Antialiased bicubic, Keys a = -0.5 (Pillow's, equal to MATLAB's imresize); HR is first
    padded on the right and at the bottom by its edge pixels to a multiple of 2 * scale. At scale 1
    that is all.
    """
    height, width = rgb.shape[:2]
    low_h, low_w = lr_size(height, width, scale)
    pad = ((0, hr_px(low_h, scale) - height), (0, hr_px(low_w, scale) - width), (0, 0))
    padded = np.pad(rgb, pad, mode="edge")
    low = _fewer(padded, low_h, low_w)
    return low if kind == BICUBIC or scale == 1 else _back_projected(low, padded, scale)


def _back_projected(low: np.ndarray, hr: np.ndarray, scale: Scale) -> np.ndarray:
    """[h, w, 3] u8: LR with what its upscaling misses of HR added, each plane by itself."""
    margins = (HALO_PX, HALO_PX), (HALO_PX, HALO_PX), (0, 0)
    missed = hr - integer_anchor(np.pad(low, margins, mode="edge"), scale).astype(np.float32) / _Q6
    planes = [_fewer(np.ascontiguousarray(missed[..., i]), *low.shape[:2]) for i in range(3)]
    return np.clip(np.rint(low + np.stack(planes, axis=-1)), 0, 255).astype(np.uint8)


def _fewer(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """[H, W, 3] u8 or [H, W] float32 by Pillow's antialiased bicubic filter."""
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
