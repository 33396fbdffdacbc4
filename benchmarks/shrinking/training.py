"""How an arm becomes a network: the stage's work on a clip, the trace for fairness kept."""

import os
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.shrinking.arms import HALF, Arm
from benchmarks.shrinking.clips import Clip
from sr.models import Network, build_network
from sr.shrink.budget import parse_budget
from sr.shrink.fair import unpruned_trace
from sr.shrink.stage import StageWork
from sr.training.data import CropSampler
from sr.training.loop import TrainingPlan, overfit


def train_arm(
    arm: Arm, clip: Clip, seed: int, steps: int, store: Path, sampler: CropSampler | None = None
) -> Network:
    """The arm's network, trained for `steps` from `seed`, on the clip's own crops or the sampler's;
    fairness is told against a network that was trained on the clip's own."""
    network, plan = build_network(clip.arch, seed), TrainingPlan(steps)
    sampler = sampler or clip.sampler(seed)
    if arm.stage is None:
        overfit(network, sampler, plan)
        return network
    budget = parse_budget(arm.budget, clip.arch)
    if arm.step:
        budget = budget.stepped(arm.step)
    work = StageWork(sampler, plan, budget, groups=clip.groups, seed=seed)
    trace = unpruned(clip, seed, steps, store) if arm.needs_trace else None
    return arm.stage(trace).apply(network, work)


def unpruned(clip: Clip, seed: int, steps: int, store: Path) -> Tensor:
    """[steps, G]: the groups' errors while the default network is trained; kept in the store."""
    budget = parse_budget(HALF, clip.arch)  # which nothing here asks for
    work = StageWork(clip.sampler(seed), TrainingPlan(steps), budget, groups=clip.groups, seed=seed)
    file = store / f"trace-{clip.name}-{len(clip.pairs)}-{seed}-{steps}.pt"
    return kept_trace(build_network(clip.arch, seed), work, file)


def kept_trace(network: Network, work: StageWork, file: Path) -> Tensor:
    """The unpruned network's trace, from the file where it is kept."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}.part")  # another arm may make it as well
        torch.save(unpruned_trace(network, work), part)
        part.replace(file)
    trace: Tensor = torch.load(file, weights_only=True)
    return trace
