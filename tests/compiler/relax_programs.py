"""Small Relax programs, built a line at a time, for the tests of rank and dimension propagation."""

import tvm
from tvm import relax, tirx

from compiler.importing.shapes import prove_shapes

op = relax.op


def symbols(names: str) -> list[tvm.ir.Var]:
    return [tirx.Var(name, "int64") for name in names.split()]


class Program:
    """main(...) as it grows; `says` is what was proved of a variable, as text."""

    def __init__(self, **inputs) -> None:
        self.builder = relax.BlockBuilder()
        self.params = {name: relax.Var(name, declared) for name, declared in inputs.items()}
        self.bindings: list[relax.Binding] = []
        self.functions: dict[tvm.ir.GlobalVar, relax.Function] = {}
        self.low: dict[str, int] = {}

    def __getattr__(self, name: str) -> relax.Var:
        return self.params[name]

    def emit(self, expression) -> relax.Var:
        value = self.builder.normalize(expression)
        var = relax.Var(f"v{len(self.bindings)}", value.ty)
        self.bindings.append(relax.VarBinding(var, value))
        return var

    def cast(self, value, declared) -> relax.Var:
        var = relax.Var(f"v{len(self.bindings)}", declared)
        self.bindings.append(relax.MatchCast(var, value, declared))
        return var

    def contents(self, data) -> relax.Var:
        """The shape of a tensor as a tensor."""
        return self.emit(op.shape_to_tensor(self.emit(op.shape_of(data))))

    def module(self) -> tvm.IRModule:
        result = relax.Tuple([b.var for b in self.bindings])
        body = self.builder.normalize(relax.SeqExpr([relax.BindingBlock(self.bindings)], result))
        main = relax.Function(list(self.params.values()), body, result.ty)
        main = main.with_attr("tir_var_lower_bound", self.low)
        return tvm.IRModule({"main": main, **self.functions})

    def says(self, *variables, prove=prove_shapes) -> str:
        proofs = prove(self.module())
        return " ".join(str(proofs.of(v)) for v in variables)


def numbers(*values: int) -> relax.Expr:
    return relax.const(list(values), "int64")


def branch(p: Program, make) -> relax.SeqExpr:
    """A branch of an If: what `make` emits."""
    outside, p.bindings = p.bindings, []
    result = make()
    named = p.emit(result)
    body = relax.SeqExpr([relax.BindingBlock(p.bindings)], named)
    p.bindings = outside
    return body


def called(name: str, declared, make) -> tuple[tvm.ir.GlobalVar, relax.Function]:
    """A private function of one tensor."""
    p = Program(a=declared)
    body = branch(p, lambda: make(p))
    function = relax.Function([p.a], body, body.body.ty)
    var = tvm.ir.GlobalVar(name)
    relax.expr._update_type(var, function.ty)
    return var, function
