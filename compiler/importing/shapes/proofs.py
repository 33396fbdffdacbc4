"""What the analysis has proved of a function, as the other passes ask for it."""

from dataclasses import dataclass

import tvm
from tvm import relax

from compiler.importing.shapes.analysis import Propagation
from compiler.importing.shapes.domain import Domain
from compiler.importing.shapes.facts import Cells, Facts, TensorFacts, TupleFacts
from compiler.importing.shapes.lattice import NAC, UNDEF, Element, NotConstant, is_constant
from compiler.importing.shapes.operators import Site
from compiler.importing.shapes.region import Region


@dataclass(frozen=True)
class ShapeProofs:
    """Facts of one function of a module, at the fixed point. `rounds`: sweeps it took."""

    domain: Domain
    region: Region
    rounds: int

    def of(self, expression: relax.Expr) -> Facts:
        """A variable's facts, or those of any other argument. Never undef: nac is unproved."""
        return _settled(self.region.facts_of(expression))

    def dims(self, expression: relax.Expr) -> tuple[Element, ...] | None:
        """The dimensions of a tensor; None where not even the rank is proved."""
        facts = self.of(expression)
        dims = facts.dims if isinstance(facts, TensorFacts) else NAC
        return None if isinstance(dims, NotConstant) else dims

    def same_shape(self, left: relax.Expr, right: relax.Expr) -> bool:
        """Whether two tensors are proved to have one shape, whatever the inputs' sizes."""
        return self.equal_rows(self.dims(left), self.dims(right))

    def equal_rows(self, left: Cells | None, right: Cells | None) -> bool:
        """Whether two rows of cells are proved equal; a row that is not there never is."""
        if not isinstance(left, tuple) or not isinstance(right, tuple) or len(left) != len(right):
            return False
        return all(self.domain.equal(m, n) for m, n in zip(left, right, strict=True))

    def site(self, call: relax.Call) -> Site:
        """An operator's call with what is known of its arguments."""
        return Site(self.domain, call, tuple(self.of(argument) for argument in call.args))

    def everything(self) -> dict[relax.Var, Facts]:
        """All variables, those in branches too."""
        return {var: _settled(facts) for var, facts in self.region.everything()}


def prove_shapes(module: tvm.IRModule, name: str = "main") -> ShapeProofs:
    """Rank and dimension propagation over one function; see analysis.py."""
    propagation = Propagation(module)
    region = propagation.run(module[name])
    return ShapeProofs(propagation.domain, region, propagation.rounds)


def count_constants(facts: Facts) -> tuple[int, int]:
    """Proved dimensions and all dimensions of a value; an unknown rank counts as one of none."""
    if isinstance(facts, TupleFacts):
        pairs = [count_constants(field) for field in facts.fields]
        return sum(p for p, _ in pairs), sum(n for _, n in pairs)
    if isinstance(facts.dims, NotConstant):
        return 0, 1
    return sum(map(is_constant, facts.dims)), len(facts.dims)


def _settled(facts: Facts) -> Facts:
    if isinstance(facts, TupleFacts):
        return TupleFacts(tuple(_settled(field) for field in facts.fields))
    return TensorFacts(_settled_cells(facts.dims), _settled_cells(facts.values), facts.dtype)


def _settled_cells(cells: Cells) -> Cells:
    if isinstance(cells, NotConstant):
        return NAC
    return tuple(NAC if cell is UNDEF else cell for cell in cells)
