"""The arms: every stage and its controls, with what each is allowed to cost.

All start from the default network, have the same steps of the same crops, and meet half of the
multiplications in widths of the engine's steps, if they do not say otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from player.package.architecture import Architecture
from sr.models import architecture
from sr.shrink.budget import ENGINE_WIDTHS
from sr.shrink.chase import Chase, SparseStage
from sr.shrink.chex import Chex
from sr.shrink.condense.stage import CONTROLS as CONDENSE_CONTROLS
from sr.shrink.condense.stage import Condense
from sr.shrink.controls import DenseThenL1, Uniform
from sr.shrink.exploration import at_random
from sr.shrink.fair import FAIRNESS, Fair, MagnitudePruning
from sr.shrink.removal import by_chance
from sr.shrink.settle import EXPANSION_CHANNELS
from sr.shrink.stage import Stage

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
    "chex, random regrow": _plain("what is given back is drawn at random", Chex(regrow=at_random)),
    "chex, no expansion": _plain("no branches while settling", Chex(expansion=0)),
    "uniform": _plain("even widths from scratch, equal multiplications", Uniform(step=FINE)),
    "uniform, expanded": _plain(
        "the same, with CHEX's branches", Uniform(step=FINE, expansion=EXPANSION_CHANNELS)
    ),
    "uniform, engine's steps": _plain(
        "the widest even widths that the engine runs in the time of the budget",
        Uniform(step=BLOCK, mixed=False),
    ),
    "dense then L1": _plain("dense for half the steps, cut by L1, trained on", DenseThenL1()),
    "chex, quarter": _plain("CHEX, widths in steps of 4", Chex(), QUARTER, FINE),
    "uniform, quarter": _plain("even widths from scratch", Uniform(step=FINE), QUARTER),
}
CHASE_ARMS = {
    "chase": _plain("Chase", Chase()),
    "sparse, all channels": _plain("as many non-zeros, no channel removed", SparseStage()),
    "chase, random channels": _plain("channels drawn at random", Chase(score=by_chance)),
    "chase, once at the end": _plain(
        "all channels removed at once, late", Chase(remove_from=0.7, remove_until=0.7)
    ),
}
FAIR_ARMS = {
    "fair": _fair("bi-level fair pruning", lambda t: Fair(trace=t)),
    "group-blind": _plain("magnitude pruning, blind to groups", MagnitudePruning()),
    "prune, then fair": _fair(
        "magnitude pruning, then fair fine-tuning",
        lambda t: MagnitudePruning(finetune=FAIRNESS, trace=t),
    ),
    "fair, weights alone": _fair("no term on the masks", lambda t: Fair(masks=None, trace=t)),
    "fair, masks alone": _fair("no term on the weights", lambda t: Fair(weights=None, trace=t)),
}
CONDENSE_ARMS = {
    "condense": _plain("CD-MoE", Condense()),
    **{
        f"condense: {name}": _plain(name, CONDENSE_CONTROLS[name])
        for name in ("dense", "one expert, always on", "random experts", "shared only")
    },
}
ARMS: dict[str, Arm] = {
    "dense": Arm("the default network, not shrunk", None),
    **CHEX_ARMS,
    **CHASE_ARMS,
    **FAIR_ARMS,
    **CONDENSE_ARMS,
}
