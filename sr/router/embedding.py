"""The router: which path each cell of an LR frame takes, when no route map was sent.

    LR [N, 3, H, W] ─ embed 4x4/4 ─ mix 3x3 ─ pool ─ f ─┬──────────── * ─ f' ─ D_k = |f' - c_k|²
                      quarter grid            a cell    └ squeeze, excite ┘      nearest centre

After FlameFinder's attentive deep metric learning: the class of a cell is the nearest centre in an
embedding whose features are weighed by an attention on themselves. Everything is a convolution
without overlap but `mix`, so that a cell sees its own pixels and one quarter pixel (4 px) around.
The attention is squeeze-and-excitation (Hu 2018) with a hard sigmoid, that integers can compute.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from player.package.paths import HARD, QUARTER_PX

SAFE_PATH = HARD
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class RouterShape:
    """Sizes of a router: `cell_px` a multiple of 4, `widths` of embed, mix and pool.

    `squeeze`: channels between the two layers of the attention; 0 is a router without attention,
    which is a control and has no integer form. `classes`: how many centres.
    """

    cell_px: int = 12
    widths: tuple[int, int, int] = (16, 24, 32)
    squeeze: int = 8
    classes: int = 3

    def __post_init__(self) -> None:
        if self.cell_px < QUARTER_PX or self.cell_px % QUARTER_PX:
            raise ValueError(f"a router's cell is a multiple of 4 px, got {self.cell_px}")
        if min(self.widths) < 1 or self.squeeze < 0 or self.classes < 2:
            raise ValueError(f"a router needs positive widths and two classes, got {self}")

    @property
    def quarters(self) -> int:
        """Side of a cell on the quarter grid."""
        return self.cell_px // QUARTER_PX

    @property
    def macs_per_cell(self) -> int:
        """Multiply-accumulates of a cell: convolutions, attention and distances."""
        first, second, third = self.widths
        area = self.quarters**2
        quarter_grid = area * (3 * QUARTER_PX**2 * first + 9 * first * second)
        attention = 2 * third * self.squeeze + (third if self.squeeze else 0)
        return quarter_grid + area * second * third + attention + self.classes * third

    @property
    def macs_per_pixel(self) -> float:
        """Multiply-accumulates of an LR pixel."""
        return self.macs_per_cell / self.cell_px**2


class RouterNetwork(nn.Module):
    """Attended features of each cell, and the centres they are compared with."""

    def __init__(self, shape: RouterShape, seed: int = 0) -> None:
        super().__init__()
        first, second, third = shape.widths
        self.shape = shape
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.embed = nn.Conv2d(3, first, QUARTER_PX, stride=QUARTER_PX)
            # Edges repeat, as in the integers (reference.py) and in the engine.
            self.mix = nn.Conv2d(first, second, 3, padding=1, padding_mode="replicate")
            self.pool = nn.Conv2d(second, third, shape.quarters, stride=shape.quarters)
            self.squeeze: nn.Conv2d | None = None
            self.excite: nn.Conv2d | None = None
            if shape.squeeze:
                self.squeeze = nn.Conv2d(third, shape.squeeze, 1)
                self.excite = nn.Conv2d(shape.squeeze, third, 1)
                assert self.excite.bias is not None
                # Around a half, inside the hard sigmoid's slope: outside of it nothing learns.
                nn.init.constant_(self.excite.bias, 0.5)
        _start_with_textures(self.embed)
        # Training puts them at the class means before its first step.
        self.centres = nn.Parameter(torch.zeros(shape.classes, third))

    def forward(self, frames: Tensor) -> Tensor:
        """[N, 3, H, W] in unit range -> attended features f' [N, C, gh, gw], not negative."""
        padded = pad_to_cells(frames, self.shape.cell_px)
        mixed = F.relu(self.mix(F.relu(self.embed(padded))))
        return self.attend(F.relu(self.pool(mixed)))

    def attend(self, features: Tensor) -> Tensor:
        """f' = a f, a = clamp(excite(relu(squeeze(f))), 0, 1); all [N, C, gh, gw]."""
        return features * self.attention(features)

    def attention(self, features: Tensor) -> Tensor:
        """a in 0..1, [N, C, gh, gw]; ones in a router without attention."""
        if self.squeeze is None or self.excite is None:
            return torch.ones_like(features)
        return self.excite(F.relu(self.squeeze(features))).clamp(0, 1)

    def distances(self, attended: Tensor) -> Tensor:
        """f' [N, C, gh, gw] -> squared distances to the centres [N, K, gh, gw]."""
        difference = attended[:, None] - self.centres[None, :, :, None, None]
        return difference.square().sum(dim=2)


def pad_to_cells(frames: Tensor, cell_px: int) -> Tensor:
    """[N, 3, H, W] continued at right and bottom by its edge pixels to whole cells."""
    height, width = frames.shape[-2:]
    return F.pad(frames, (0, -width % cell_px, 0, -height % cell_px), mode="replicate")


@torch.no_grad()
def _start_with_textures(embed: nn.Conv2d) -> None:
    """Sets pairs of filters to a DCT-II basis of luma [4, 4] and its negative, smoothest first."""
    # After the ReLU a pair sums to the size of a coefficient, whatever the brightness: how much
    # texture there is, which a film's few hundred different cells do not teach from chance filters.
    place = torch.arange(QUARTER_PX) + 0.5
    rows = torch.cos(torch.pi * torch.arange(QUARTER_PX)[:, None] * place / QUARTER_PX)
    rows = F.normalize(rows, dim=1)
    # Without (0, 0), the mean: brightness says nothing of texture.
    order = [(y, x) for y in range(QUARTER_PX) for x in range(QUARTER_PX) if y or x]
    order.sort(key=lambda at: (at[0] ** 2 + at[1] ** 2, at))
    bases = torch.stack([torch.outer(rows[y], rows[x]) for y, x in order])
    bases = bases[: embed.out_channels // 2]
    filters = torch.tensor(LUMA)[None, :, None, None] * bases[:, None] * QUARTER_PX
    pairs = torch.stack([filters, -filters], dim=1).flatten(0, 1)
    # What is left of the filters after all 15 bases stays random.
    embed.weight[: len(pairs)] = pairs
    assert embed.bias is not None
    embed.bias[: len(pairs)] = 0
