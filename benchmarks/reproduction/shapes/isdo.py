"""ISDO: the input's shape determines the output, values too (Shape, and how it travels)."""

from benchmarks.reproduction.shapes.cells import total
from benchmarks.reproduction.shapes.registry import ALL_RULES
from compiler.importing.shapes.facts import Cells, Facts, TensorFacts
from compiler.importing.shapes.lattice import UNDEF, NotConstant
from compiler.importing.shapes.operators import OperatorClass, Site
from compiler.importing.shapes.rules import same_values


@ALL_RULES.enter(OperatorClass.ISDO, "shape_of", values=lambda site: site.tensor(0).dims)
def _shape_of(site: Site) -> Facts:
    rank = site.tensor(0).rank
    return TensorFacts((rank,), UNDEF, "int64")


@ALL_RULES.enter(OperatorClass.ISDO, "shape_to_tensor", "tensor_to_shape", values=same_values)
def _same_numbers(site: Site) -> Facts:
    return TensorFacts(site.tensor(0).dims, UNDEF, "int64")


def _count(site: Site) -> Cells:
    dims = site.tensor(0).dims
    return dims if isinstance(dims, NotConstant) else (total(site.domain, dims),)


@ALL_RULES.enter(OperatorClass.ISDO, "size", values=_count)
def _size(site: Site) -> Facts:
    return TensorFacts((), UNDEF, "int64")
