"""EDSR, the baseline of 16 blocks of 64 (Lim et al., CVPRW 2017, section 3.2 and table 1).

x -> head -+-> 16 blocks [3x3, ReLU, 3x3, + input] -> 3x3 -+-> 3x3, shuffle (twice at 4) -> tail
           +-----------------------------------------------+
"""

from torch import Tensor, nn

BLOCKS, WIDTH = 16, 64


def _convolution(inp: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(inp, out, 3, padding=1)


class Block(nn.Module):
    """Residual, without batch normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = _convolution(WIDTH, WIDTH), _convolution(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = x + self.second(self.first(x).relu())
        return made


class Edsr(nn.Module):
    """A baseline with layers at the film's size: [N, 3, h, w] -> [N, 3, r h, r w], unit range."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.head = _convolution(3, WIDTH)
        self.body = nn.Sequential(*(Block() for _ in range(BLOCKS)), _convolution(WIDTH, WIDTH))
        # Scale 4 is twice 2.
        factors = (2, 2) if scale == 4 else (scale,)
        self.larger = nn.Sequential(
            *(m for f in factors for m in (_convolution(WIDTH, f * f * WIDTH), nn.PixelShuffle(f)))
        )
        self.tail = _convolution(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        # Around grey, as the paper takes the data set's mean off.
        features = self.head(x - 0.5)
        made: Tensor = self.tail(self.larger(features + self.body(features))) + 0.5
        return made
