"""The table `coded`: what stages are worth at a product's length, where weights are coded.

A blob's coder spends little on zeros and on what is small, and training at a price for each bit
makes both by itself (sr/quant/rate.py). So Chase has to say what it adds to that, and CHEX has the
steps for as many updates as it asks for. All arms have the crops that `encode` draws by itself, the
same price and the same steps, of which a stage has the first 60 %:

    stage ──► fine-tuning at a price for each bit, zeros kept ──► coded blob

and is told by what it is worth: its PSNR, less what its bytes would bring in an LR stream of
STREAM_BYTES, 3 dB for twice the bytes, which is what set the price. CHEX saves no bytes beside
networks of its widths, and is told by PSNR. `even blocks` has half of the others' multiplications:
no control of theirs, but what they have to be ahead of where it is as good.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log2
from pathlib import Path
from typing import Any

from benchmarks.shrinking.arms import BLOCK, HALF
from benchmarks.shrinking.base import trained_well
from benchmarks.shrinking.claims import above, ratio
from benchmarks.shrinking.clips import Clip, read_spread
from benchmarks.shrinking.controls import (
    ChaseRandomChannels,
    EvenWidths,
    MagnitudePruning,
    SparseTrained,
    drawn_mask,
)
from benchmarks.shrinking.judge import judge_blob
from player.costs import macs_per_pixel
from player.package.paths import HARD
from sr.encode.rate_weight import DB_A_DOUBLING
from sr.models import build_network
from sr.packing import pack_integers
from sr.quant.finetune import fine_tune, training_plans
from sr.shrink.budget import parse_budget
from sr.shrink.chase import Chase
from sr.shrink.chex import Chex
from sr.shrink.sparse import KeepZeros, StartMask
from sr.shrink.stage import Stage, StageWork
from sr.shrink.uniform import Uniform
from sr.training.crop_error import crop_error
from sr.training.loop import overfit

STREAM_BYTES = 100_000
QUICK_STEPS = 480  # fewer leave CHEX no update
LONG_CHEX = Chex(explore_share=0.55)  # of 5,000 steps: 30 updates
read = read_spread


@dataclass(frozen=True)
class LateChase(Chase):
    """Chase nearer to the paper: masks drawn, sparser, channels that go when weights have learned
    for a while (Yin et al., NeurIPS 2023, removes until 0.8 of its epochs)."""

    remove_from: float = 0.2
    remove_until: float = 0.6
    density: float = 0.2
    start: StartMask = drawn_mask

    def first_removal(self, steps: int, removing: int) -> int:
        return round(self.remove_from * steps)


_STAGES: Mapping[str, tuple[str, Stage | None]] = {
    "dense": ("the default network, not shrunk", None),
    "uniform": ("what a budget alone means: half of the multiplications", Uniform()),
    "fixed blocks": ("the same widths, without the branches", EvenWidths(BLOCK)),
    "even blocks": ("even widths of 16 from scratch", EvenWidths(BLOCK, mixed=False)),
    "chase": ("Chase, the same multiplications as uniform", Chase()),
    "chase, late": ("the same: masks drawn at first, sparser, channels go later", LateChase()),
    "chase, random channels": ("Chase, channels drawn at random", ChaseRandomChannels()),
    "sparse, all channels": ("as many non-zeros, no channel removed", SparseTrained()),
    "chex": ("CHEX, the same multiplications", Chex()),
    "chex, long": ("the same, exploring for more than half of the first steps", LONG_CHEX),
    "group-blind": ("channels masked by magnitude, none given back", MagnitudePruning()),
}
ARMS = {name: about for name, (about, _) in _STAGES.items()}
_WORTH = ("worth_db", ", its bytes paid for,")
CLAIMS = (
    *(above(chase, other, 0.0, *_WORTH)
      for chase in ("chase", "chase, late")
      for other in ("uniform", "fixed blocks")),
    above("chase", "chase, random channels", 0.0, *_WORTH),
    above("chase, late", "chase", 0.0, *_WORTH),
    above("sparse, all channels", "dense", 0.0, *_WORTH),
    above("uniform", "dense", 0.0, *_WORTH),
    above("uniform", "fixed blocks", 0.0, *_WORTH),
    *(above(chex, other, least)
      for chex in ("chex", "chex, long")
      for other, least in (("fixed blocks", 0.2), ("uniform", 0.0), ("group-blind", 0.0))),
    above("chex, long", "chex", 0.0),
    ratio("chase", "uniform", "bytes", 1.0, "bytes of weights"),
)  # fmt: skip
SHOWN = ("arm", "worth_db", "psnr_db", "bytes", "macs")


def make(clip: Clip, arm: str, seed: int, steps: int, store: Path) -> dict[str, Any]:
    """Train, code and judge one arm."""
    _, stage = _STAGES[arm]
    sampler, network = clip.small_sampler(seed), build_network(clip.arch, seed)
    first, second = training_plans(steps, rate_aware=True)
    if stage is None:
        overfit(network, sampler, first)
    else:
        budget = parse_budget(HALF, clip.arch)
        network = stage.apply(network, StageWork(sampler, first, budget, seed=seed))
    price = crop_error(sampler, first.loss) / (8 * STREAM_BYTES)
    zeros = KeepZeros(trained_well(network))
    blob = pack_integers(
        network.arch, fine_tune(network, sampler, second, None, None, zeros, price)
    )
    judged = judge_blob(blob, clip)
    return {
        "bytes": len(blob),
        "macs": macs_per_pixel(network.arch, HARD),
        "widths": list(network.arch.widths),
        "worth_db": judged["psnr_db"] - DB_A_DOUBLING * log2(1 + len(blob) / STREAM_BYTES),
        **judged,
    }
