"""A transformer for super-resolution: the server's teacher, never the phone's.

    LR crop + halo ─► one token for each t x t LR px (reads c px around it too) ─► + place
          │                                                                          │
          │            encoder.py, tokens and     links thinned out on the way ◄──┘
          │                                  │
          └─► bicubic anchor ─► + ◄── t r x t r px of each token by its last state

It keeps the networks' contract for crops (sr/training/data.py): LR with a halo in, HR out, units
0..1. It is trained here (teacher_training.py) and taught from (distil.py).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.reproduction.vit.encoder import Encoder
from benchmarks.reproduction.vit.flops import Shape, encoder_flops
from benchmarks.reproduction.vit.tokens import Sparsity, Tokens
from player.package.anchor import HALO_PX as ANCHOR_HALO_PX
from sr.models.anchor import upsample
from sr.models.network import crop

CONTEXT_PX = 4  # that a token reads beyond its own pixels; within the halo of any network
PLACE_STD, OUTPUT_STD = 0.02, 1e-3


@dataclass(frozen=True)
class TeacherShape:
    """Sizes of a teacher; a token's side is `token_px` LR pixels, a whole crop's `crop_px` (which
    is CROP_PX of sr/training/data.py)."""

    scale: int
    dim: int = 64
    depth: int = 6
    heads: int = 4
    token_px: int = 4
    crop_px: int = 48

    @property
    def patches(self) -> int:
        """Tokens of a whole crop."""
        return (self.crop_px // self.token_px) ** 2


class Teacher(nn.Module):
    """LR [N, 3, c + 2m, c + 2m] with a halo m of at least CONTEXT_PX -> HR [N, 3, r c, r c].

    Crops may be smaller than the shape says, not larger: that many places are learned.
    """

    def __init__(self, shape: TeacherShape) -> None:
        super().__init__()
        self.shape = shape
        side, window = shape.crop_px // shape.token_px, shape.token_px + 2 * CONTEXT_PX
        self.embed = nn.Conv2d(3, shape.dim, window, stride=shape.token_px)
        self.place = nn.Parameter(PLACE_STD * torch.randn(shape.dim, side, side))
        self.encoder = Encoder(shape.dim, shape.depth, shape.heads)
        self.head = nn.Linear(shape.dim, 3 * (shape.scale * shape.token_px) ** 2)
        nn.init.normal_(self.head.weight, std=OUTPUT_STD)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor, halo_px: int, sparsity: Sparsity | None = None) -> Tensor:
        """Not clamped; raises ValueError for a halo or a crop that does not fit."""
        return self.residual(x, halo_px, sparsity).float() + self.base(x, halo_px)

    def residual(self, x: Tensor, halo_px: int, sparsity: Sparsity | None = None) -> Tensor:
        """[N, 3, r c, r c], what is added to the anchor."""
        height, width = (side - 2 * halo_px for side in x.shape[2:])
        self._check(halo_px, height, width)
        seen = self._whole_tokens(crop(x, halo_px - CONTEXT_PX))
        features = self.embed(seen)
        rows, columns = features.shape[2:]
        features = features + self.place[:, :rows, :columns]
        tokens = Tokens.all(features.flatten(2).transpose(1, 2), 0, self._detail(seen))
        states = self.encoder.normed(self.encoder(tokens, sparsity).states())
        pixels = self.head(states).transpose(1, 2).unflatten(2, (rows, columns))
        r = self.shape.scale
        return F.pixel_shuffle(pixels, r * self.shape.token_px)[:, :, : r * height, : r * width]

    def base(self, x: Tensor, halo_px: int) -> Tensor:
        """[N, 3, r c, r c], the bicubic anchor; never in bf16, that has fewer bits than a pixel."""
        return upsample(crop(x, halo_px - ANCHOR_HALO_PX), self.shape.scale)

    def forward_flops(self, sparsity: Sparsity | None = None) -> int:
        """Of one whole crop."""
        s = self.shape
        ends = 2 * s.patches * (self.head.weight.numel() + self.embed.weight.numel())
        return ends + encoder_flops(Shape(s.dim, s.depth, s.patches), sparsity)

    def training_flops(self, sparsity: Sparsity | None = None) -> int:
        """Of one whole crop in a step; the first layer has no gradient to pass on."""
        embed = 2 * self.shape.patches * self.embed.weight.numel()
        return 3 * self.forward_flops(sparsity) - embed

    def _check(self, halo_px: int, height: int, width: int) -> None:
        if halo_px < CONTEXT_PX:
            raise ValueError(f"a halo of {halo_px} px: the teacher reads {CONTEXT_PX}")
        most = self.shape.crop_px
        if max(height, width) > most or min(height, width) < 1:
            raise ValueError(f"a crop of {height} x {width} px: at most {most} a side")

    def _whole_tokens(self, x: Tensor) -> Tensor:
        """Continued by its edge pixels to whole tokens."""
        down, right = (-(side - 2 * CONTEXT_PX) % self.shape.token_px for side in x.shape[2:])
        return F.pad(x, (0, right, 0, down), mode="replicate") if down or right else x

    @torch.no_grad()
    def _detail(self, seen: Tensor) -> Tensor:
        """[N, n]: the variance of the LR pixels of each token, summed over colours."""
        own, side = crop(seen, CONTEXT_PX), self.shape.token_px
        variance = F.avg_pool2d(own.square(), side) - F.avg_pool2d(own, side).square()
        return variance.sum(dim=1).flatten(1)


def build_teacher(shape: TeacherShape, seed: int = 0) -> Teacher:
    """A freshly initialised teacher; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Teacher(shape)
