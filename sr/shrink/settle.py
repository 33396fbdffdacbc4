"""Training a cut network on, with linear expansions that fold away.

Every 3x3 convolution of the trunk gets a branch  W = W_0 + U A  of 1x1 after 3x3 (Bhardwaj et al.,
"Collapsible linear blocks for super-efficient super resolution", MLSys 2022, section 3). It adds
nothing to what the network can say, starts at zero, makes the same steps count for more, and folds
exactly into W before anything is deployed. It is the chain with experts of sr/models/moe.py, with
one expert that is always on.
"""

import torch

from sr.models import Network
from sr.models.moe import ExpertPlan, MoeChain, moe_chain
from sr.shrink.stage import StageWork
from sr.training.loop import Companion, TrainingPlan, overfit

EXPANSION_CHANNELS = 64
_EXPANDABLE = "chain"


def expanded(network: Network, channels: int, seed: int) -> MoeChain:
    """A copy that computes the same, with a branch of `channels` at each trunk convolution."""
    wide = moe_chain(network, ExpertPlan(experts=1, channels=channels, chosen=1, shared=0), seed)
    for layer in wide.layers.values():
        layer.condense(torch.ones(1))
    return wide


def settle(
    network: Network,
    work: StageWork,
    plan: TrainingPlan,
    name: str,
    channels: int,
    term: Companion | None = None,
) -> Network:
    """Train `network` as `plan` says, with branches of `channels` (0: none); returns it folded.

    `term` adds to the loss.
    """
    if channels == 0 or network.arch.name != _EXPANDABLE:
        overfit(network, work.sampler, plan, work.checkpoint(name), work.on_step, term)
        return network
    wide = expanded(network, channels, work.seed)
    overfit(wide, work.sampler, plan, work.checkpoint(name), work.on_step, term)
    return wide.folded()
