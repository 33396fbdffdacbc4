"""What an error costs: its squares over colours, or over luma and chroma; lost contrast."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

# YCbCr of BT.601 in full range. Of the squares of Y, Cb and Cr the mean is taken 6:1:1, as the
# codecs' own comparisons weight them (Ohm et al., IEEE TCSVT 22(12), 2012).
_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114
_YCBCR = torch.tensor(
    [
        [_RED, _GREEN, _BLUE],
        [-_RED / (2 - 2 * _BLUE), -_GREEN / (2 - 2 * _BLUE), 0.5],
        [0.5, -_GREEN / (2 - 2 * _RED), -_BLUE / (2 - 2 * _RED)],
    ]
)
_WEIGHTS = torch.tensor([[6.0], [1.0], [1.0]]) / 8

# By name a matrix [3, 3] whose rows are what is squared of a difference in RGB; None: RGB itself.
_WEIGHTED = (3 * _WEIGHTS).sqrt() * _YCBCR
LOSSES: Mapping[str, Tensor | None] = {"rgb": None, "ycbcr": _WEIGHTED, "contrast": _WEIGHTED}
CONTRAST = "contrast"  # the squares of ycbcr, and those of `contrast_errors`
_WINDOW_PX = 5
_LEAST_VARIANCE = 1e-7  # below a step of 8 bits; a square root needs a slope


def squared_errors(difference: Tensor, loss: str) -> Tensor:
    """[N, 3 s^2, h, w] of planes (colour, dy, dx) -> [N, h, w], the mean over them."""
    rows = LOSSES[loss]
    if rows is not None:
        colours = difference.unflatten(1, (3, -1))
        difference = torch.einsum("rc,ncshw->nrshw", rows, colours).flatten(1, 2)
    return difference.square().mean(dim=1)


def contrast_errors(made: Tensor, wanted: Tensor, units: int) -> Tensor:
    """[N, 3 u^2, h, w] planes of two pictures -> [N, 1, 1]: squares of what the local standard
    deviation of luma (over 5x5 px) is off.

    The least square error where detail is in doubt is the mean of what it may be, which is smooth.
    VMAF, as people, misses the contrast; the squares hardly rise where it is kept.
    """
    difference = _deviation(made, units) - _deviation(wanted, units)
    return difference.square().mean(dim=(1, 2, 3)).reshape(-1, 1, 1)


def _deviation(planes: Tensor, units: int) -> Tensor:
    luma = torch.einsum("c,nchw->nhw", _YCBCR[0], F.pixel_shuffle(planes, units))[:, None]
    window = min(_WINDOW_PX, *luma.shape[2:])
    mean = F.avg_pool2d(luma, window, 1)
    variance = F.avg_pool2d(luma.square(), window, 1) - mean.square()
    return variance.clamp_min(_LEAST_VARIANCE).sqrt()
