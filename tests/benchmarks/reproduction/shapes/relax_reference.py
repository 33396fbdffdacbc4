"""A NumPy interpreter of Relax: slow, obvious, and without a shape rule of the compiler's own.

What shapes come out is NumPy's doing. It raises ValueError where an operator cannot run.
"""

from dataclasses import dataclass, field

import numpy as np
import tvm
from numpy.lib.stride_tricks import sliding_window_view
from tvm import relax
from tvm.ir import is_prim_expr

from compiler.importing.shapes.lattice import value_of


def conv2d(x, weight, attrs):
    top, left, bottom, right = (int(p) for p in attrs.padding)
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    (down, across), groups = (int(s) for s in attrs.strides), int(attrs.groups)
    spread = int(attrs.dilation[0])
    size = [spread * (n - 1) + 1 for n in weight.shape[2:]]
    if x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups:
        raise ValueError("channels")
    windows = sliding_window_view(x, size, (2, 3))[:, :, ::down, ::across, ::spread, ::spread]
    pairs = zip(np.split(windows, groups, 1), np.split(weight, groups, 0), strict=True)
    return np.concatenate([np.einsum("nihwab,oiab->nohw", a, b) for a, b in pairs], 1)


def pool2d(x, attrs):
    (high, wide), (down, across) = map(list, (attrs.pool_size, attrs.strides))
    windows = sliding_window_view(x, (int(high), int(wide)), (2, 3))
    return windows[:, :, :: int(down), :: int(across)].max((-2, -1))


def resize2d(x, size):
    rows, columns = (
        np.arange(n) * old // max(n, 1) for n, old in zip(size, x.shape[2:], strict=True)
    )
    return x[:, :, rows][:, :, :, columns]


def topk(x, attrs):
    k, axis = int(attrs.k), int(attrs.axis)
    length = x.shape[axis]
    k = length if k < 1 else k
    if k > length:
        raise ValueError("more than there are")
    values, indices = (np.take(f(x, axis), range(k), axis) for f in (np.sort, np.argsort))
    return {"both": [values, indices], "values": values}[attrs.ret_type]


def strided_slice(x, axes, begins, ends, steps=None, inbound=False):
    steps = steps or [1] * len(axes)
    cut = [slice(None)] * x.ndim
    for axis, begin, end, step in zip(axes, begins, ends, steps, strict=True):
        length = x.shape[axis]
        if inbound and not 0 <= begin <= end <= length:
            raise ValueError("out of bounds")
        # An end before the first number cannot be written for a negative step otherwise.
        cut[axis] = slice(begin, None if step < 0 and end < -length else end, step)
    return x[tuple(cut)]


def squeeze(x, axes):
    return np.squeeze(x, None if axes is None else tuple(int(a) for a in axes))


def reduce(rule):
    def run(a, x):
        axes = a.axis if a.axis is None else tuple(int(i) for i in a.axis)
        return rule(x, axis=axes, keepdims=bool(a.keepdims))

    return run


def split(x, attrs):
    cuts, axis = attrs.indices_or_sections, int(attrs.axis)
    if hasattr(cuts, "__len__"):
        return tuple(np.split(x, [min(int(c), x.shape[axis]) for c in cuts], axis))
    part = -(-x.shape[axis] // int(cuts))
    if part * (int(cuts) - 1) > x.shape[axis]:
        raise ValueError("too few to split")
    return tuple(np.split(x, [part * i for i in range(1, int(cuts))], axis))


def pad(x, widths):
    pairs = list(zip(widths[::2], widths[1::2], strict=True))
    return np.pad(x, [(int(a), int(b)) for a, b in pairs])


def divide(x, y):
    if not np.all(y):
        raise ValueError("division by zero")
    return np.floor_divide(x, y)


def take(x, places, axis):
    if np.any(places >= x.shape[axis]) or np.any(places < 0):
        raise ValueError("no such place")  # TVM would read what is not there
    return np.take(x, places, axis)


# operator -> what it does with its attributes and its arguments' values
OPERATORS = {
    "relax.nn.relu": lambda a, x: np.maximum(x, 0),
    "relax.exp": lambda a, x: x * 1,
    "relax.negative": lambda a, x: -x,
    "relax.clip": lambda a, x, low, high: x,
    "relax.astype": lambda a, x: x.astype(str(a.dtype)),
    "relax.nn.softmax": lambda a, x: x,
    "relax.add": lambda a, x, y: x + y,
    "relax.subtract": lambda a, x, y: x - y,
    "relax.multiply": lambda a, x, y: x * y,
    "relax.floor_divide": lambda a, x, y: divide(x, y),
    "relax.minimum": lambda a, x, y: np.minimum(x, y),
    "relax.maximum": lambda a, x, y: np.maximum(x, y),
    "relax.where": lambda a, c, x, y: np.where(c, x, y),
    "relax.less": lambda a, x, y: x < y,
    "relax.nn.conv2d": lambda a, x, w: conv2d(x, w, a),
    "relax.nn.max_pool2d": lambda a, x: pool2d(x, a),
    "relax.nn.pad": lambda a, x, *value: pad(x, a.pad_width),
    "relax.matmul": lambda a, x, y: np.matmul(x, y),
    "relax.permute_dims": lambda a, x: x.transpose(
        None if a.axes is None else [int(i) for i in a.axes]
    ),
    "relax.expand_dims": lambda a, x: np.expand_dims(x, [int(i) for i in a.axis]),
    "relax.squeeze": lambda a, x: squeeze(x, a.axis),
    "relax.flatten": lambda a, x: x.reshape(-1),
    "relax.concat": lambda a, fields: np.concatenate(fields, int(a.axis)),
    "relax.stack": lambda a, fields: np.stack(fields, int(a.axis)),
    "relax.split": lambda a, x: split(x, a),
    "relax.tile": lambda a, x: np.tile(x, [int(r) for r in a.repeats]),
    "relax.repeat": lambda a, x: np.repeat(
        x, int(a.repeats), None if a.axis is None else int(a.axis)
    ),
    "relax.take": lambda a, x, i: take(x, i, 0 if a.axis is None else int(a.axis)),
    "relax.sum": reduce(np.sum),
    "relax.max": reduce(np.max),
    "relax.min": reduce(np.min),
    "relax.prod": reduce(np.prod),
    "relax.argmax": lambda a, x: np.argmax(
        x, a.axis if a.axis is None else int(a.axis), keepdims=bool(a.keepdims)
    ),
    "relax.topk": lambda a, x: topk(x, a),
    "relax.reshape": lambda a, x, shape: x.reshape(shape),
    "relax.broadcast_to": lambda a, x, shape: np.broadcast_to(x, shape),
    "relax.zeros": lambda a, shape: np.zeros(shape, str(a.dtype)),
    "relax.arange": lambda a, begin, end, step: np.arange(begin, end, step),
    "relax.image.resize2d": lambda a, x, size: resize2d(x, size),
    "relax.strided_slice": lambda a, x, *bounds: strided_slice(
        x, *bounds, inbound=bool(a.assume_inbound)
    ),
    "relax.dynamic_strided_slice": lambda a, x, b, e, s: strided_slice(
        x, range(x.ndim), *([int(n) for n in row] for row in (b, e, s))
    ),
    "relax.shape_of": lambda a, x: x.shape,
    "relax.shape_to_tensor": lambda a, shape: np.array(shape, np.int64),
    "relax.tensor_to_shape": lambda a, x: tuple(int(n) for n in x),
    "relax.size": lambda a, x: np.array(x.size, np.int64),
    "relax.nonzero": lambda a, x: np.array(np.nonzero(x)),
}


@dataclass
class Run:
    """One run of a function: every variable's value, every symbol's."""

    values: dict = field(default_factory=dict)
    symbols: dict = field(default_factory=dict)
    module: tvm.IRModule | None = None

    def enter(self, function: relax.Function, arguments) -> object:
        for param, argument in zip(function.params, arguments, strict=True):
            self.match(param.ty, argument)
            self.values[param] = argument
        return self.body(function.body)

    def body(self, sequence) -> object:
        for block in sequence.blocks:
            for binding in block.bindings:
                value = self.value(binding.value)
                if isinstance(binding, relax.MatchCast):
                    self.match(binding.ty, value)
                self.values[binding.var] = value
        return self.value(sequence.body)

    def match(self, declared, value) -> None:
        """Give symbols their values; ValueError where the value is not of this type."""
        if isinstance(declared, relax.ShapeType):
            formulas, sizes = declared.values, value
        elif isinstance(declared, relax.TensorType) and declared.shape is not None:
            formulas, sizes = declared.shape.values, value.shape
        else:
            return
        if len(formulas) != len(sizes):
            raise ValueError("rank")
        for formula, size in zip(formulas, sizes, strict=True):
            if isinstance(formula, tvm.ir.Var):
                self.symbols.setdefault(formula, size)
            if value_of(formula, self.symbols) != size:
                raise ValueError("shape")

    def value(self, expression) -> object:
        match expression:
            case tvm.ir.GenericConst():
                return expression.value.numpy()
            case relax.ShapeExpr():
                sizes = tuple(value_of(e, self.symbols) for e in expression.values)
                if min(sizes, default=0) < 0:
                    raise ValueError("negative size")
                return sizes
            case relax.Tuple():
                return [self.value(f) for f in expression.fields]
            case relax.TupleGetItem():
                return self.value(expression.tuple_value)[int(expression.index)]
            case relax.If():
                taken = bool(self.value(expression.cond))
                return self.body(expression.true_branch if taken else expression.false_branch)
            case relax.Call():
                return self.call(expression)
        if is_prim_expr(expression):
            is_number = isinstance(expression, tvm.tirx.FloatImm)
            return expression.value if is_number else value_of(expression, self.symbols)
        return self.values[expression]

    def call(self, call: relax.Call) -> object:
        arguments = [self.value(a) for a in call.args]
        if isinstance(call.op, tvm.ir.GlobalVar):
            inside = Run(module=self.module)
            return inside.enter(self.module[call.op], arguments)
        return OPERATORS[call.op.name](call.attrs, *arguments)
