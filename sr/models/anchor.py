"""The anchor as torch sees it: one fixed convolution, to which a network adds detail.

Du et al. (Anchor-based plain net, CVPRW 2021) show what it buys: the network's output stays
small, which int8 needs. The numbers are `player.package.anchor`'s.
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from player.package.anchor import anchor_halo_px, anchor_kernel
from player.package.scale import Scale


@cache
def anchor_weight(scale: Scale, units: int = 1) -> Tensor:
    """[3 (r u)^2, 3 u^2, k, k] float32, channels in pixel shuffle's order (c, dy, dx)."""
    return torch.tensor(anchor_kernel(scale, units), dtype=torch.float32)


def upsample(x: Tensor, scale: Scale) -> Tensor:
    """[N, 3, H + 4, W + 4] -> [N, 3, r H, r W], bicubic, not clamped; at scale 1 x without halo.

    At 3/2 the sides of H and W are even.
    """
    if scale == 1:
        return x
    units = scale.denominator
    # Of units of 2 the anchor reads a whole one on either side: the same two pixels.
    assert anchor_halo_px(scale) % units == 0
    planes = F.conv2d(F.pixel_unshuffle(x, units), anchor_weight(scale, units))
    return F.pixel_shuffle(planes, int(scale * units))


def upsample_whole(x: Tensor, scale: Scale) -> Tensor:
    """[N, 3, H, W] -> [N, 3, r H, r W]: the same of a frame, continued by its edge pixels."""
    return upsample(F.pad(x, (anchor_halo_px(scale),) * 4, mode="replicate"), scale)
