"""Rank and dimension propagation (SoD2, ASPLOS 2024, Algorithm 1) over a Relax module.

Sweeps run through the function forward (an operator's output from its inputs) and backward (what
the inputs must be, or the run stops with an error) until nothing changes.

Every constant is a fact: it holds in each run that comes to its end. By induction, for a transfer
function states facts only of facts; a cell that is undef states nothing. A cell changes at most
once, from undef, so the sweeps end after at most as many rounds as there are cells. (SoD2's cells
may rise a second time, constant to nac; ours need not, for Relax has no loops and an If waits for
both branches.)

If is SoD2's Switch and Combine: both branches are swept, and what they agree on is known of the
result. A call of another function of the module is swept with its arguments' facts.
"""

from dataclasses import dataclass, field

import tvm
from tvm import relax

import compiler.importing.shapes.rules  # noqa: F401  (fills the registry)
from compiler.importing.shapes.casts import cast, name_symbols
from compiler.importing.shapes.domain import Domain
from compiler.importing.shapes.facts import (
    UNDEFINED,
    UNPROVED,
    Facts,
    TensorFacts,
    TupleFacts,
    combined,
)
from compiler.importing.shapes.inputs import declare_symbols, input_facts, named
from compiler.importing.shapes.lattice import NAC, UNDEF
from compiler.importing.shapes.operators import RULES, Rule, Site, rank_of
from compiler.importing.shapes.region import Region


@dataclass
class Propagation:
    """One analysis at work. `rounds` counts pairs of sweeps, `calls` the functions entered."""

    module: tvm.IRModule
    domain: Domain = field(default_factory=Domain)
    rounds: int = 0
    calls: list[str] = field(default_factory=list)

    def run(self, function: relax.Function) -> Region:
        """To the fixed point; then again, with names for what is still open of the inputs."""
        symbols = declare_symbols(self.domain, function)
        region = Region(self.domain, None, is_entry=True, inputs=symbols)
        for param in function.params:
            region.define(param, input_facts(region, param.ty, param))
        self._settle(region, function.body)
        for param in function.params:
            region.facts[param] = named(region.facts[param], str(param.name), self.domain)
        self._settle(region, function.body)
        return region

    def _settle(self, region: Region, body: relax.SeqExpr) -> None:
        """What backward sweeps do not change, another forward sweep would not either."""
        changes = True
        while changes:
            self.rounds += 1
            self._forward(region, body)
            changes = self._backward(region, body)

    def _forward(self, region: Region, body: relax.SeqExpr) -> None:
        for binding in bindings(body):
            facts = self._value(region, binding.var, binding.value)
            if isinstance(binding, relax.MatchCast):
                facts = cast(region, binding, facts)
            region.define(binding.var, facts)

    def _value(self, region: Region, var: relax.Var, value: relax.Expr) -> Facts:
        if isinstance(value, relax.If):
            return self._switch(region, var, value)
        if not isinstance(value, relax.Call):
            return region.facts_of(value)
        if isinstance(value.op, tvm.ir.GlobalVar):
            return self._enter(region, var, value)
        rule = _rule_of(value)
        if rule is None:
            return region.declared(value.ty)
        return _transferred(rule, _site(region, value))

    def _switch(self, region: Region, var: relax.Var, value: relax.If) -> Facts:
        """Switch and Combine."""
        if var not in region.inner:
            region.inner[var] = (Region(self.domain, region), Region(self.domain, region))
        results = []
        for branch, body in zip(region.inner[var], _branches(value), strict=True):
            self._forward(branch, body)
            results.append(branch.facts_of(result_of(body)))
        taken, other = results
        return combined(taken, other, self.domain.merged)

    def _enter(self, region: Region, var: relax.Var, call: relax.Call) -> Facts:
        function = self._callee(call)
        if function is None or call.op.name_hint in self.calls:  # recursion proves nothing
            return region.declared(call.ty)
        if var not in region.inner:
            region.inner[var] = (Region(self.domain, None),)
        (inside,) = region.inner[var]
        for param, argument in zip(function.params, call.args, strict=True):
            inside.define(param, region.facts_of(argument))
            name_symbols(inside, param)
        self.calls.append(call.op.name_hint)
        self._forward(inside, function.body)
        self.calls.pop()
        return inside.facts_of(result_of(function.body))

    def _callee(self, call: relax.Call) -> relax.Function | None:
        function = self.module[call.op]
        is_plain = isinstance(function, relax.Function) and len(function.params) == len(call.args)
        return function if is_plain else None

    def _backward(self, region: Region, body: relax.SeqExpr) -> bool:
        changes = [self._teach_binding(region, b) for b in reversed(bindings(body))]
        return any(changes)

    def _teach_binding(self, region: Region, binding: relax.Binding) -> bool:
        value, result = binding.value, region.read(binding.var)
        if isinstance(value, relax.If):
            return self._teach_branches(region, binding.var, value, result)
        if not isinstance(value, relax.Call):
            return teach(region, value, result)
        if isinstance(value.op, tvm.ir.GlobalVar):
            return self._teach_callee(region, binding.var, value, result)
        rule = _rule_of(value)
        if rule is None or rule.backward is None:
            return False
        try:
            learned = rule.backward(_site(region, value), result)
        except (IndexError, ValueError):
            return False
        pairs = zip(value.args, learned, strict=False)
        return any([teach(region, argument, facts) for argument, facts in pairs])

    def _teach_branches(
        self, region: Region, var: relax.Var, value: relax.If, result: Facts
    ) -> bool:
        """What both branches say of a variable from outside holds outside."""
        inner = region.inner[var]
        changes = False
        for branch, body in zip(inner, _branches(value), strict=True):
            changes |= teach(branch, result_of(body), result)
            changes |= self._backward(branch, body)
        first, second = inner
        for shared in first.learned.keys() & second.learned.keys():
            agreed = combined(first.read(shared), second.read(shared), self.domain.merged)
            changes |= region.learn(shared, agreed)
        return changes

    def _teach_callee(
        self, region: Region, var: relax.Var, call: relax.Call, result: Facts
    ) -> bool:
        function = self._callee(call)
        if function is None or var not in region.inner:
            return False
        (inside,) = region.inner[var]
        changes = teach(inside, result_of(function.body), result)
        self.calls.append(call.op.name_hint)
        changes |= self._backward(inside, function.body)
        self.calls.pop()
        for param, argument in zip(function.params, call.args, strict=True):
            changes |= teach(region, argument, inside.read(param))
        return changes


def bindings(body: relax.SeqExpr) -> list[relax.Binding]:
    """The steps of a body, in order."""
    blocks = body.blocks if isinstance(body, relax.SeqExpr) else []
    return [binding for block in blocks for binding in block.bindings]


def result_of(body: tvm.ir.Expr) -> tvm.ir.Expr:
    return body.body if isinstance(body, relax.SeqExpr) else body


def _branches(value: relax.If) -> tuple[relax.SeqExpr, relax.SeqExpr]:
    return value.true_branch, value.false_branch


def _rule_of(call: relax.Call) -> Rule | None:
    return RULES.get(str(call.op.name)) if isinstance(call.op, tvm.ir.Op) else None


def _site(region: Region, call: relax.Call) -> Site:
    return Site(region.domain, call, tuple(region.facts_of(a) for a in call.args))


def _transferred(rule: Rule, site: Site) -> Facts:
    """The forward transfer, with values where the result is small enough to have any."""
    try:
        facts = rule.forward(site)
    except (IndexError, ValueError):  # no such axis, or shapes that do not go together:
        return UNPROVED  # a run ends here with an error
    if not isinstance(facts, TensorFacts):
        return facts
    rank = rank_of(facts)
    if facts.rank is UNDEF:
        return TensorFacts(UNDEF, UNDEF)
    follows = rule.values is not None and rank is not None and rank <= 1
    values = rule.values(site) if follows and rule.values else NAC
    return TensorFacts(facts.dims, values, facts.dtype)


def teach(region: Region, expression: tvm.ir.Expr, facts: Facts) -> bool:
    """Tell the variables of an expression what is known of its value."""
    if isinstance(expression, relax.Tuple) and isinstance(facts, TupleFacts):
        pairs = zip(expression.fields, facts.fields, strict=True)
        return any([teach(region, field_, known) for field_, known in pairs])
    if isinstance(expression, relax.TupleGetItem):
        count = len(expression.tuple_value.ty.fields)
        fields: list[Facts] = [UNDEFINED] * count
        fields[int(expression.index)] = facts
        return teach(region, expression.tuple_value, TupleFacts(tuple(fields)))
    return isinstance(expression, relax.Var) and region.learn(expression, facts)
