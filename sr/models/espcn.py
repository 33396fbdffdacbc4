"""ESPCN (Shi et al., CVPR 2016, section 3.1) as STDO uses it: 3-64-64-32-3r^2, 3x3, ReLU."""

from torch import Tensor, nn

from player.package.architecture import Architecture
from player.package.paths import HARD
from sr.models.network import Network, init_trunk


class Espcn(Network):
    """A baseline: no anchor, no skip. widths: (64, 64, 32) in the paper."""

    has_anchor = False
    input_convolutions = ("trunk.0",)
    output_convolutions = ("tail",)

    def __init__(self, arch: Architecture) -> None:
        super().__init__(arch)
        inputs = (arch.planes, *arch.widths)
        pairs = zip(inputs, arch.widths, strict=False)
        self.trunk = nn.ModuleList(nn.Conv2d(i, o, 3) for i, o in pairs)
        self.tail = nn.Conv2d(arch.widths[-1], 3 * arch.hr_units**2, 3)
        init_trunk(m for m in self.trunk if isinstance(m, nn.Conv2d))

    def residual(self, x: Tensor, path: int) -> Tensor:
        for convolution in self.trunk:
            x = convolution(x).relu()
        return self.tail(x)

    def residuals(self, x: Tensor) -> dict[int, Tensor]:
        return {HARD: self.residual(x, HARD)}
