"""What an error costs: its squares over red, green and blue, or over luma and chroma."""

from collections.abc import Mapping

import torch
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
LOSSES: Mapping[str, Tensor | None] = {"rgb": None, "ycbcr": (3 * _WEIGHTS).sqrt() * _YCBCR}


def squared_errors(difference: Tensor, loss: str) -> Tensor:
    """[N, 3 s^2, h, w] of planes (colour, dy, dx) -> [N, h, w], the mean over them."""
    rows = LOSSES[loss]
    if rows is not None:
        colours = difference.unflatten(1, (3, -1))
        difference = torch.einsum("rc,ncshw->nrshw", rows, colours).flatten(1, 2)
    return difference.square().mean(dim=1)
