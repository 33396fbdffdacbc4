"""A transformer teacher on real clips: what its sparsity costs and saves, and whether it teaches.

    clip ─► teacher, dense or thinned out while it trains ─► PSNR of the whole clip as it runs then
                  └─ dense ─► deployed network, distilled ─► int8 ─► PSNR of the whole clip

`gflops` is a step's mean over the training, `seconds` the processor's for all that the arm needs,
the teacher of a distilled network included. `step_ratio` is the time of a step at the target over
that of a dense step, both in turns in one process. Every arm has the same number of steps but for
`overfit alone, same seconds`, which takes as long as `distilled` took: its steps follow from times
that were measured, so it alone does not repeat exactly.
"""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from torch import Tensor, nn

from benchmarks.harness import interleave
from benchmarks.reproduction.pruning import WARM_UP_RUNS, Metered
from benchmarks.reproduction.rows import RowStore
from benchmarks.reproduction.vit.distil import Distillation
from benchmarks.reproduction.vit.teacher import Teacher, TeacherShape, build_teacher
from benchmarks.reproduction.vit.teacher_training import (
    TeacherPlan,
    taught,
    train_teacher,
    upscale_frame,
)
from benchmarks.reproduction.vit.tokens import (
    AtRandom,
    Blocks,
    Score,
    Sparsity,
    by_detail,
    by_received,
)
from benchmarks.shrinking.base import trained_well
from benchmarks.shrinking.claims import Claim, above, near, ratio
from benchmarks.shrinking.clips import BATCH, SCALE, Clip
from benchmarks.shrinking.judge import judge_blob
from player.costs import macs_per_pixel
from player.metrics import psnr_db
from player.package.paths import HARD
from sr.models import Network, build_network
from sr.packing import pack_integers
from sr.quant.finetune import quantise_trained
from sr.training.data import CROP_PX, CropSampler
from sr.training.loop import TrainingPlan, overfit

AT = (1, 3)  # of six blocks
TOKENS, LINKS, FEW_LINKS = 0.7, 0.5, 0.25
COARSE, FINE = Blocks(queries=48, keys=8), Blocks(queries=64, keys=16)
FINE_PX = 2
WEIGHT = 1.0  # of the teacher's term against HR's
ROUNDS, TIMED_STEPS = 15, 30


@dataclass(frozen=True)
class TeacherArm:
    """A teacher: what its schedule ends with, how its tokens are scored, their side."""

    about: str
    tokens: float = 1.0
    links: float = 1.0
    score: Callable[[int], Score] = lambda seed: by_received
    blocks: Blocks = COARSE
    token_px: int = 4
    dim: int = 96

    @property
    def shape(self) -> TeacherShape:
        return TeacherShape(SCALE, self.dim, token_px=self.token_px)

    def target(self, seed: int) -> Sparsity | None:
        """None where nothing is dropped."""
        if self.tokens == self.links == 1:
            return None
        return Sparsity(AT, self.tokens, self.links, self.score(seed), self.blocks)


DENSE, BY_TOKENS, BY_DETAIL = "teacher", "teacher, tokens", "teacher, tokens by detail"
AT_RANDOM, BY_LINKS, BOTH = "teacher, random tokens", "teacher, links", "teacher, tokens and links"
FINE_DENSE, FINE_LINKS = "fine teacher", "fine teacher, links"
TEACHERS: Mapping[str, TeacherArm] = {
    DENSE: TeacherArm("all tokens, all links"),
    BY_TOKENS: TeacherArm("0.7 of the tokens twice, by attention received", TOKENS),
    BY_DETAIL: TeacherArm(
        "the same, by the variance of their pixels", TOKENS, 1, lambda s: by_detail
    ),
    AT_RANDOM: TeacherArm("the same, any", TOKENS, 1, AtRandom),
    BY_LINKS: TeacherArm("half of the links", 1, LINKS),
    BOTH: TeacherArm("0.7 of the tokens twice, half of the links", TOKENS, LINKS),
    FINE_DENSE: TeacherArm("tokens of 2 x 2 px, four times as many", token_px=FINE_PX, dim=64),
    FINE_LINKS: TeacherArm(
        "the same, a quarter of the links", 1, FEW_LINKS, blocks=FINE, token_px=FINE_PX, dim=64
    ),
}
ALONE, DISTILLED = "overfit alone", "distilled"
SAME_SECONDS = "overfit alone, same seconds"
ARMS: Mapping[str, str] = {
    **{name: arm.about for name, arm in TEACHERS.items()},
    ALONE: "the deployed network, int8",
    DISTILLED: "the same steps, with the dense teacher",
    SAME_SECONDS: "without a teacher, as long as that took with it",
}
SHOWN = ("arm", "psnr_db", "gflops", "seconds", "step_ratio")
CLAIMS: tuple[Claim, ...] = (
    near(BY_TOKENS, DENSE, 0.05),
    ratio(BY_TOKENS, DENSE, "gflops", 0.8, "operations"),
    ratio(BY_TOKENS, DENSE, "step_ratio", 0.8, "a step's time"),
    above(BY_TOKENS, AT_RANDOM, 0.0),
    above(BY_DETAIL, AT_RANDOM, 0.0),
    near(BY_LINKS, DENSE, 0.05),
    ratio(BY_LINKS, DENSE, "step_ratio", 0.98, "a step's time"),
    near(BOTH, DENSE, 0.05),
    near(FINE_LINKS, FINE_DENSE, 0.05),
    ratio(FINE_LINKS, FINE_DENSE, "step_ratio", 0.8, "a step's time"),
    above(DENSE, ALONE, 0.0),
    above(DISTILLED, ALONE, 0.0),
    above(DISTILLED, SAME_SECONDS, 0.0),
)


def make(clip: Clip, arm: str, seed: int, steps: int, store: Path) -> dict[str, Any]:
    """One arm's row."""
    if arm in TEACHERS:
        return _teacher_row(clip, TEACHERS[arm], seed, steps)
    if arm == ALONE:
        return _alone(clip, seed, steps)
    found = _distilled(clip, seed, steps, store)
    if arm == DISTILLED:
        return found
    return _alone(clip, seed, int(found["same_seconds_steps"]))


def _teacher_row(clip: Clip, arm: TeacherArm, seed: int, steps: int) -> dict[str, Any]:
    teacher, target, began = build_teacher(arm.shape, seed), arm.target(seed), process_time()
    flops = train_teacher(teacher, clip.sampler(seed), TeacherPlan(steps, target))
    seconds = process_time() - began
    return {
        "psnr_db": teacher_psnr(teacher, clip, target),
        "gflops": flops / steps / 1e9,
        "seconds": round(seconds, 1),
        "step_ratio": 1.0 if target is None else step_ratio(teacher, clip, target),
        "steps": steps,
    }


def teacher_psnr(teacher: Teacher, clip: Clip, sparsity: Sparsity | None) -> float:
    """RGB, over all frames, of pixels rounded to u8."""
    squares = [
        np.square(upscale_frame(teacher, pair.lr, sparsity).astype(np.float64) - pair.hr).mean()
        for pair in clip.pairs
    ]
    return psnr_db(float(np.mean(squares)))


class _Step(nn.Module):
    """A teacher's forward and backward pass on crops."""

    def __init__(self, teacher: Teacher, halo_px: int, sparsity: Sparsity | None) -> None:
        super().__init__()
        self.teacher, self.halo_px, self.sparsity = teacher, halo_px, sparsity

    def forward(self, lr: Tensor) -> Tensor:
        out = taught(self.teacher, lr, self.halo_px, self.sparsity)
        self.teacher.zero_grad(set_to_none=True)
        out.square().mean().backward()
        return out


def step_ratio(teacher: Teacher, clip: Clip, target: Sparsity) -> float:
    """The median time of a step at the target over that of a dense one, in turns."""
    sampler = clip.sampler(0)
    lr, halo_px = sampler.draw(0).lr, sampler.data.margin_px
    metered = {s: Metered(_Step(teacher, halo_px, s), lr) for s in (target, None)}
    interleave({str(s): run for s, run in metered.items()}, ROUNDS, WARM_UP_RUNS)
    thin, dense = (statistics.median(m.samples_s[WARM_UP_RUNS:]) for m in metered.values())
    return thin / dense


def _alone(clip: Clip, seed: int, steps: int) -> dict[str, Any]:
    network, sampler, began = build_network(clip.arch, seed), clip.sampler(seed), process_time()
    overfit(network, sampler, TrainingPlan(steps))
    seconds = process_time() - began
    return {
        "psnr_db": _integers_psnr(network, clip, sampler),
        "gflops": _network_flops(clip) / 1e9,
        "seconds": round(seconds, 1),
        "steps": steps,
    }


def _integers_psnr(network: Network, clip: Clip, sampler: CropSampler) -> float:
    """Of the network as the tables' other rows pack it."""
    blob = pack_integers(network.arch, quantise_trained(trained_well(network), sampler))
    return float(judge_blob(blob, clip)["psnr_db"])


def _network_flops(clip: Clip) -> float:
    """Of a step of the deployed network: forward and twice that backward."""
    return 3 * 2 * macs_per_pixel(clip.arch, HARD) * BATCH * CROP_PX**2


def _distilled(clip: Clip, seed: int, steps: int, store: Path) -> dict[str, Any]:
    """The row of `distilled`, kept: the arm of the same seconds reads it too."""
    key = {"clip": clip.name, "frames": len(clip.pairs), "seed": seed, "steps": steps}
    return RowStore(store / "distilled").row(key, lambda: _distil(clip, seed, steps))


def _distil(clip: Clip, seed: int, steps: int) -> dict[str, Any]:
    alone_s = _seconds_a_step(clip, seed)
    teacher, sampler = build_teacher(TEACHERS[DENSE].shape, seed), clip.sampler(seed)
    began = process_time()
    flops = train_teacher(teacher, sampler, TeacherPlan(steps))
    network = build_network(clip.arch, seed)
    companion = Distillation(network, teacher, WEIGHT)
    overfit(network, sampler, TrainingPlan(steps), companion=companion)
    seconds = process_time() - began
    both = 2 * _network_flops(clip) + BATCH * teacher.forward_flops()
    return {
        "psnr_db": _integers_psnr(network, clip, sampler),
        "gflops": (both + flops / steps) / 1e9,
        "seconds": round(seconds, 1),
        "steps": steps,
        "same_seconds_steps": max(steps, round(seconds / alone_s)),
    }


def _seconds_a_step(clip: Clip, seed: int) -> float:
    """Of overfitting alone, after as many to warm up."""
    network, sampler = build_network(clip.arch, seed), clip.sampler(seed)
    overfit(network, sampler, TrainingPlan(TIMED_STEPS))
    began = process_time()
    overfit(network, sampler, TrainingPlan(TIMED_STEPS))
    return (process_time() - began) / TIMED_STEPS
