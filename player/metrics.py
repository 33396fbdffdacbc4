"""How good a picture is: PSNR and SSIM of 8-bit RGB frames.

A film's PSNR is that of the mean of its frames' squared errors, not the mean of their PSNRs: it
is the definition under which equal errors count equally wherever they are (FFmpeg's "average").
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from player.package.scale import Scale

Image = NDArray[np.uint8]

PEAK = 255.0
MAX_PSNR_DB = 100.0  # identical pictures; a number, so that JSON and means stay finite
_LUMA = np.array([65.481, 128.553, 24.966]) / 255  # ITU-R BT.601, to 16..235, as in the SR papers


def luma(rgb: Image) -> NDArray[np.float64]:
    """Y [H, W] of RGB [H, W, 3], 16..235, not rounded (MATLAB's rgb2ycbcr, BT.601)."""
    return rgb.astype(np.float64) @ _LUMA + 16


def mse_rgb(a: Image, b: Image) -> float:
    """Mean squared error over all pixels and planes, of two [H, W, 3] u8."""
    _check_shapes(a, b)
    # OpenCV takes a root and squares it again; the sum itself is an integer.
    return round(cv2.norm(a, b, cv2.NORM_L2SQR)) / a.size


def mse_y(a: Image, b: Image) -> float:
    """Mean squared error of the luma, of two [H, W, 3] u8."""
    _check_shapes(a, b)
    # Luma is linear, so that the difference goes first and the offset of 16 cancels.
    difference = cv2.transform(cv2.subtract(a, b, dtype=cv2.CV_32F), _LUMA[None])
    return float(cv2.norm(difference, cv2.NORM_L2SQR)) / difference.size


def psnr_db(mse: float) -> float:
    """PSNR of a mean squared error of 8-bit values, at most 100 dB."""
    return min(MAX_PSNR_DB, 10 * math.log10(PEAK**2 / mse)) if mse > 0 else MAX_PSNR_DB


def ssim_y(a: Image, b: Image) -> float:
    """SSIM of the luma of two [H, W, 3] u8 (Wang et al., "Image quality assessment: from error
    visibility to structural similarity", IEEE TIP 13(4), 2004): Gaussian window of 11x11,
    sigma 1.5, K1 = 0.01, K2 = 0.03. Pictures smaller than the window give NaN.
    """
    _check_shapes(a, b)
    if min(a.shape[:2]) < 11:
        return math.nan
    return float(
        structural_similarity(
            luma(a), luma(b), data_range=PEAK, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False,
        )
    )  # fmt: skip


def shaved_patch_errors(
    a: Image, b: Image, patch_h_px: int, patch_w_px: int, scale: Scale
) -> list[float]:
    """The mean squared RGB error of each HR patch of two frames [H, W, 3] u8.

    Patches of `patch_h_px` x `patch_w_px`, smaller at the right and bottom, each shaved by
    scale + 4 pixels on every side; those of which nothing is left are left out. The protocol of
    the STDO and Dy-DCA code is the PSNR of the mean of these errors over all frames.
    """
    _check_shapes(a, b)
    shave = math.ceil(scale) + 4
    errors = []
    for y in range(0, a.shape[0], patch_h_px):
        for x in range(0, a.shape[1], patch_w_px):
            bottom, right = min(y + patch_h_px, a.shape[0]), min(x + patch_w_px, a.shape[1])
            inner = np.s_[y + shave : bottom - shave, x + shave : right - shave]
            # At the right and bottom a patch may be narrower than what is shaved off.
            if a[inner].size:
                errors.append(mse_rgb(a[inner], b[inner]))
    return errors


def _check_shapes(a: Image, b: Image) -> None:
    if a.shape != b.shape:
        raise ValueError(f"pictures of {a.shape} and {b.shape} cannot be compared")
