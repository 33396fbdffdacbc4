"""SRCNN (Dong et al., TPAMI 2016, section 3.1; 9-5-5 of section 4.3.2): three layers on bicubic."""

from torch import Tensor, nn

from sr.models.anchor import upsample_whole


class Srcnn(nn.Module):
    """A baseline at the film's size: [N, 3, h, w] -> [N, 3, r h, r w], in unit range."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.layers = nn.Sequential(
            nn.Conv2d(3, 64, 9, padding=4),
            nn.ReLU(),
            nn.Conv2d(64, 32, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(32, 3, 5, padding=2),
        )

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.layers(upsample_whole(x, self.scale))
        return made
