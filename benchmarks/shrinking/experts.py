"""The table `experts`: a mixture of experts for crops of a film, and what is left of it condensed.

CD-MoE's claim (Cao et al., 2024) presumes a mixture that is better than one network of the size
that is active for a token. Here a crop's experts fold into its convolutions (sr/models/moe.py), so
that the dense network of the same widths is that size: what routing gains is `moe` over it, and
over the same with the one branch that folds away for all crops. All are judged before rounding,
patch by patch with its halo, for a network that routes has no integers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.shrinking.arms import HALF
from benchmarks.shrinking.base import trained_well
from benchmarks.shrinking.claims import RUN, Claim, Judged, above
from benchmarks.shrinking.clips import Clip
from benchmarks.shrinking.controls import CondenseRandom, EvenWidths
from benchmarks.shrinking.judge import group_psnr, missed_sse, seen_patches
from benchmarks.verdict import Row, all_of, at_least, sample, values_of
from player.costs import macs_per_pixel
from player.package.paths import HARD
from sr.models import Network, build_network
from sr.models.moe import ExpertPlan, moe_chain
from sr.shrink.budget import parse_budget
from sr.shrink.condense import Condensation, Condense, CondensingPlan
from sr.shrink.stage import Stage, StageWork
from sr.shrink.uniform import Uniform, at_budget
from sr.training.loop import TrainingPlan, overfit

TWO_OF_16 = ExpertPlan(experts=16, channels=16, chosen=2, shared=0)
KEPT_GAIN = 0.9


@dataclass(frozen=True)
class Routed(Condense):
    """The mixture, routed to the last step: what is condensed elsewhere."""

    def apply(self, network: Network, work: StageWork) -> Network:
        moe = moe_chain(at_budget(network, work), self.experts, work.seed)
        never = CondensingPlan(work.plan.steps + 1, 1, 0, self.keep, self.balance, work.seed)
        overfit(moe, work.sampler, work.plan, companion=Condensation(moe, (), never))
        return moe


def _condensed(make: Callable[..., Stage]) -> Stage:
    return make(experts=TWO_OF_16, keep=2, routed_share=0.5)


_STAGES: Mapping[str, tuple[str, Stage]] = {
    "dense": ("one network of the same widths", EvenWidths(step=16)),
    "dense, branch": ("the same, with a branch that folds away", Uniform()),
    "moe": ("2 of 16 experts for each crop, routed to the end", Routed(TWO_OF_16, keep=2)),
    "condensed": ("routed for half of the steps, then 2 experts for all", _condensed(Condense)),
    "condensed, random": ("the same, 2 experts at random", _condensed(CondenseRandom)),
}
ARMS = {name: about for name, (about, _) in _STAGES.items()}
SHOWN = ("arm", "psnr_db", "macs")


def _keeps_gain(arm: str, whole: str, base: str) -> Claim:
    """`arm` keeps most of what `whole` gains over `base`."""

    def judge(rows: Sequence[Row]) -> Judged:
        ours, theirs, bases = (values_of(rows, a, "psnr_db", RUN) for a in (arm, whole, base))
        runs = [run for run in ours if run in theirs and run in bases]
        kept = [ours[run] - bases[run] for run in runs]
        gained = [theirs[run] - bases[run] for run in runs]
        margins = [k - KEPT_GAIN * g for k, g in zip(kept, gained, strict=True)]
        verdict = all_of(at_least(gained), at_least(margins))  # of no gain nothing is kept
        return verdict, {"kept_db": sample(kept), "gain_db": sample(gained)}

    text = f"{arm} keeps {KEPT_GAIN:.0%} of what {whole} gains over {base}"
    return Claim(text, (arm, whole, base), judge)


CLAIMS = (
    above("moe", "dense", 0.0),
    above("moe", "dense, branch", 0.0),
    _keeps_gain("condensed", "moe", "dense"),
    above("condensed", "dense", 0.0),
    above("condensed", "dense, branch", 0.0),
    above("condensed", "condensed, random", 0.0),
)


def make(clip: Clip, arm: str, seed: int, steps: int, store: Path) -> dict[str, Any]:
    """Train and judge one arm."""
    _, stage = _STAGES[arm]
    budget = parse_budget(HALF, clip.arch)
    work = StageWork(clip.small_sampler(seed), TrainingPlan(steps), budget, seed=seed)
    network = trained_well(stage.apply(build_network(clip.arch, seed), work))
    macs = macs_per_pixel(network.arch, HARD)
    return {"macs": macs, "widths": list(network.arch.widths), **judge_patches(network, clip)}


@torch.no_grad()
def judge_patches(network: Network, clip: Clip) -> dict[str, Any]:
    """PSNR of the hard path of a network in unit range, each patch upscaled by itself: one that
    routes looks at no more."""
    errors = np.zeros((len(clip.pairs), *clip.grid.shape))
    for place, lr, hr in seen_patches(network, clip):
        errors[place] = missed_sse(network, lr, network.residuals(lr)[HARD], hr)
    return group_psnr(errors, clip)
