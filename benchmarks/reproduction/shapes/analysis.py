"""The product's analysis with all that Relax can write: If, R.match_cast, tuples, open inputs.

If is SoD2's Switch and Combine: both branches are swept, and what they agree on is known of the
result. SoD2 believes the first branch until the second one disagrees; here an If waits for both,
for with backward transfer an early belief would be taught to the inputs.
"""

from dataclasses import dataclass, field

import tvm
from tvm import relax

from benchmarks.reproduction.shapes.casts import cast
from benchmarks.reproduction.shapes.cells import combined, merged
from benchmarks.reproduction.shapes.inputs import input_facts, named
from benchmarks.reproduction.shapes.region import NestedRegion
from benchmarks.reproduction.shapes.rules import ALL_RULES
from compiler.importing.shapes import Facts, ShapeProofs, TupleFacts
from compiler.importing.shapes.analysis import Propagation, result_of, settled
from compiler.importing.shapes.facts import UNDEFINED
from compiler.importing.shapes.operators import Rules
from compiler.importing.shapes.region import Region, declare_symbols


@dataclass
class FullPropagation(Propagation):
    """The product's sweeps, with every rule and with regions for branches."""

    rules: Rules = field(default_factory=lambda: ALL_RULES)

    def run(self, function: relax.Function) -> NestedRegion:
        """To the fixed point; then again, with names for what is still open of the inputs."""
        symbols = declare_symbols(self.domain, function)
        region = NestedRegion(self.domain, inputs=symbols, is_entry=True)
        for param in function.params:
            region.define(param, input_facts(region, param.ty, param))
        self.settle(region, function.body)
        for param in function.params:
            region.facts[param] = named(region.facts[param], str(param.name), self.domain)
        self.settle(region, function.body)
        return region

    def called_region(self) -> Region:
        return NestedRegion(self.domain)

    def bound(self, region: Region, binding: relax.Binding) -> Facts:
        assert isinstance(region, NestedRegion)
        if isinstance(binding.value, relax.If):
            return self._switch(region, binding.var, binding.value)
        facts = super().bound(region, binding)
        return cast(region, binding, facts) if isinstance(binding, relax.MatchCast) else facts

    def _switch(self, region: NestedRegion, var: relax.Var, value: relax.If) -> Facts:
        """Switch and Combine."""
        if var not in region.inner:
            first, second = (NestedRegion(self.domain, outer=region) for _ in "ab")
            region.inner[var] = (first, second)
        results = []
        for branch, body in zip(region.inner[var], _branches(value), strict=True):
            self.forward(branch, body)
            results.append(branch.facts_of(result_of(body)))
        taken, other = results
        return combined(taken, other, merged(self.domain))

    def taught(self, region: Region, binding: relax.Binding) -> bool:
        if isinstance(binding.value, relax.If):
            return self._teach_branches(region, binding.var, binding.value)
        return super().taught(region, binding)

    def _teach_branches(self, region: Region, var: relax.Var, value: relax.If) -> bool:
        """What both branches say of a variable from outside holds outside."""
        first, second = region.inner[var]
        assert isinstance(first, NestedRegion) and isinstance(second, NestedRegion)
        changes = False
        for branch, body in zip((first, second), _branches(value), strict=True):
            changes |= self.teach(branch, result_of(body), region.read(var))
            changes |= self.backward(branch, body)
        for shared in first.learned.keys() & second.learned.keys():
            agreed = combined(first.read(shared), second.read(shared), merged(self.domain))
            changes |= region.learn(shared, agreed)
        return changes

    def teach(self, region: Region, expression: tvm.ir.Expr, facts: Facts) -> bool:
        """Also through tuples and their fields."""
        if isinstance(expression, relax.Tuple) and isinstance(facts, TupleFacts):
            pairs = zip(expression.fields, facts.fields, strict=True)
            return any([self.teach(region, field_, known) for field_, known in pairs])
        if isinstance(expression, relax.TupleGetItem):
            fields: list[Facts] = [UNDEFINED] * len(expression.tuple_value.ty.fields)
            fields[int(expression.index)] = facts
            return self.teach(region, expression.tuple_value, TupleFacts(tuple(fields)))
        return super().teach(region, expression, facts)


def _branches(value: relax.If) -> tuple[relax.SeqExpr, relax.SeqExpr]:
    return value.true_branch, value.false_branch


def prove_shapes(module: tvm.IRModule) -> ShapeProofs:
    """The compiler's prove_shapes, for every program that Relax can write."""
    propagation = FullPropagation(module)
    region = propagation.run(module["main"])
    return ShapeProofs(propagation.domain, region, propagation.rounds)


def everything(proofs: ShapeProofs) -> dict[relax.Var, Facts]:
    """All variables that a full analysis has proved something of, those in branches too."""
    assert isinstance(proofs.region, NestedRegion)
    return {var: settled(facts) for var, facts in proofs.region.everything()}
