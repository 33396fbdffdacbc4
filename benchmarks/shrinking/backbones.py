"""The table `backbones`: the papers' networks beside the product's, at equal training work.

All learn the same crops by the same plain recipe (squared error, Adam, cosine), in real numbers,
for as many multiplications as `chain` takes in the given steps: a network of a hundred times the
work has a hundredth of them. Each is judged on whole frames, rounded to pixels. The table says what
a server gets for its time, not what a network could learn in the days that the papers give it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.shrinking.base import trained_well
from benchmarks.shrinking.claims import above
from benchmarks.shrinking.clips import BATCH, SCALE, Clip, read_spread
from player.costs import macs_per_pixel
from player.metrics import psnr_db
from player.package.paths import HARD
from sr.models import PUBLISHED, Network, architecture, build_network
from sr.models.precision import bf16_where_fast
from sr.training.data import CropSampler, training_set
from sr.training.loop import TrainingPlan

REFERENCE = "chain"
ADAM_RATE = 1e-3  # STDO's for WDSR
ARMS = {
    REFERENCE: "the product's: six layers of 32 add detail to bicubic",
    "espcn": "ESPCN, 64-64-32",
    "wdsr": "WDSR-A, four blocks of 16",
    "wdsr-16": "WDSR-A, sixteen blocks of 32, as STDO has it",
    "srcnn": "SRCNN 9-5-5 on bicubic",
    "vdsr": "VDSR, twenty layers of 64 on bicubic",
    "edsr": "EDSR, sixteen blocks of 64",
}
CLAIMS = tuple(above(REFERENCE, name, 0.0) for name in ARMS if name != REFERENCE)
SHOWN = ("arm", "psnr_db", "parameters", "macs", "steps")
read = read_spread


class WholeFrames(nn.Module):
    """A network of the product on frames without a halo: their edge pixels go on."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        halo = (self.network.halo_px(HARD),) * 4
        made: Tensor = self.network(F.pad(x, halo, mode="replicate"))
        return made


def backbone(name: str, seed: int) -> nn.Module:
    """[N, 3, h, w] -> [N, 3, r h, r w], unit range, freshly initialised."""
    if name not in PUBLISHED:
        return WholeFrames(build_network(architecture(name, SCALE, dynamic=False), seed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PUBLISHED[name](SCALE)


def macs_of(module: nn.Module) -> float:
    """Products of its convolutions for each LR pixel."""
    if isinstance(module, WholeFrames):
        return macs_per_pixel(module.network.arch, HARD)
    side, products = 8, 0

    def count(convolution: nn.Conv2d, inputs: Any, made: Tensor) -> None:
        nonlocal products
        products += made.shape[2] * made.shape[3] * convolution.weight.numel()

    hooks = [m.register_forward_hook(count) for m in module.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        module(torch.zeros(1, 3, side, side))
    for hook in hooks:
        hook.remove()
    return products / side**2


def make(clip: Clip, arm: str, seed: int, steps: int, store: Path) -> dict[str, Any]:
    """Train and judge one network."""
    module = backbone(arm, seed)
    macs = macs_of(module)
    work = max(1, round(steps * macs_of(backbone(REFERENCE, seed)) / macs))
    data = training_set(list(clip.pairs), SCALE, 0)
    shares = np.ones(clip.difficulty.fine_db.shape)
    cell_px = clip.grid.fine_h, clip.grid.fine_w
    train(module, CropSampler(data, shares, cell_px, BATCH, seed), work)
    parameters = sum(p.numel() for p in module.parameters())
    shown = {"psnr_db": frames_db(trained_well(module), clip), "parameters": parameters}
    return {**shown, "macs": macs, "steps": work}


def train(module: nn.Module, sampler: CropSampler, steps: int) -> None:
    """Squared error, Adam, warm-up and cosine."""
    plan = TrainingPlan(steps)
    adam = torch.optim.Adam(module.parameters(), ADAM_RATE)
    module.train()
    for step in range(steps):
        batch = sampler.draw(step)
        with bf16_where_fast():
            shown = module(batch.lr)
        loss = (shown.float() - batch.hr).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.param_groups[0]["lr"] = ADAM_RATE * plan.schedule(step)
        adam.step()


def frames_db(module: Callable[[Tensor], Tensor], clip: Clip) -> float:
    """PSNR of whole frames, as pixels."""
    errors = []
    for pair in clip.pairs:
        with torch.no_grad():
            lr = torch.from_numpy(pair.lr).permute(2, 0, 1)[None] / 255
            shown = (module(lr)[0].permute(1, 2, 0) * 255).round().clamp(0, 255).numpy()
        errors.append(((shown - pair.hr) ** 2).mean())
    return psnr_db(float(np.mean(errors)))
