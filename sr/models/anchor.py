"""The anchor as torch sees it: one fixed convolution, to which a network adds detail.

Du et al. (Anchor-based plain net, CVPRW 2021) show what it buys: the network's output stays
small, which int8 needs. The numbers are `player.package.anchor`'s.
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from player.package.anchor import anchor_kernel


@cache
def anchor_weight(scale: int) -> Tensor:
    """[3 r^2, 3, 5, 5] float32, channels in pixel shuffle's order (c, dy, dx)."""
    return torch.tensor(anchor_kernel(scale), dtype=torch.float32)


def upsample(x: Tensor, scale: int) -> Tensor:
    """[N, 3, H + 4, W + 4] -> [N, 3, r H, r W], bicubic, not clamped."""
    return F.pixel_shuffle(F.conv2d(x, anchor_weight(scale)), scale)
