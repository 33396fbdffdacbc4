"""The arms: every stage and its controls, with what each is allowed to cost.

All start from the default network, have the same steps of the same crops, and meet half of the
multiplications in widths of the engine's steps, if they do not say otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from benchmarks.shrinking.controls import (
    CONDENSE_CONTROLS,
    ChaseOnceAtTheEnd,
    ChaseRandomChannels,
    ChexRandomRegrow,
    ChexWithoutBranches,
    DenseThenL1,
    EvenWidths,
    FairWithoutMaskTerm,
    FairWithoutWeightTerm,
    MagnitudePruning,
    SparseTrained,
    TracedFair,
)
from player.package.architecture import Architecture
from sr.models import architecture
from sr.shrink.budget import ENGINE_WIDTHS
from sr.shrink.chase import Chase
from sr.shrink.chex import Chex
from sr.shrink.condense import Condense
from sr.shrink.fair import FAIRNESS
from sr.shrink.stage import Stage
from sr.shrink.uniform import Uniform
from sr.training.branches import BRANCH_CHANNELS

HALF, QUARTER = "0.5x", "0.25x"
BLOCK, FINE = ENGINE_WIDTHS.step, 4

MakeStage = Callable[[Tensor | None], Stage]


@dataclass(frozen=True)
class Arm:
    """`stage` makes the stage, given the unpruned network's trace where the arm `needs_trace`; None
    trains the default network and shrinks nothing. `step`: widths are multiples of it."""

    about: str
    stage: MakeStage | None
    budget: str = HALF
    step: int = BLOCK
    needs_trace: bool = False

    @property
    def arch(self) -> Architecture:
        """The network that the arm starts from."""
        return architecture("chain", 4, dynamic=True)


def _plain(about: str, stage: Stage, budget: str = HALF, step: int = BLOCK) -> Arm:
    return Arm(about, lambda _: stage, budget, step)


def _fair(about: str, make: Callable[[Tensor], Stage]) -> Arm:
    def stage(trace: Tensor | None) -> Stage:
        assert trace is not None
        return make(trace)

    return Arm(about, stage, needs_trace=True)


CHEX_ARMS = {
    "chex": _plain("CHEX", Chex()),
    "chex, random regrow": _plain("what is given back is drawn at random", ChexRandomRegrow()),
    "chex, no expansion": _plain("no branches while settling", ChexWithoutBranches()),
    "even widths": _plain("even widths from scratch, equal multiplications", EvenWidths(FINE)),
    "even widths, expanded": _plain(
        "the same, with CHEX's branches", EvenWidths(FINE, BRANCH_CHANNELS)
    ),
    "even blocks": _plain(
        "the widest even widths that the engine runs in the time of the budget",
        EvenWidths(BLOCK, mixed=False),
    ),
    "dense then L1": _plain("dense for half the steps, cut by L1, trained on", DenseThenL1()),
    "chex, quarter": _plain("CHEX, widths in steps of 4", Chex(), QUARTER, FINE),
    "even widths, quarter": _plain("even widths from scratch", EvenWidths(FINE), QUARTER),
}
CHASE_ARMS = {
    "chase": _plain("Chase", Chase()),
    "sparse, all channels": _plain("as many non-zeros, no channel removed", SparseTrained()),
    "chase, random channels": _plain("channels drawn at random", ChaseRandomChannels()),
    "chase, once at the end": _plain(
        "all channels removed at once, late", ChaseOnceAtTheEnd(remove_until=0.7)
    ),
}
FAIR_ARMS = {
    "fair": _fair("bi-level fair pruning", lambda t: TracedFair(trace=t)),
    "group-blind": _plain("magnitude pruning, blind to groups", MagnitudePruning()),
    "prune, then fair": _fair(
        "magnitude pruning, then fair fine-tuning",
        lambda t: MagnitudePruning(finetune=FAIRNESS, trace=t),
    ),
    "fair, weights alone": _fair("no term on the masks", lambda t: FairWithoutMaskTerm(trace=t)),
    "fair, masks alone": _fair("no term on the weights", lambda t: FairWithoutWeightTerm(trace=t)),
}
CONDENSE_ARMS = {
    "condense": _plain("CD-MoE", Condense()),
    **{
        f"condense: {name}": _plain(name, CONDENSE_CONTROLS[name])
        for name in ("dense", "random experts", "shared only")
    },
}
ARMS: dict[str, Arm] = {
    "dense": Arm("the default network, not shrunk", None),
    "uniform": _plain("the stage that a budget alone means", Uniform()),
    **CHEX_ARMS,
    **CHASE_ARMS,
    **FAIR_ARMS,
    **CONDENSE_ARMS,
}
