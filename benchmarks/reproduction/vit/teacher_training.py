"""Training a transformer teacher on a clip's crops, and what it makes of whole frames.

crops ─► teacher, thinned out by the schedule (bf16) ─► squared error (fp32) ─► Muon and Adam
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.reproduction.vit.teacher import CONTEXT_PX, Teacher
from benchmarks.reproduction.vit.tokens import Schedule, Sparsity
from sr.models.network import PIXEL_MAX
from sr.models.precision import bf16_where_fast
from sr.packing import to_pixels
from sr.training.data import CropSampler
from sr.training.loop import TrainingPlan
from sr.training.muon import Muon

Image = NDArray[np.uint8]
OnTeacherStep = Callable[[int, float], None]

ADAM_RATE, MUON_RATE = 2e-3, 0.01
WARM_UP_SHARE, DECAY_SHARE = 1 / 30, 1 / 3  # of the steps; Tri-Level E-ViT's 10 and 100 of 300
TILES = 16  # of a frame, at once


@dataclass(frozen=True)
class TeacherPlan:
    """`steps` batches; with a `target`, tokens and links fall to it by Tri-Level's schedule."""

    steps: int
    target: Sparsity | None = None

    def sparsity(self, step: int) -> Sparsity | None:
        """What holds at a step."""
        if self.target is None:
            return None
        warm_up, decay = (round(share * self.steps) for share in (WARM_UP_SHARE, DECAY_SHARE))
        return Schedule(warm_up, decay).at(step, self.target)


def train_teacher(
    teacher: Teacher, sampler: CropSampler, plan: TeacherPlan, on_step: OnTeacherStep | None = None
) -> int:
    """Train in place, with the rates' schedule of the deployed networks; returns the
    floating-point operations that it took. `on_step(steps done, mean squared error)` watches."""
    optimisers = _optimisers(teacher)
    rates, flops = TrainingPlan(plan.steps), 0
    peaks = [optimiser.param_groups[0]["lr"] for optimiser in optimisers]
    for step in range(plan.steps):
        batch, sparsity = sampler.draw(step), plan.sparsity(step)
        loss = (taught(teacher, batch.lr, sampler.data.margin_px, sparsity) - batch.hr).square()
        teacher.zero_grad(set_to_none=True)
        batch.mean(loss.mean(dim=1)).backward()
        for optimiser, peak in zip(optimisers, peaks, strict=True):
            optimiser.param_groups[0]["lr"] = peak * rates.schedule(step)
            optimiser.step()
        flops += len(batch.lr) * teacher.training_flops(sparsity)
        if on_step:
            on_step(step + 1, float(loss.detach().mean()))
    return flops


def taught(teacher: Teacher, lr: Tensor, halo_px: int, sparsity: Sparsity | None = None) -> Tensor:
    """What the teacher makes of crops, its products in bf16: [N, 3, r c, r c] in unit range."""
    with bf16_where_fast():
        residual = teacher.residual(lr, halo_px, sparsity)
    return residual.float() + teacher.base(lr, halo_px)


def _optimisers(teacher: Teacher) -> list[torch.optim.Optimizer]:
    """Muon for the matrices between hidden states, Adam for all that touches pixels or places."""
    hidden = [
        m.get_parameter("weight") for m in teacher.encoder.modules() if isinstance(m, nn.Linear)
    ]
    chosen = {id(weight) for weight in hidden}
    rest = [p for p in teacher.parameters() if id(p) not in chosen]
    return [Muon(hidden, MUON_RATE), torch.optim.Adam(rest, ADAM_RATE, betas=(0.9, 0.99))]


@torch.no_grad()
def upscale_frame(teacher: Teacher, lr: Image, sparsity: Sparsity | None = None) -> Image:
    """A whole LR frame [h, w, 3] u8 -> [r h, r w, 3] u8, in tiles of the size it was trained on;
    the last ones of a row or column overlap those before."""
    r, m = teacher.shape.scale, CONTEXT_PX
    height, width = lr.shape[:2]
    out = np.empty((r * height, r * width, 3), np.uint8)
    padded = np.pad(lr, ((m, m), (m, m), (0, 0)), mode="edge")
    h, w = (min(teacher.shape.crop_px, side) for side in (height, width))
    places = [(y, x) for y in _starts(height, h) for x in _starts(width, w)]
    for part in (places[i : i + TILES] for i in range(0, len(places), TILES)):
        tiles = np.stack([padded[y : y + h + 2 * m, x : x + w + 2 * m] for y, x in part])
        pixels = torch.from_numpy(tiles).permute(0, 3, 1, 2).float() / PIXEL_MAX
        for (y, x), tile in zip(part, taught(teacher, pixels, m, sparsity), strict=True):
            out[r * y : r * (y + h), r * x : r * (x + w)] = to_pixels(PIXEL_MAX * tile[None])
    return out


def _starts(extent: int, side: int) -> Iterator[int]:
    """Where tiles of `side` begin so that they cover `extent`."""
    yield from range(0, extent - side, side)
    yield extent - side
