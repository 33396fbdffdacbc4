"""Regions that lie in one another: what is known in a branch of an If.

A branch sees what its surroundings know. What it learns about their variables backward holds
only where the branch runs, so it stays in the branch (`learned`) until both branches agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import tvm
from tvm import relax

from compiler.importing.shapes import Element, Facts, TupleFacts
from compiler.importing.shapes.facts import UNDEFINED, UNPROVED, refined
from compiler.importing.shapes.region import Region, constants_only


@dataclass
class NestedRegion(Region):
    """A function's variables, or a branch's. `is_entry`: of the function that is analysed."""

    outer: NestedRegion | None = None
    is_entry: bool = False
    learned: dict[relax.Var, Facts] = field(default_factory=dict)

    def read(self, var: relax.Var) -> Facts:
        if var in self.facts:
            return self.facts[var]
        known = self.outer.read(var) if self.outer else UNDEFINED
        return refined(known, self.learned[var]) if var in self.learned else known

    def learn(self, var: relax.Var, facts: Facts) -> bool:
        if var in self.facts:
            return super().learn(var, facts)
        constants = constants_only(facts)
        if self.outer is None or refined(self.read(var), constants) == self.read(var):
            return False
        return self.refine(self.learned, var, constants)

    @property
    def runs_once(self) -> bool:
        """Whether a symbol that is defined here has one value in a run of the program."""
        return self.outer.runs_once if self.outer else self.is_entry

    def symbol(self, symbol: tvm.ir.Var) -> Element:
        if symbol not in self.symbols and self.outer is not None:
            return self.outer.symbol(symbol)
        return super().symbol(symbol)

    def facts_of(self, expression: tvm.ir.Expr) -> Facts:
        if not isinstance(expression, relax.TupleGetItem):
            return super().facts_of(expression)
        facts = self.facts_of(expression.tuple_value)
        if isinstance(facts, TupleFacts):
            return facts.fields[int(expression.index)]
        return UNDEFINED if facts == UNDEFINED else UNPROVED

    def everything(self) -> Iterator[tuple[relax.Var, Facts]]:
        """The variables of this region and of all branches in it."""
        yield from self.facts.items()
        for regions in self.inner.values():
            for region in regions:
                if isinstance(region, NestedRegion) and region.outer is not None:
                    yield from region.everything()
