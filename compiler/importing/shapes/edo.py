"""EDO: only running the operator tells the output's shape. What is fixed of it is its rank."""

from compiler.importing.shapes.facts import Facts, TensorFacts
from compiler.importing.shapes.lattice import NAC
from compiler.importing.shapes.operators import OperatorClass, Site, register


@register(OperatorClass.EDO, "nonzero")
def _nonzero(site: Site) -> Facts:
    """[rank of the input, how many numbers are not zero]."""
    return TensorFacts((site.tensor(0).rank, NAC))


@register(OperatorClass.EDO, "unique")
def _unique(site: Site) -> Facts:
    """What is fixed depends on four flags; nothing is claimed."""
    return TensorFacts(NAC)
