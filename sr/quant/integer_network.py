"""The integers of `reference.py` at the speed of torch, for scoring, routes and benchmarks.

A float32 convolution of whole numbers is exact as long as every sum stays below 2^24, in whatever
order it adds, and the packer has proved that. So the results are the reference's, bit for bit.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from player.package.anchor import anchor_halo_px, integer_anchor
from player.package.architecture import Architecture, Tensors, check_int8, convolutions
from player.package.paths import BICUBIC, HARD
from sr.models.network import crop
from sr.quant import reference

Image = NDArray[np.uint8]


class IntegerNetwork:
    """An int8 network: `tensors` are those of its blob. Raises PackageError for wdsr."""

    def __init__(self, arch: Architecture, tensors: Tensors) -> None:
        check_int8(arch)
        self.arch = arch
        self._layers = {name: _Layer(tensors, name) for name, _ in convolutions(arch)}

    def halo_px(self, path: int) -> int:
        """Context that `path` reads on every side, in LR pixels."""
        return self.arch.halo_px(path)

    def upscale_all(self, patch: Image) -> dict[int, Image]:
        """Every path's pixels [r h, r w, 3] u8, for a patch [h + 2R, w + 2R, 3] u8 with the halo
        of the deepest path; whole units."""
        arch = self.arch
        margin = self.halo_px(HARD) - anchor_halo_px(arch.scale)
        inner = patch[margin : len(patch) - margin, margin : patch.shape[1] - margin]
        anchor = integer_anchor(inner, arch.scale)
        # espcn has no anchor: its residual is the whole picture.
        base = anchor if arch.name == "chain" else np.zeros_like(anchor)
        frames = {BICUBIC: to_pixels(anchor)}
        for path, detail in self._details(F.pixel_unshuffle(_planes(patch), arch.units)).items():
            planes = F.pixel_shuffle(detail, arch.hr_units)[0]
            frames[path] = to_pixels(base + planes.permute(1, 2, 0).to(torch.int32).numpy())
        return frames

    def _details(self, q: Tensor) -> dict[int, Tensor]:
        """The residual [1, 3 (r u)^2, h, w] in Q6 of each path, for places [1, 3 u^2, h', w']."""
        depth, halo = len(self.arch.widths), self.halo_px(HARD) // self.arch.units
        q = crop(q, halo - depth) if self.arch.name == "chain" else q
        details = {}
        with torch.no_grad():
            for i in range(depth):
                q = self._layers[f"trunk.{i}"].hidden(q)
                if i + 1 in self.arch.exits:
                    at = self.arch.exits.index(i + 1)
                    last = self._layers["tail" if self.arch.name == "espcn" else f"exits.{at}"]
                    details[self.arch.paths[at]] = last.detail(crop(q, depth - i - 1))
        return details


class _Layer:
    """A convolution [O, I, k, k] with whole numbers in float32."""

    def __init__(self, tensors: Tensors, name: str) -> None:
        weight, bias, multiplier = reference.layer_of(tensors, name)
        self._weight = torch.from_numpy(weight.astype(np.float32))
        self._weight = self._weight.contiguous(memory_format=torch.channels_last)
        self._bias = torch.from_numpy(bias.astype(np.float32))
        self._multiplier = torch.from_numpy(multiplier.copy()).reshape(1, -1, 1, 1)

    def hidden(self, q: Tensor) -> Tensor:
        return self._scaled(q).clamp_(0, 255)

    def detail(self, q: Tensor) -> Tensor:
        return self._scaled(q).clamp_(-32768, 32767)

    def _scaled(self, q: Tensor) -> Tensor:
        # Whole numbers below 2^24 (the packer's proof): exact in float32, in whatever order torch
        # adds.
        sums = F.conv2d(q, self._weight, self._bias)
        # Half to even, as `reference.scaled` rounds.
        return sums.mul_(self._multiplier).round_()


def _planes(patch: Image) -> Tensor:
    """[H, W, 3] u8 -> [1, 3, H, W] float32, channels last in memory."""
    pixels = torch.from_numpy(patch).permute(2, 0, 1)[None].float()
    return pixels.contiguous(memory_format=torch.channels_last)


def to_pixels(values: NDArray[np.int32] | NDArray[np.int16]) -> Image:
    """Q6 to u8, rounded half up."""
    return reference.store(values.astype(np.int32), np.int32(0))
