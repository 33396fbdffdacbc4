"""Random Relax functions that run: every operator is tried on sample inputs before it is kept."""

from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

import numpy as np
import tvm
from tvm import relax, tirx

from tests.benchmarks.reproduction.shapes.relax_reference import Run

FAILURES = (ValueError, IndexError, TypeError, ZeroDivisionError, MemoryError)
FAILURES += (np.exceptions.AxisError, tvm.error.InternalError)
LARGEST = 4000  # numbers in a tensor; larger ones are not kept


@dataclass(frozen=True)
class Inputs:
    """Parameters and how to draw arguments for them."""

    params: list
    low: dict[str, int]

    def draw(self, random: Random) -> list:
        """Arguments of sizes that the bounds allow."""
        size = {name: low + random.choice((0, 1, 2, 5)) for name, low in self.low.items()}
        seed = np.random.default_rng(random.randrange(1 << 30))
        arguments = []
        for param in self.params:
            if param.name in ("v", "u"):  # nothing is said of their sizes
                shape = [size["n"], random.choice((3, size["c"])), size["h"], size["w"]]
            else:
                shape = [_length(d, size) for d in param.ty.shape.values]
            numbers = seed.integers(0, 4, shape)
            arguments.append(numbers.astype(str(param.ty.dtype)))
        return arguments


def _length(formula, size: dict[str, int]) -> int:
    return int(formula) if isinstance(formula, tirx.IntImm) else size[str(formula.name)]


EVERY = "xyzmkstvu"
DECLARED = "xyzmkst"  # the inputs whose shape is declared: TVM's VM can run little else


def make_inputs(random: Random, names: str) -> Inputs:
    low = {name: random.choice((0, 1, 2, 3, 6, 9)) for name in "nchwab"}
    low |= {"h": random.choice((1, 4, 9, 14)), "w": random.choice((1, 4, 9, 14))}
    n, c, h, w, a, b = (tirx.Var(name, "int64") for name in "nchwab")
    tensor = relax.TensorType
    params = [
        relax.Var("x", tensor([n, 3, h, w], "float32")),
        relax.Var("y", tensor([n, c, h, w], "float32")),
        relax.Var("z", tensor([1, random.choice((1, 3)), h, random.choice((1, w))], "float32")),
        relax.Var("m", tensor([a, b], "float32")),
        relax.Var("k", tensor([8, random.choice((3, c)), 3, 3], "float32")),
        relax.Var("s", tensor([2], "int64")),
        relax.Var("t", tensor([], "bool")),
        relax.Var("v", tensor(ndim=4, dtype="float32")),
        relax.Var("u", tensor(dtype="float32")),
    ]
    return Inputs([p for p in params if p.name in names], low)


@dataclass
class Maker:
    """A function as it grows. `run` has the values of everything for the sample inputs."""

    random: Random
    builder: relax.BlockBuilder
    run: Run
    pool: list
    bindings: list = field(default_factory=list)
    depth: int = 0
    counter: list = field(default_factory=lambda: [0])

    def emit(self, expression) -> relax.Var:
        """Keep an operator if it runs on the sample; one of FAILURES is raised if not."""
        expression = self.builder.normalize(expression)
        value = self.run.value(expression)
        parts = value if isinstance(value, list | tuple) else [value]
        if any(np.size(part) > LARGEST for part in parts):
            raise ValueError("too large")
        return self.bind(relax.VarBinding, expression, value)

    def bind(self, kind, expression, value, *cast) -> relax.Var:
        self.counter[0] += 1
        declared = cast[0] if cast else expression.ty
        var = relax.Var(f"v{self.counter[0]}", declared)
        self.bindings.append(kind(var, expression, *cast))
        self.run.values[var] = value
        self.pool.append(var)
        return var

    def pick(self, rank: int | None = None, dtype: str | None = None) -> relax.Var:
        found = [v for v in self.pool if self._is_like(v, rank, dtype)]
        # Later values are likelier, so that graphs grow deep.
        return found[max(self.random.randrange(len(found)) for _ in "ab")]

    def _is_like(self, var, rank: int | None, dtype: str | None) -> bool:
        value = self.run.values[var]
        if not isinstance(value, np.ndarray):
            return False
        return rank in (None, value.ndim) and dtype in (None, str(value.dtype))

    def rank(self, var) -> int:
        return self.run.values[var].ndim

    def grow(self, steps: int) -> None:
        for _ in range(steps):
            step = self.random.choice(STEPS)
            with suppress(*FAILURES):
                step(self)

    def inner(self) -> "Maker":
        """A branch: it sees what there is, and keeps what it makes."""
        return Maker(
            self.random, self.builder, self.run, list(self.pool), [], self.depth + 1, self.counter
        )


def make_function(
    random: Random, most_steps: int = 24, names: str = EVERY
) -> tuple[tvm.IRModule, Inputs]:
    inputs = make_inputs(random, names)
    run = Run()
    arguments = inputs.draw(random)
    for param, argument in zip(inputs.params, arguments, strict=True):
        run.match(param.ty, argument)
        run.values[param] = argument
    maker = Maker(random, relax.BlockBuilder(), run, list(inputs.params))
    maker.grow(random.randrange(4, most_steps))
    made = [b.var for b in maker.bindings]
    result = relax.Tuple(made)
    body = maker.builder.normalize(relax.SeqExpr([relax.BindingBlock(maker.bindings)], result))
    function = relax.Function(inputs.params, body, result.ty, is_pure=True)
    bounds = {name: low for name, low in inputs.low.items()}
    function = function.with_attr("tir_var_lower_bound", bounds)
    return tvm.IRModule({"main": function.with_attr("global_symbol", "main")}), inputs


def _unary(m: Maker) -> None:
    m.emit(m.random.choice((relax.op.nn.relu, relax.op.exp, relax.op.negative))(m.pick()))


def _binary(m: Maker) -> None:
    dtype = m.random.choice(("float32", "float32", "int64"))
    operators = (
        relax.op.add,
        relax.op.subtract,
        relax.op.multiply,
        relax.op.minimum,
        relax.op.maximum,
    )
    left, right = m.pick(dtype=dtype), m.pick(dtype=dtype)
    m.emit(m.random.choice(operators)(left, right))


def _with_constant(m: Maker) -> None:
    """Arithmetic on contents of shapes."""
    value = m.pick(dtype="int64")
    number = relax.const(m.random.randrange(-3, 6), "int64")
    operators = (relax.op.add, relax.op.minimum, relax.op.maximum, relax.op.floor_divide)
    m.emit(m.random.choice(operators)(value, number))


def _where(m: Maker) -> None:
    condition = m.emit(relax.op.less(m.pick(4, "float32"), m.pick(4, "float32")))
    m.emit(relax.op.where(condition, m.pick(4, "float32"), m.pick(4, "float32")))


def _conv2d(m: Maker) -> None:
    data, weight = m.pick(4, "float32"), m.pick(4, "float32")
    if m.random.random() < 0.6:
        channels = m.run.values[data].shape[1]
        numbers = np.ones((4, max(channels, 1), *m.random.choice(((1, 1), (3, 3), (5, 3)))))
        weight = relax.const(numbers.astype("float32"))
    stride, padding = m.random.choice((1, 1, 2)), m.random.choice((0, 0, 1))
    m.emit(relax.op.nn.conv2d(data, weight, strides=stride, padding=padding))


def _pool2d(m: Maker) -> None:
    m.emit(relax.op.nn.max_pool2d(m.pick(4, "float32"), (2, 2), m.random.choice((1, 2))))


def _pad(m: Maker) -> None:
    data = m.pick(4, "float32")
    if not isinstance(data.ty.shape, relax.ShapeExpr):
        raise ValueError("Relax crashes on padding a tensor without a declared shape")
    m.emit(relax.op.nn.pad(data, [m.random.randrange(3) for _ in range(8)]))


def _matmul(m: Maker) -> None:
    m.emit(relax.op.matmul(m.pick(dtype="float32"), m.pick(dtype="float32")))


def _permute(m: Maker) -> None:
    data = m.pick()
    axes = list(range(m.rank(data)))
    m.random.shuffle(axes)
    m.emit(relax.op.permute_dims(data, m.random.choice((axes, None))))


def _axis_of(m: Maker, data) -> int:
    rank = m.rank(data)
    return m.random.randrange(-rank, rank) if rank else 0


def _axes(m: Maker) -> None:
    data = m.pick()
    axis = _axis_of(m, data)
    operators = (
        lambda: relax.op.expand_dims(data, axis),
        lambda: relax.op.squeeze(data, axis),
        lambda: relax.op.squeeze(data),
        lambda: relax.op.flatten(data),
        lambda: relax.op.repeat(data, 2, axis),
        lambda: relax.op.tile(data, (2,) * max(1, m.rank(data))),
    )
    m.emit(m.random.choice(operators)())


def _reduce(m: Maker) -> None:
    data = m.pick()
    operators = (relax.op.sum, relax.op.min, relax.op.max, relax.op.prod)
    axis = m.random.choice((None, _axis_of(m, data)))
    m.emit(m.random.choice(operators)(data, axis, m.random.random() < 0.5))


def _concat(m: Maker) -> None:
    data = m.pick()
    rank, dtype = m.rank(data), str(m.run.values[data].dtype)
    fields = [data, *(m.pick(rank, dtype) for _ in range(m.random.randrange(1, 3)))]
    m.emit(relax.op.concat(fields, _axis_of(m, data)))


def _stack(m: Maker) -> None:
    data = m.pick(dtype="int64")
    m.emit(relax.op.stack([data, m.pick(m.rank(data), "int64")], 0))


def _split(m: Maker) -> None:
    data = m.pick(4)
    cuts = m.random.choice((2, 3, [1], [2, 5]))
    whole = m.emit(relax.op.split(data, cuts, _axis_of(m, data)))
    m.emit(relax.TupleGetItem(whole, m.random.randrange(2)))


def _take(m: Maker) -> None:
    data = m.pick()
    index = m.random.choice(([0], [1, 0], 0, [2], [-1]))
    m.emit(relax.op.take(data, relax.const(np.array(index, "int64"), "int64"), axis=0))


def _shape(m: Maker) -> None:
    """Shape -> tensor, the source of everything that travels as contents."""
    shape = m.emit(relax.op.shape_of(m.pick()))
    m.emit(relax.op.shape_to_tensor(shape))


def _size(m: Maker) -> None:
    m.emit(relax.op.size(m.pick()))


def _from_contents(m: Maker):
    """A small tensor of integers as a shape."""
    values = m.pick(1, "int64")
    return m.emit(relax.op.tensor_to_shape(values))


def _reshape(m: Maker) -> None:
    data = m.pick()
    if m.random.random() < 0.3:
        m.emit(relax.op.reshape(data, _from_contents(m)))
    m.emit(relax.op.reshape(data, m.random.choice(([-1], [1, -1], [-1, 1]))))


def _reshape_flat(m: Maker) -> None:
    """To a permuted shape, by way of the contents of its own."""
    data = m.pick(4)
    shape = m.emit(relax.op.shape_of(data))
    numbers = m.emit(relax.op.shape_to_tensor(shape))
    order = relax.const(np.array(m.random.choice(([3, 2, 1, 0], [0, 1, 2, 3])), "int64"), "int64")
    moved = m.emit(relax.op.take(numbers, order, axis=0))
    target = m.emit(relax.op.tensor_to_shape(moved))
    m.emit(relax.op.reshape(data, target))


def _broadcast_to(m: Maker) -> None:
    m.emit(relax.op.broadcast_to(m.pick(), _from_contents(m)))


def _zeros(m: Maker) -> None:
    m.emit(relax.op.zeros(_from_contents(m), "float32"))


def _slice(m: Maker) -> None:
    """Crops and other slices; many begin and end so that the ends are clamped."""
    data = m.pick()
    rank = m.rank(data)
    axes = m.random.sample(range(rank), m.random.randrange(1, min(rank, 2) + 1))
    begins = [m.random.choice((0, 1, 2, 4, -3, 20)) for _ in axes]
    ends = [m.random.choice((-1, -2, -4, 3, 7, 50, (1 << 63) - 1)) for _ in axes]
    steps = [m.random.choice((1, 1, 1, 2, 3)) for _ in axes]
    if m.random.random() < 0.15:
        begins, ends, steps = ends, begins, [-s for s in steps]
    inbound = m.random.random() < 0.2
    m.emit(relax.op.strided_slice(data, axes, begins, ends, steps, assume_inbound=inbound))


def _symbolic_slice(m: Maker) -> None:
    """An end that is a formula of a symbol."""
    data = m.pick(4)
    length = m.random.choice(list(m.run.symbols))
    end = m.random.choice((length - 1, tirx.max(length - 4, 0), length // 2))
    m.emit(relax.op.strided_slice(data, [2], [0], [end]))


def _dynamic_slice(m: Maker) -> None:
    data = m.pick(m.random.choice((1, 2, 4)))
    rank = m.rank(data)
    ends = m.emit(relax.op.shape_to_tensor(m.emit(relax.op.shape_of(data))))
    if m.random.random() < 0.5:
        ends = m.emit(relax.op.subtract(ends, relax.const(np.ones(rank, "int64"), "int64")))
    begins, steps = (relax.const(np.full(rank, n), "int64") for n in (m.random.randrange(3), 1))
    m.emit(relax.op.dynamic_strided_slice(data, begins, ends, steps))


def _topk(m: Maker) -> None:
    data = m.pick(dtype="float32")
    kind = m.random.choice(("both", "values"))
    m.emit(relax.op.topk(data, m.random.choice((0, 1, 2)), _axis_of(m, data), kind))


def _resize(m: Maker) -> None:
    h, w = (m.random.choice(list(m.run.symbols)) for _ in "hw")
    size = m.random.choice(([h * 2, w * 2], [h // 2, w + 1], [5, w]))
    m.emit(relax.op.image.resize2d(m.pick(4, "float32"), relax.ShapeExpr(size), layout="NCHW"))


def _arange(m: Maker) -> None:
    end = m.random.choice(list(m.run.symbols))
    m.emit(relax.op.arange(m.random.randrange(3), end, m.random.randrange(1, 4), "int64"))


def _nonzero(m: Maker) -> None:
    m.emit(relax.op.nonzero(m.pick(dtype="float32")))


def _cast(m: Maker) -> None:
    """New symbols, and known ones that are checked again."""
    data = m.pick()
    value = m.run.values[data]
    choices = [tirx.Var(f"q{m.counter[0]}_{i}", "int64") for i in range(value.ndim)]
    dims = [m.random.choice((choices[i], choices[i], size)) for i, size in enumerate(value.shape)]
    known = {size: symbol for symbol, size in m.run.symbols.items()}
    dims = [known.get(d, d) if isinstance(d, int) else d for d in dims]
    declared = relax.TensorType(dims, str(value.dtype))
    m.run.match(declared, value)
    m.bind(relax.MatchCast, data, value, declared)


def _if(m: Maker) -> None:
    if m.depth > 1:
        return
    symbols = dict(m.run.symbols)
    condition = m.pick(0, "bool") if m.random.random() < 0.8 else m.pool[6]
    bodies, results = [], []
    for branch in (m.inner(), m.inner()):
        branch.grow(m.random.randrange(1, 5))
        rank = m.rank(results[0]) if results else None
        dtype = str(m.run.values[results[0]].dtype) if results else None
        result = branch.pick(rank, dtype)
        named = relax.Var(f"b{m.counter[0]}", result.ty)
        bindings = [*branch.bindings, relax.VarBinding(named, result)]
        bodies.append(relax.SeqExpr([relax.BindingBlock(bindings)], named))
        results.append(result)
        m.run.symbols = dict(symbols)  # symbols of a branch end with it
    m.emit(relax.If(condition, *bodies))


STEPS = (
    *(_unary, _binary, _binary, _with_constant, _with_constant, _where, _conv2d, _conv2d, _pool2d),
    *(_pad, _matmul, _permute, _axes, _axes, _reduce, _concat, _concat, _stack, _split, _take),
    *(_shape, _shape, _size, _reshape, _reshape_flat, _broadcast_to, _zeros, _slice, _slice),
    *(_slice, _symbolic_slice, _dynamic_slice, _topk, _resize, _arange, _nonzero, _cast, _if, _if),
)
