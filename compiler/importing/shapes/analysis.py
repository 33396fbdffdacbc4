"""Rank and dimension propagation (SoD2, ASPLOS 2024, Algorithm 1) over a Relax module.

Sweeps run through the function forward (an operator's output from its inputs) and backward (what
the inputs must be, or the run stops with an error) until nothing changes.

Every constant is a fact: it holds in each run that comes to its end. By induction, for a transfer
function states facts only of facts; a cell that is undef states nothing. A cell changes at most
once, from undef, so the sweeps end after at most as many rounds as there are cells. (SoD2's cells
may rise a second time, constant to nac; ours need not, for Relax has no loops.)

A call of another function of the module, such as the groups that recognition makes, is swept with
its arguments' facts. Control flow, R.match_cast and inputs of unknown shape are no part of an
exported network: benchmarks/reproduction/shapes adds them.
"""

from dataclasses import dataclass, field

import tvm
from tvm import relax

from compiler.importing.shapes.domain import Domain
from compiler.importing.shapes.facts import UNPROVED, Cells, Facts, TensorFacts, TupleFacts
from compiler.importing.shapes.lattice import NAC, UNDEF, Element, NotConstant
from compiler.importing.shapes.operators import Rule, Rules, Site, rank_of
from compiler.importing.shapes.region import Region, declare_symbols
from compiler.importing.shapes.rules import RULES


@dataclass
class Propagation:
    """One analysis at work. `rounds` counts pairs of sweeps, `calls` the functions entered."""

    module: tvm.IRModule
    rules: Rules = field(default_factory=lambda: RULES)
    domain: Domain = field(default_factory=Domain)
    rounds: int = 0
    calls: list[str] = field(default_factory=list)

    def run(self, function: relax.Function) -> Region:
        """To the fixed point."""
        region = Region(self.domain, inputs=declare_symbols(self.domain, function))
        for param in function.params:
            region.define(param, region.declared(param.ty))
        self.settle(region, function.body)
        return region

    def settle(self, region: Region, body: relax.SeqExpr) -> None:
        """What backward sweeps do not change, another forward sweep would not either."""
        changes = True
        while changes:
            self.rounds += 1
            self.forward(region, body)
            changes = self.backward(region, body)

    def forward(self, region: Region, body: relax.SeqExpr) -> None:
        for binding in bindings_of(body):
            region.define(binding.var, self.bound(region, binding))

    def bound(self, region: Region, binding: relax.Binding) -> Facts:
        """What a binding's own operator says of its variable."""
        value = binding.value
        if not isinstance(value, relax.Call):
            return region.facts_of(value)
        if isinstance(value.op, tvm.ir.GlobalVar):
            return self._enter(region, binding.var, value)
        rule = self._rule_of(value)
        if rule is None:
            return region.declared(value.ty)
        return _transferred(rule, _site(region, value))

    def _enter(self, region: Region, var: relax.Var, call: relax.Call) -> Facts:
        function = self._callee(call)
        if function is None or call.op.name_hint in self.calls:  # recursion proves nothing
            return region.declared(call.ty)
        if var not in region.inner:
            region.inner[var] = (self.called_region(),)
        (inside,) = region.inner[var]
        for param, argument in zip(function.params, call.args, strict=True):
            inside.define(param, region.facts_of(argument))
            inside.name_symbols(param)
        self.calls.append(call.op.name_hint)
        self.forward(inside, function.body)
        self.calls.pop()
        return inside.facts_of(result_of(function.body))

    def called_region(self) -> Region:
        """Nothing from outside is seen in a called function but its arguments."""
        return Region(self.domain)

    def _callee(self, call: relax.Call) -> relax.Function | None:
        function = self.module[call.op]
        is_plain = isinstance(function, relax.Function) and len(function.params) == len(call.args)
        return function if is_plain else None

    def _rule_of(self, call: relax.Call) -> Rule | None:
        return self.rules.get(str(call.op.name)) if isinstance(call.op, tvm.ir.Op) else None

    def backward(self, region: Region, body: relax.SeqExpr) -> bool:
        # A list: every binding is to teach, and `any` over a generator would stop at the first.
        return any([self.taught(region, b) for b in reversed(bindings_of(body))])

    def taught(self, region: Region, binding: relax.Binding) -> bool:
        """What a binding's result says of its arguments; True where that is new."""
        value, result = binding.value, region.read(binding.var)
        if not isinstance(value, relax.Call):
            return self.teach(region, value, result)
        if isinstance(value.op, tvm.ir.GlobalVar):
            return self._teach_callee(region, binding.var, value, result)
        rule = self._rule_of(value)
        if rule is None or rule.backward is None:
            return False
        try:
            learned = rule.backward(_site(region, value), result)
        except (IndexError, ValueError):  # no such axis: the run ends here with an error
            return False
        pairs = zip(value.args, learned, strict=False)
        return any([self.teach(region, argument, facts) for argument, facts in pairs])

    def _teach_callee(
        self, region: Region, var: relax.Var, call: relax.Call, result: Facts
    ) -> bool:
        function = self._callee(call)
        if function is None or var not in region.inner:
            return False
        (inside,) = region.inner[var]
        changes = self.teach(inside, result_of(function.body), result)
        self.calls.append(call.op.name_hint)
        changes |= self.backward(inside, function.body)
        self.calls.pop()
        for param, argument in zip(function.params, call.args, strict=True):
            changes |= self.teach(region, argument, inside.read(param))
        return changes

    def teach(self, region: Region, expression: tvm.ir.Expr, facts: Facts) -> bool:
        """Tell an expression's variable what is known of its value."""
        return isinstance(expression, relax.Var) and region.learn(expression, facts)


def bindings_of(body: relax.SeqExpr) -> list[relax.Binding]:
    """The steps of a body, in order."""
    blocks = body.blocks if isinstance(body, relax.SeqExpr) else []
    return [binding for block in blocks for binding in block.bindings]


def result_of(body: tvm.ir.Expr) -> tvm.ir.Expr:
    return body.body if isinstance(body, relax.SeqExpr) else body


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
    if facts.rank is UNDEF:
        return TensorFacts(UNDEF, UNDEF)
    rank = rank_of(facts)
    values = rule.values(site) if rule.values and rank is not None and rank <= 1 else NAC
    return TensorFacts(facts.dims, values, facts.dtype)


@dataclass(frozen=True)
class ShapeProofs:
    """Facts of one function of a module, at the fixed point. `rounds`: sweeps it took."""

    domain: Domain
    region: Region
    rounds: int

    def of(self, expression: relax.Expr) -> Facts:
        """A variable's facts, or those of any other argument. Never undef: nac is unproved."""
        return settled(self.region.facts_of(expression))

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


def prove_shapes(module: tvm.IRModule) -> ShapeProofs:
    """Rank and dimension propagation over main, to the fixed point."""
    propagation = Propagation(module)
    region = propagation.run(module["main"])
    return ShapeProofs(propagation.domain, region, propagation.rounds)


def settled(facts: Facts) -> Facts:
    """At the fixed point what is still undef is not going to be proved: nac."""
    if isinstance(facts, TupleFacts):
        return TupleFacts(tuple(settled(field) for field in facts.fields))

    def cells(row: Cells) -> Cells:
        if isinstance(row, NotConstant):
            return NAC
        return tuple(NAC if cell is UNDEF else cell for cell in row)

    return TensorFacts(cells(facts.dims), cells(facts.values), facts.dtype)
