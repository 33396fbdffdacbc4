"""EDO: only running the operator tells the output's shape. What is fixed of it is its rank."""

from benchmarks.reproduction.shapes.registry import ALL_RULES
from compiler.importing.shapes.facts import Facts, TensorFacts
from compiler.importing.shapes.lattice import NAC
from compiler.importing.shapes.operators import OperatorClass, Site


@ALL_RULES.enter(OperatorClass.EDO, "nonzero")
def _nonzero(site: Site) -> Facts:
    """[rank of the input, how many numbers are not zero]."""
    return TensorFacts((site.tensor(0).rank, NAC))


@ALL_RULES.enter(OperatorClass.EDO, "unique")
def _unique(site: Site) -> Facts:
    """What is fixed depends on four flags; nothing is claimed."""
    return TensorFacts(NAC)
