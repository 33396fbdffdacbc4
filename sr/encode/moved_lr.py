"""A learned LR: frames moved through the network that plays them, so that it makes more of them.

    lr <- lr - step * J' (network(lr) - hr), some times over      J: its derivatives by lr

Sharp frames (chunking/lr.py) are one such step through bicubic (Irani and Peleg, CVGIP: Graphical
Models and Image Processing 53(3), 1991, section 3). A downscaler that is learned together with the
upscaler (Kim et al., "Task-aware image downscaling", ECCV 2018) does the same for all films; here
the film is at hand, and so is the network.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from player.package.adapted import whole_blob
from player.package.paths import HARD
from player.package.scale import hr_px
from player.package.weights import unpack_weights
from sr.models.network import PIXEL_MAX
from sr.models.precision import bf16_where_fast
from sr.packing import trainable_network
from sr.quant.quantise import real_tensors
from sr.training.data import Image
from sr.training.losses import squared_errors

# The step is a share of what would undo an error that is only enlarged. More of either is fine
# detail that costs more bytes than it shows.
STEPS, STEP = 3, 0.25
_BAND_PX = 1 << 17  # of LR at once: a frame of 4K would take gigabytes


class MovedLr:
    """Moves LR frames through the hard path of the int8 network in a file. `loss`: what of the
    squares is lowered (sr/training/losses.py)."""

    def __init__(self, file: Path, loss: str) -> None:
        known = unpack_weights(whole_blob(file.read_bytes()))
        real = replace(known, tensors=real_tensors(known.arch, known.tensors))
        self._network = trainable_network(real).eval()
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for parameter in self._network.parameters():
            parameter.requires_grad_(False)
        self._loss = loss

    def __call__(self, lr: Image, hr: Image) -> Image:
        """[h, w, 3] u8, moved; `hr` [H, W, 3] u8 may end before the LR frame does."""
        arch, (height, width) = self._network.arch, lr.shape[:2]
        beyond = [(0, -side % arch.units) for side in (height, width)]
        moved, wanted = _tensor(np.pad(lr, (*beyond, (0, 0)), "edge")), _tensor(hr)
        for _ in range(STEPS):
            slope = self._slope(moved.detach(), wanted)
            moved = moved.detach() - STEP / float(arch.scale) ** 2 * slope
        pixels = (moved[0, :, :height, :width] * PIXEL_MAX).round().clamp(0, PIXEL_MAX)
        return pixels.permute(1, 2, 0).byte().numpy()

    def _slope(self, lr: Tensor, wanted: Tensor) -> Tensor:
        """By how much half the squared error rises with each sample of LR: the sum over bands of
        what each band's rows of HR miss."""
        lr, arch, margin = lr.requires_grad_(True), self._network.arch, self._network.halo_px(HARD)
        height, width = lr.shape[2:]
        rows = max(1, _BAND_PX // (width * arch.units)) * arch.units
        total = torch.zeros_like(lr)
        for top in range(0, height, rows):
            seen = F.pad(lr, (margin,) * 4, "replicate")[:, :, top : top + rows + 2 * margin]
            with bf16_where_fast():
                made = self._network(seen.to(memory_format=torch.channels_last), HARD).float()
            above = hr_px(top, arch.scale)
            missed = wanted[:, :, above : above + made.shape[2]]
            off = made[..., : missed.shape[2], : missed.shape[3]] - missed
            error = squared_errors(off, self._loss).sum() * off.shape[1]
            total += torch.autograd.grad(error / 2, lr)[0]
        return total


def _tensor(image: Image) -> Tensor:
    """[H, W, 3] u8 -> [1, 3, H, W] in unit range."""
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / PIXEL_MAX
