"""Rank and dimension propagation on small modules: lattice, domain, the rules of the networks.

The rules of all other operators, and control flow: tests/benchmarks/reproduction/shapes.
"""

import pytest
from tvm import relax, tirx
from tvm.relax import TensorType

from compiler.importing.shapes import NAC, Inferred, Known, Symbolic
from compiler.importing.shapes.domain import Domain
from compiler.importing.shapes.lattice import UNDEF, first_of, greatest, least, quotient
from compiler.importing.shapes.rules import RULES, inbound_cut
from tests.compiler.relax_programs import Program, called, symbols

op = relax.op


def test_a_cell_takes_one_constant_and_keeps_it():
    assert first_of(UNDEF, Known(3)) == Known(3)
    assert first_of(Known(3), Known(4)) == Known(3)
    assert first_of(NAC, Known(3)) is NAC


def test_constants_are_known_symbolic_or_inferred():
    (h,) = symbols("h")
    domain = Domain()
    domain.declare(h, 0)
    assert domain.constant(tirx.IntImm("int64", 3) + 4) == Known(7)
    assert domain.constant(h + 2 - 2) == Symbolic(h)
    assert domain.constant(h + 2) == Inferred(h + 2)
    assert str(domain.constant(tirx.min(h - 8, 5))) == "min(h - 8, 5)"
    assert domain.constant(1 << 63) is NAC


def test_equality_is_proved_and_not_guessed():
    h, w = symbols("h w")
    domain = Domain()
    domain.declare(h, 14, 8192)
    domain.declare(w, 0)
    assert domain.equal(Inferred(h * 4 - 48), Inferred((h - 12) * 4))
    assert domain.equal(Inferred(tirx.min(tirx.max(h - 4, 0), h)), Inferred(h - 4))
    assert not domain.equal(Inferred(tirx.max(w - 4, 0)), Inferred(w - 4))
    assert not domain.equal(Symbolic(h), Symbolic(w))
    assert not domain.equal(NAC, NAC)


def test_a_formula_that_grows_without_end_is_given_up():
    (h,) = symbols("h")
    domain = Domain()
    element = Symbolic(h)
    for divisor in range(3, 60):
        step = divisor
        element = domain.apply(lambda a, s=step: least(quotient(a * a, s), a + s), element)
    assert element is NAC


@pytest.mark.parametrize(
    ("left", "right", "together"),
    [
        ("h", "h", "h"),
        (1, "h", "h"),
        ("b", 7, "7"),  # b is 1 or 7, or the program stops
        ("h", "b", "h"),  # h >= 9
        ("a", "b", "nac"),  # both may be 1, or 0
        (0, "b", "0"),
    ],
)
def test_broadcasting(left, right, together):
    a, b, h = named = symbols("a b h")
    domain = Domain()
    for symbol, low in zip(named, (0, 0, 9), strict=True):
        domain.declare(symbol, low)
    table = {"a": Symbolic(a), "b": Symbolic(b), "h": Symbolic(h)}
    pair = (table[x] if isinstance(x, str) else Known(x) for x in (left, right))
    assert str(domain.broadcast(*pair)) == together


def test_broadcasting_of_lengths_that_are_never_zero_is_their_maximum():
    a, b = symbols("a b")
    domain = Domain()
    domain.declare(a, 1)
    domain.declare(b, 1)
    assert domain.broadcast(Symbolic(a), Symbolic(b)) == domain.apply(
        greatest, Symbolic(a), Symbolic(b)
    )


def test_a_crop_is_inside_only_where_the_bound_says_so():
    (h,) = symbols("h")
    domain = Domain()
    domain.declare(h, 7)
    assert inbound_cut(domain, Symbolic(h), Known(4), Known(-4)) is None
    domain.declare(h, 8)
    cut = inbound_cut(domain, Symbolic(h), Known(4), Known(-4))
    assert cut is not None and (str(cut.begin), str(cut.end)) == ("4", "h - 4")


def test_a_called_function_is_swept_with_its_arguments():
    n, h, r, s = symbols("n h r s")
    p = Program(x=TensorType([n, h], "float32"))
    var, function = called(
        "crop", TensorType([r, s], "float32"), lambda q: op.strided_slice(q.a, [1], [0], [s - 2])
    )
    p.functions[var] = function
    p.low = {"h": 8}
    once = p.emit(relax.Call(var, [p.x]))
    twice = p.emit(relax.Call(var, [once]))
    assert p.says(once, twice) == "[n, h - 2] [n, h - 4]"


def test_rules_are_those_of_the_networks_operators():
    """A rule that no network's import meets belongs to the laboratory."""
    names = "add clip nn.conv2d nn.relu permute_dims reshape strided_slice"
    assert set(RULES) == {f"relax.{name}" for name in names.split()}
