"""Training with linear branches that fold away.

Every 3x3 convolution of the trunk gets a branch  W = W_0 + U A  of 1x1 after 3x3 (Bhardwaj et al.,
"Collapsible linear blocks for super-efficient super resolution", MLSys 2022, section 3). It adds
nothing to what the network can say, starts at zero, makes the same steps count for more, and folds
exactly into W before anything is deployed. It is the chain with experts of sr/models/moe.py, with
one expert that is always on.
"""

from pathlib import Path

import torch

from sr.models import Network
from sr.models.moe import ExpertPlan, MoeChain, moe_chain
from sr.training.data import CropSampler
from sr.training.loop import Companion, OnStep, TrainingPlan, overfit

BRANCH_CHANNELS = 64


def with_branches(network: Network, channels: int, seed: int) -> MoeChain:
    """A copy that computes the same, with a branch of `channels` at each trunk convolution."""
    wide = moe_chain(network, ExpertPlan(experts=1, channels=channels, chosen=1, shared=0), seed)
    for layer in wide.layers.values():
        # A constant gate: the one expert is always on, and no router is asked.
        layer.condense(torch.ones(1))
    return wide


def overfit_with_branches(
    network: Network,
    sampler: CropSampler,
    plan: TrainingPlan,
    seed: int,
    checkpoint: Path | None = None,
    on_step: OnStep | None = None,
    companion: Companion | None = None,
    channels: int = BRANCH_CHANNELS,
) -> Network:
    """As `overfit`, with branches where the network is a chain; returns it folded.

    `seed`: of the branches' first weights.
    """
    if network.arch.name != "chain":
        overfit(network, sampler, plan, checkpoint, on_step, companion)
        return network
    wide = with_branches(network, channels, seed)
    overfit(wide, sampler, plan, checkpoint, on_step, companion)
    return wide.folded()
