"""How an arm becomes a network: the stage's work on a clip, the reference for fairness kept."""

from pathlib import Path

import torch

from benchmarks.shrinking.arms import Arm
from benchmarks.shrinking.clips import Clip
from sr.models import Network, build_network
from sr.shrink.budget import parse_budget
from sr.shrink.stage import StageWork
from sr.training.loop import TrainingPlan, overfit


def train_arm(arm: Arm, clip: Clip, seed: int, steps: int, store: Path) -> Network:
    """The arm's network, trained for `steps` from `seed`."""
    network, sampler = build_network(clip.arch, seed), clip.sampler(seed)
    plan = TrainingPlan(steps)
    if arm.stage is None:
        overfit(network, sampler, plan)
        return network
    budget = parse_budget(arm.budget, clip.arch)
    if arm.step:
        budget = budget.stepped(arm.step)
    reference = unpruned(clip, seed, steps, store) if arm.needs_reference else None
    work = StageWork(sampler, plan, budget, groups=clip.groups, seed=seed)
    return arm.stage(reference).apply(network, work)


def unpruned(clip: Clip, seed: int, steps: int, store: Path) -> Network:
    """The dense network trained as long, from the folder where it is kept."""
    file = store / f"dense-{clip.name}-{seed}-{steps}.pt"
    network = build_network(clip.arch, seed)
    if file.exists():
        network.load_state_dict(torch.load(file, weights_only=True))
        return network
    overfit(network, clip.sampler(seed), TrainingPlan(steps))
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(f".part-{seed}")
    torch.save(network.state_dict(), part)
    part.replace(file)
    return network
