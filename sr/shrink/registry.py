"""The registry of stages: what the names on the command line stand for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sr.models import Network
from sr.shrink.chase import Chase
from sr.shrink.chex import Chex
from sr.shrink.condense.stage import Condense
from sr.shrink.fair import FAIRNESS, Fair, fair_terms
from sr.shrink.order import FAIR, parse_stages, training_stages
from sr.shrink.stage import Stage, StageWork, Term

STAGES: Mapping[str, Callable[[], Stage]] = {
    "condense": Condense,
    "chex": Chex,
    "chase": Chase,
    "fair": Fair,
}
_WITH_TERMS: Mapping[str, Callable[[tuple[Term, ...]], Stage]] = {
    "chex": lambda terms: Chex(terms=terms),
    "chase": lambda terms: Chase(terms=terms),
}


@dataclass(frozen=True)
class FairStage(Stage):
    """Another stage with fairness as a term of it; an unpruned reference is trained first."""

    stage: str

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"{self.stage},{FAIR}"

    @property
    def shrinks(self) -> str:  # type: ignore[override]
        return STAGES[self.stage]().shrinks

    def apply(self, network: Network, work: StageWork) -> Network:
        fair_work, terms = fair_terms(network, work, FAIRNESS)
        return _WITH_TERMS[self.stage](terms).apply(network, fair_work)


def stages_of(text: str) -> Sequence[Stage]:
    """The stages of "chex,fair", in order. Raises StageOrderError."""
    names = training_stages(parse_stages(text))
    return [FairStage(name) if is_fair else STAGES[name]() for name, is_fair in names]
