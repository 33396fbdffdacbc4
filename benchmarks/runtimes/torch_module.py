"""The hard path as a PyTorch module, in forms that converters understand."""

import torch
from torch import Tensor, nn

from player.package.architecture import Architecture, Tensors
from player.package.paths import HARD
from sr.models import Network, deployed_network
from sr.models.network import PIXEL_MAX


class HardPath(nn.Module):
    """Places [N, 3 u^2, h, w] with their halo -> [N, 3, H, W], clamped to pixel values."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x, HARD).clamp(0.0, PIXEL_MAX)


class PaddedHardPath(HardPath):
    """The same with the anchor's crop as a negative padding: pnnx drops a slice of open ends."""

    def forward(self, x: Tensor) -> Tensor:
        margin = self.network.anchor_reach - self.network.halo_px(HARD) // self.network.arch.units
        inner = nn.functional.pad(x, (margin,) * 4)
        y = self.network.residual(x, HARD) + nn.functional.conv2d(inner, self.network.anchor)
        return nn.functional.pixel_shuffle(y, self.network.arch.hr_units).clamp(0.0, PIXEL_MAX)


class ChannelsLast(nn.Module):
    """A module of planes for pixels that lie together: [N, h, w, 3 u^2] -> [N, H, W, 3]."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.module(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return out


def hard_path(arch: Architecture, tensors: Tensors) -> HardPath:
    """The deployed network's hard path in pixel units, for inference."""
    return HardPath(deployed_network(arch, tensors)).eval()


def padded_hard_path(arch: Architecture, tensors: Tensors) -> PaddedHardPath:
    return PaddedHardPath(deployed_network(arch, tensors)).eval()


def example(planes: int, sides: tuple[int, int]) -> Tensor:
    """Zeros of an input's shape."""
    return torch.zeros(1, planes, *sides)
