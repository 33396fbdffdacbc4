"""A small vision transformer as a classifier, and its training: repeatable by seed and step.

    images u8 ─► crop and flip ─► 4 x 4 px patches + places ─► [only some patches go in]
              ─► class token + vit/encoder.py (bf16) ─► cross-entropy (fp32) ─► AdamW

Counted are the floating-point operations of all steps, and the thread's seconds in them.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.reproduction.classify import EVALUATION_BATCH, Augmentation, network_input
from benchmarks.reproduction.datasets import Indices, LabelledImages
from benchmarks.reproduction.vit.encoder import Encoder
from benchmarks.reproduction.vit.flops import Shape, encoder_flops
from benchmarks.reproduction.vit.tokens import Sparsity, Tokens, gather
from sr.models.precision import bf16_where_fast

PATCH_PX, SIDE_PX, PLACE_STD = 4, 32, 0.02
PATCHES = (SIDE_PX // PATCH_PX) ** 2
CROP_AND_FLIP = Augmentation()


@dataclass(frozen=True)
class VitSize:
    """Width, blocks and heads."""

    dim: int = 64
    depth: int = 8
    heads: int = 4


@dataclass(frozen=True)
class VitSettings:
    """What both tables train: images, epochs, the network, its rate, and the blocks `at` which it
    chooses."""

    images: int = 5000
    epochs: int = 12
    batch: int = 64
    dim: int = 64
    depth: int = 8
    heads: int = 4
    rate: float = 2e-3
    at: tuple[int, ...] = (2, 4, 6)

    @property
    def size(self) -> VitSize:
        return VitSize(self.dim, self.depth, self.heads)


@dataclass(frozen=True)
class VitPlan:
    """AdamW (DeiT's choice; Touvron et al., ICML 2021); linear warm-up, then cosine to zero."""

    steps: int
    batch: int = 64
    rate: float = 2e-3
    weight_decay: float = 0.05
    warm_up_steps: int = 100

    def rate_at(self, step: int) -> float:
        cosine = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return self.rate * min(1.0, (step + 1) / self.warm_up_steps) * cosine


@dataclass(frozen=True)
class Classified:
    """Logits [B, K], and `kept` [B, m]: which of the patches that went in are left in the end."""

    logits: Tensor
    kept: Tensor


class Vit(nn.Module):
    """Images [B, 3, 32, 32] of `network_input` -> logits."""

    def __init__(self, size: VitSize, classes: int) -> None:
        super().__init__()
        self.size = size
        self.embed = nn.Linear(3 * PATCH_PX**2, size.dim)
        self.place = nn.Parameter(PLACE_STD * torch.randn(PATCHES, size.dim))
        self.first = nn.Parameter(PLACE_STD * torch.randn(1, 1, size.dim))
        self.encoder = Encoder(size.dim, size.depth, size.heads)
        self.head = nn.Linear(size.dim, classes)

    def forward(
        self, images: Tensor, sparsity: Sparsity | None = None, patches: Tensor | None = None
    ) -> Classified:
        """`patches` [B, n]: the only ones that go in (None: all)."""
        cut = F.unfold(images, PATCH_PX, stride=PATCH_PX).transpose(1, 2)
        x = self.embed(cut) + self.place
        x = x if patches is None else gather(x, patches)
        x = torch.cat([self.first.expand(len(x), 1, -1).to(x.dtype), x], dim=1)
        tokens = self.encoder(Tokens.all(x, prefix=1), sparsity)
        return Classified(self.head(self.encoder.normed(tokens.x[:, 0])), tokens.kept)

    def forward_flops(self, patches: int = PATCHES, sparsity: Sparsity | None = None) -> int:
        """Of one image."""
        shape = Shape(self.size.dim, self.size.depth, patches, prefix=1)
        ends = 2 * (PATCHES * self.embed.weight.numel() + self.head.weight.numel())
        return ends + encoder_flops(shape, sparsity)

    def training_flops(self, patches: int = PATCHES, sparsity: Sparsity | None = None) -> int:
        """Of one image in a step; the first layer has no gradient to pass on."""
        embed = 2 * PATCHES * self.embed.weight.numel()
        return 3 * self.forward_flops(patches, sparsity) - embed


def build_vit(size: VitSize, classes: int, seed: int) -> Vit:
    """A freshly initialised network; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Vit(size, classes)


@dataclass(frozen=True)
class Picked:
    """What goes into a step: patches [B, n] (None: all), what thins them out inside, and the
    operations that the pick took."""

    patches: Tensor | None = None
    sparsity: Sparsity | None = None
    flops: int = 0


Order = Callable[[int], Indices]
"""step -> which images it sees, [batch]."""
Pick = Callable[[int, Indices, Tensor], Picked]
"""(step, which images, the images [B, 3, 32, 32]) -> what goes in of them."""
OnBatch = Callable[[int, Indices, Tensor], None]
"""(step, which images, which of them were right [B] bool)."""


def pick_all(step: int, chosen: Indices, images: Tensor) -> Picked:
    return Picked()


@dataclass(frozen=True)
class Effort:
    """What a training took, on one thread."""

    gflops: float
    seconds: float

    def to_row(self) -> dict[str, float]:
        return {"gflops": round(self.gflops, 3), "seconds": round(self.seconds, 1)}


@dataclass(frozen=True)
class Task:
    """A training set, and the seed of its order and its augmentation."""

    data: LabelledImages
    seed: int
    augmentation: Augmentation = CROP_AND_FLIP

    def images(self, step: int, chosen: Indices) -> Tensor:
        """The augmented images of a step: a function of seed, step and choice alone."""
        rng = np.random.default_rng([self.seed, step, 1])
        return network_input(self.augmentation(self.data.images[chosen], rng))


def shuffled(pool: Callable[[int], Indices], batch: int, seed: int, epoch_steps: int) -> Order:
    """Passes over `pool(epoch)`, in another order each time; what is left of it at an epoch's end
    is not seen, and where there is too little it begins again."""

    def order(step: int) -> Indices:
        epoch, at = divmod(step, epoch_steps)
        members = pool(epoch)
        rng = np.random.default_rng([seed, epoch])
        return np.resize(rng.permutation(members), epoch_steps * batch)[at * batch :][:batch]

    return order


def train_vit(
    vit: Vit,
    task: Task,
    plan: VitPlan,
    order: Order,
    pick: Pick = pick_all,
    on_batch: OnBatch | None = None,
) -> Effort:
    """Train in place for `plan.steps`."""
    optimiser = torch.optim.AdamW(vit.parameters(), plan.rate, weight_decay=plan.weight_decay)
    flops, began = 0, time.thread_time()
    vit.train()
    for step in range(plan.steps):
        chosen = order(step)
        images = task.images(step, chosen)
        picked = pick(step, chosen, images)
        logits = _logits(vit, images, picked)
        targets = torch.from_numpy(task.data.labels[chosen])
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(logits, targets).backward()
        optimiser.param_groups[0]["lr"] = plan.rate_at(step)
        optimiser.step()
        n = PATCHES if picked.patches is None else picked.patches.shape[1]
        flops += len(chosen) * vit.training_flops(n, picked.sparsity) + picked.flops
        if on_batch is not None:
            on_batch(step, chosen, logits.detach().argmax(dim=1) == targets)
    return Effort(flops / 1e9, time.thread_time() - began)


def _logits(vit: Vit, images: Tensor, picked: Picked) -> Tensor:
    with bf16_where_fast():
        seen = vit(images, picked.sparsity, picked.patches)
    return seen.logits.float()


@torch.no_grad()
def accuracy(vit: Vit, data: LabelledImages, pick: Pick = pick_all) -> float:
    """The share of images as they are that it gets right, with what `pick` lets in."""
    vit.eval()
    right = 0
    for chosen in _parts(len(data)):
        images = network_input(data.images[chosen])
        logits = _logits(vit, images, pick(0, chosen, images))
        right += int((logits.argmax(dim=1) == torch.from_numpy(data.labels[chosen])).sum())
    return right / len(data)


def _parts(length: int) -> Sequence[Indices]:
    return np.array_split(np.arange(length), max(1, -(-length // EVALUATION_BATCH)))
