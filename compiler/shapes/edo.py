"""EDO: only running the operator tells the output's shape. What is fixed of it is its rank."""

from compiler.shapes.facts import Facts, TensorFacts
from compiler.shapes.lattice import NAC
from compiler.shapes.operators import OperatorClass, Site, register


@register(OperatorClass.EDO, "nonzero")
def _nonzero(site: Site) -> Facts:
    """[rank of the input, how many numbers are not zero]."""
    return TensorFacts((site.tensor(0).rank, NAC))


@register(OperatorClass.EDO, "unique")
def _unique(site: Site) -> Facts:
    """What is fixed depends on four flags; nothing is claimed."""
    return TensorFacts(NAC)
