"""Condensing by content group: from one mixture of experts, one dense network for each group.

    MoeChain ─► routed ─► most layers condensed for all ─┬─► the rest for group 0 ─► network 0
                                                         └─► the rest for group 1 ─► network 1

The layers that move the output least when they are condensed go first and are the same in all
networks, as are the first layer and the exits; the last ones in CD-MoE's order, which content
changes most, become each group's own: its crops choose the experts and their gates. A package
carries the networks as it does STDO's, and a patch's route says which is its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sr.models import Network, build_network
from sr.models.moe import MoeChain, moe_chain
from sr.shrink.condense.chain import Condensation, calibration, condense_now
from sr.shrink.condense.stage import Condense, at_budget
from sr.shrink.stage import StageError, StageWork
from sr.training.data import CropSampler
from sr.training.loop import TrainingPlan, overfit


@dataclass(frozen=True)
class GroupPlan:
    """`own_layers` of each group's network are its own; the groups part after `shared_share` of the
    steps and share the others by the size of their parts of the training."""

    own_layers: int = 2
    shared_share: float = 0.5


def condense_by_group(
    network: Network, work: StageWork, settings: Condense, plan: GroupPlan = GroupPlan()
) -> list[Network]:
    """The plain network of every group 0, 1, ... in `work.groups`; together as many steps as one.

    Raises StageError without at least two groups of patches that are drawn, and as `Condense` does.
    """
    settings.check(network)
    sizes = _group_sizes(work)
    moe = moe_chain(at_budget(network, work, settings.step), settings.experts, work.seed)
    before, after = work.plan.split(round(plan.shared_share * work.plan.steps))
    schedule = settings.condensing(replace(work, plan=before), len(moe.layers))
    common = len(moe.layers) - plan.own_layers
    condensation = Condensation(
        moe, calibration(work.sampler, settings.calibrated), replace(schedule, layers=common)
    )
    overfit(moe, work.sampler, before, work.checkpoint("condense-all"), work.on_step, condensation)
    parts = range(len(sizes))
    return [_own(moe, work, settings, _share(after, sizes[g]), g).folded() for g in parts]


def _group_sizes(work: StageWork) -> list[float]:
    """Each group's part of the crops that are drawn; they add up to 1."""
    if work.groups is None:
        raise StageError(
            "condense by group: no content groups were given: cut the video into chunks"
        )
    count = int(work.groups.max()) + 1
    drawn = np.array([work.sampler.shares[work.groups == g].sum() for g in range(count)])
    if count < 2 or not (drawn > 0).all():
        raise StageError(
            f"condense by group: {int((drawn > 0).sum())} of {count} groups have patches to learn "
            "from: give two or more groups, none of them empty"
        )
    return list(drawn / drawn.sum())


def _share(plan: TrainingPlan, size: float) -> TrainingPlan:
    """A group's part of a plan, at the same place in the schedule of rates."""
    whole = plan.whole or plan.steps
    steps, begin = round(plan.steps * size), round(plan.begin * size)
    return replace(plan, steps=steps, begin=begin, whole=round(whole * size))


def _own(
    moe: MoeChain, work: StageWork, settings: Condense, plan: TrainingPlan, group: int
) -> MoeChain:
    """A copy of which the layers that still route are condensed for the group, and trained on."""
    own = moe_chain(build_network(moe.arch), settings.experts)
    own.load_state_dict(moe.state_dict())
    sampler = _only(work, group)
    still = [depth for depth, layer in own.layers.items() if not layer.condensed]
    condense_now(
        own,
        still,
        calibration(sampler, settings.calibrated),
        settings.keep,
        settings.choose,
        work.seed,
    )
    _freeze_all_but(own, still)
    overfit(own, sampler, plan, work.checkpoint(f"condense-group-{group}"), work.on_step)
    return own


def _only(work: StageWork, group: int) -> CropSampler:
    """Draws from the group's patches alone."""
    assert work.groups is not None
    return replace(work.sampler, shares=work.sampler.shares * (work.groups == group))


def _freeze_all_but(network: MoeChain, depths: Sequence[int]) -> None:
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    for depth in depths:
        for parameter in network.layers[depth].parameters():
            parameter.requires_grad_(True)
