"""Every rule of the laboratory on small modules: each class of operators, each direction, If."""

import pytest
from tvm import relax, tirx
from tvm.relax import TensorType

from benchmarks.reproduction.shapes import everything, prove_shapes
from benchmarks.reproduction.shapes.registry import ALL_RULES
from benchmarks.reproduction.shapes.slicing import slice_length
from compiler.importing.shapes import NAC, Known, Symbolic, TensorFacts, TupleFacts
from compiler.importing.shapes.domain import Domain
from compiler.importing.shapes.lattice import formula_of, value_of
from compiler.importing.shapes.operators import OperatorClass
from tests.compiler.relax_programs import Program, branch, called, numbers, symbols

op = relax.op


# the lattice and its domain


@pytest.mark.parametrize("low", [0, 5, 9, 14])
@pytest.mark.parametrize("step", [1, 2, 3, -1, -2])
@pytest.mark.parametrize(("begin", "end"), [(0, -1), (4, -4), (-3, 50), (20, 2), (-1, -30)])
def test_the_length_of_a_slice_is_pythons(low, begin, end, step):
    (h,) = symbols("h")
    domain = Domain()
    domain.declare(h, low)
    length = slice_length(domain, Symbolic(h), Known(begin), Known(end), Known(step))
    for size in range(low, low + 40):
        assert value_of(formula_of(length), {h: size}) == len(range(size)[begin:end:step])


# the classes


def test_every_class_has_operators():
    assert {rule.kind for rule in ALL_RULES.values()} == set(OperatorClass)
    assert ALL_RULES["relax.shape_of"].kind is OperatorClass.ISDO
    assert ALL_RULES["relax.nn.conv2d"].kind is OperatorClass.ISDOS
    assert ALL_RULES["relax.topk"].kind is OperatorClass.ISVDOS
    assert ALL_RULES["relax.nonzero"].kind is OperatorClass.EDO


def test_contents_of_shapes_travel_to_where_they_are_used():
    """SoD2's example: Shape, Min, TopK; here a slice and a reshape by computed sizes."""
    n, h, w = symbols("n h w")
    p = Program(x=TensorType([n, 3, h, w], "float32"))
    shape = p.contents(p.x)
    clipped = p.emit(op.minimum(shape, numbers(1 << 40, 9, 9, 9)))
    cut = p.emit(op.dynamic_strided_slice(p.x, numbers(0, 0, 0, 0), clipped, numbers(1, 1, 1, 1)))
    rows = p.emit(op.take(shape, numbers(0), axis=0))
    rest = p.emit(op.prod(p.emit(op.strided_slice(shape, [0], [1], [4])), keepdims=True))
    sizes = p.emit(op.tensor_to_shape(p.emit(op.concat([rows, rest]))))
    flat = p.emit(op.reshape(p.x, sizes))
    smallest = p.emit(op.min(shape))
    proofs = prove_shapes(p.module())
    assert str(proofs.of(cut)) == "[min(n, 1099511627776), 3, min(h, 9), min(w, 9)]"
    assert str(proofs.of(flat)) == "[n, h * w * 3]"
    assert str(proofs.of(smallest).values[0]) == "min(min(min(n, h), w), 3)"


def test_contents_may_wrap_around_in_32_bits():
    (n,) = symbols("n")
    p = Program(x=TensorType([n], "float32"))
    narrow = p.emit(op.astype(p.contents(p.x), "int32"))
    assert prove_shapes(p.module()).of(narrow) == TensorFacts((Known(1),), (NAC,), "int32")


def test_only_execution_tells_how_many_are_not_zero():
    h, w = symbols("h w")
    p = Program(x=TensorType([h, w], "float32"))
    found = p.emit(op.nonzero(p.x))
    k = tirx.Var("k", "int64")
    counted = p.cast(found, TensorType([2, k], "int64"))
    twice = p.emit(op.concat([counted, counted], 1))
    assert p.says(found, counted, twice, prove=prove_shapes) == "[2, nac] [2, k] [2, k * 2]"


def test_an_operator_without_a_rule_is_what_relax_says_of_it():
    (n,) = symbols("n")
    p = Program(x=TensorType([n, 4], "float32"))
    whole = p.emit(op.astype(p.x, "int32"))
    hot = p.emit(op.one_hot(whole, relax.prim_value(1), relax.prim_value(0), 5))
    assert "relax.one_hot" not in ALL_RULES
    assert p.says(hot, prove=prove_shapes) == "[n, 4, 5]"


# both directions


def test_a_product_teaches_its_operands():
    """SoD2, section 4: out [2a, 4b] and left [2a, 2c] give right [2c, 4b]."""
    a, b, c = symbols("a b c")
    p = Program(
        left=TensorType([a * 2, c * 2], "float32"),
        right=TensorType(ndim=2, dtype="float32"),
        sizes=TensorType([a, b, c], "float32"),
    )
    product = p.emit(op.matmul(p.left, p.right))
    p.cast(product, TensorType([a * 2, b * 4], "float32"))
    assert p.says(p.right, product, prove=prove_shapes) == "[c * 2, b * 4] [a * 2, b * 4]"


def test_a_convolution_teaches_its_input():
    n, h, w = symbols("n h w")
    p = Program(x=TensorType(dtype="float32"), k=TensorType([8, 5, 3, 3], "float32"))
    p.params["y"] = relax.Var("y", TensorType([n, 8, h, w], "float32"))
    out = p.emit(op.nn.relu(p.emit(op.nn.conv2d(p.x, p.k))))
    p.cast(out, TensorType([n, 8, h, w], "float32"))
    assert p.says(p.x, prove=prove_shapes) == "[n, 5, h + 2, w + 2]"


def test_open_inputs_get_names_when_nothing_teaches_them():
    p = Program(
        x=TensorType(ndim=2, dtype="float32"),
        k=TensorType([2], "int64"),
        u=TensorType(dtype="float32"),
    )
    double = p.emit(op.concat([p.x, p.x], 1))
    zeros = p.emit(op.zeros(p.emit(op.tensor_to_shape(p.k)), "float32"))
    assert p.says(double, zeros, p.u, prove=prove_shapes) == "[x_0, x_1 * 2] [k_at_0, k_at_1] nac"


def test_branches_are_merged_where_they_agree():
    n, h, w = symbols("n h w")
    p = Program(x=TensorType([n, h, w], "float32"), t=TensorType([], "bool"))
    cropped = branch(p, lambda: op.strided_slice(p.x, [1, 2], [2, 1], [-2, -1]))
    padded = branch(p, lambda: op.strided_slice(p.x, [1], [4], [(1 << 63) - 1]))
    joined = p.emit(relax.If(p.t, cropped, padded))
    p.low = {"h": 4, "w": 4}
    assert p.says(joined, prove=prove_shapes) == "[n, h - 4, nac]"


@pytest.mark.parametrize(("other", "known"), [("v", "[6, v_1]"), ("x", "[v_0, v_1]")])
def test_what_a_branch_teaches_holds_outside_only_if_both_do(other, known):
    """v's rows are 6 where v is multiplied by [5, 6]; if only one branch does so, who knows."""
    p = Program(
        v=TensorType(ndim=2, dtype="float32"),
        x=TensorType([6, 5], "float32"),
        m=TensorType([5, 6], "float32"),
        t=TensorType([], "bool"),
    )
    first = branch(p, lambda: op.matmul(p.m, p.v))
    second = branch(p, lambda: op.matmul(p.m, p.params[other]))
    p.emit(relax.If(p.t, first, second))
    assert p.says(p.v, prove=prove_shapes) == known


def test_an_optimistic_merge_would_teach_a_lie():
    """One branch gives 4 rows, the other an input's: the input must not learn 4 from that."""
    p = Program(v=TensorType(ndim=1, dtype="float32"), t=TensorType([], "bool"))
    four = branch(p, lambda: relax.const([1.0, 2.0, 3.0, 4.0], "float32"))
    whole = branch(p, lambda: p.v)
    joined = p.emit(relax.If(p.t, four, whole))
    out = p.emit(op.nn.relu(joined))
    assert p.says(p.v, out, prove=prove_shapes) == "[v_0] [nac]"


def test_a_symbol_of_a_called_function_is_not_one_number():
    """k is another number in each call."""
    n, h = symbols("n h")
    k = tirx.Var("k", "int64")

    def count(q: Program):
        return q.cast(q.emit(op.nonzero(q.a)), TensorType([1, k], "int64"))

    p = Program(x=TensorType([n], "float32"), y=TensorType([h], "float32"))
    var, function = called("count", TensorType([tirx.Var("r", "int64")], "float32"), count)
    p.functions[var] = function
    first, second = (p.emit(relax.Call(var, [v])) for v in (p.x, p.y))
    proofs = prove_shapes(p.module())
    assert not proofs.same_shape(first, second)
    assert str(proofs.of(first)) == "[1, nac]"


# the fixed point


def test_facts_travel_back_through_a_chain_and_the_sweeps_end():
    """Products whose result is cast: the last operand is learned first, the first one last."""
    n, k = symbols("n k")
    p = Program(**{f"x{i}": TensorType(ndim=2, dtype="float32") for i in range(8)})
    value = p.x0
    for i in range(1, 8):
        value = p.emit(op.matmul(value, p.params[f"x{i}"]))
    sizes = relax.Var("sizes", TensorType([n, k], "float32"))
    p.params["sizes"] = sizes
    p.cast(value, TensorType([n, k], "float32"))
    proofs = prove_shapes(p.module())
    cells = sum(len(proofs.dims(v) or ()) + 1 for v in everything(proofs))
    assert str(proofs.of(p.x0)) == "[n, x0_1]" and str(proofs.of(p.x7)) == "[x7_0, k]"
    assert 2 <= proofs.rounds <= cells


def test_tuples_keep_their_fields():
    n, h = symbols("n h")
    p = Program(x=TensorType([n, h], "float32"))
    p.low = {"h": 5}
    parts = p.emit(op.split(p.x, [2], 1))
    facts = prove_shapes(p.module()).of(parts)
    assert isinstance(facts, TupleFacts) and str(facts) == "([n, 2], [n, h - 2])"
