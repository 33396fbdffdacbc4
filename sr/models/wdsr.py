"""WDSR-A (Yu et al., 2018, section 3.1), the backbone of STDO: wide activation, weight norm.

    x -> head 3x3 -> n blocks [3x3 expand, ReLU, 3x3 project, + input] -> tail 3x3 -+-> shuffle
    x -> skip 5x5 ------------------------------------------------------------------+

Weight normalisation exists in training only and folds into plain convolutions.
"""

from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from player.package.architecture import Architecture
from player.package.paths import HARD
from sr.models.network import Network, crop


def _normalised(inp: int, out: int, k: int) -> nn.Module:
    return weight_norm(nn.Conv2d(inp, out, k))


class Block(nn.Module):
    """[N, u, H + 4, W + 4] -> [N, u, H, W]."""

    def __init__(self, units: int, expanded: int) -> None:
        super().__init__()
        self.expand = _normalised(units, expanded, 3)
        self.project = _normalised(expanded, units, 3)

    def forward(self, x: Tensor) -> Tensor:
        # Two convolutions without padding have taken 2 px off every side.
        return self.project(self.expand(x).relu()) + crop(x, 2)


class Wdsr(Network):
    """A baseline. widths: (units, expanded units, blocks); the paper's STDO has (32, 128, 16)."""

    has_anchor = False
    input_convolutions = ("head", "skip")
    output_convolutions = ("tail", "skip")

    def __init__(self, arch: Architecture) -> None:
        super().__init__(arch)
        units, expanded, blocks = arch.widths
        out = 3 * arch.hr_units**2
        self.head = _normalised(arch.planes, units, 3)
        self.blocks = nn.ModuleList(Block(units, expanded) for _ in range(blocks))
        self.tail = _normalised(units, out, 3)
        self.skip = _normalised(arch.planes, out, 5)

    def residual(self, x: Tensor, path: int) -> Tensor:
        features = self.head(x)
        for block in self.blocks:
            features = block(features)
        return self.tail(features) + self.skip(crop(x, self.halo_px(path) - 2))

    def residuals(self, x: Tensor) -> dict[int, Tensor]:
        return {HARD: self.residual(x, HARD)}
