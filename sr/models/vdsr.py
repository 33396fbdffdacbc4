"""VDSR (Kim et al., CVPR 2016, section 3.1): twenty layers of 64 add detail to bicubic."""

from itertools import pairwise

from torch import Tensor, nn

from sr.models.anchor import upsample_whole

LAYERS, WIDTH = 20, 64


class Vdsr(nn.Module):
    """A baseline at the film's size: [N, 3, h, w] -> [N, 3, r h, r w], in unit range."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        ends = (3, *(WIDTH,) * (LAYERS - 1), 3)
        convolutions = [nn.Conv2d(i, o, 3, padding=1) for i, o in pairwise(ends)]
        for convolution in convolutions:
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        # Detail begins at nothing, so that training starts from bicubic.
        nn.init.zeros_(convolutions[-1].weight)
        between = [module for c in convolutions[:-1] for module in (c, nn.ReLU())]
        self.layers = nn.Sequential(*between, convolutions[-1])

    def forward(self, x: Tensor) -> Tensor:
        base = upsample_whole(x, self.scale)
        made: Tensor = base + self.layers(base)
        return made
