"""Vector TIR -> scalar TIR: every vector statement becomes a loop over its lanes.

    sums[p] = a[T.Ramp(i, 1, 16)] + T.Broadcast(b, 16)
    for lane in range(16): sums[p * 16 + lane] = a[i + lane] + b

What C has no type for goes away, so kernels that are written once, in vectors, also serve machines
that the compiler knows nothing of. A C compiler makes vectors of these loops where it has any.
"""

from typing import Any

from tvm import tirx
from tvm.ir import Call
from tvm.ir.expr import TensorLoad
from tvm.tirx import BufferStore, ForKind, PrimFunc, Stmt, Var

from compiler.compile_error import CompileError

_BINARY = (
    *(tirx.Add, tirx.Sub, tirx.Mul, tirx.Min, tirx.Max),
    *(tirx.BitwiseAnd, tirx.BitwiseOr, tirx.BitwiseXor, tirx.LShift, tirx.RShift),
)
_LANEWISE = {"tirx.nearbyint": tirx.nearbyint}

Flat = dict[Var, Var]  # buffers of vectors -> buffers of their numbers, filled as they are met


def scalarise(kernel: PrimFunc) -> PrimFunc:
    """The same kernel without a vector; raises CompileError for what has no scalar form."""
    return kernel.with_body(_statement(kernel.body, {}))


def _statement(stmt: Stmt, flat: Flat) -> Stmt:
    match stmt:
        case tirx.SeqStmt():
            return tirx.SeqStmt([_statement(part, flat) for part in stmt.seq])
        case tirx.For():
            body = _statement(stmt.body, flat)
            return tirx.For(stmt.loop_var, stmt.min, stmt.extent, ForKind.SERIAL, body)
        case tirx.IfThenElse(else_case=None):
            return tirx.IfThenElse(stmt.condition, _statement(stmt.then_case, flat), None)
        case tirx.AllocBuffer() if stmt.buffer.dtype.lanes > 1:
            (vectors,), dtype = stmt.buffer.shape, stmt.buffer.dtype
            numbers = (vectors * dtype.lanes,), dtype.with_lanes(1)
            flat[stmt.buffer] = tirx.decl_buffer(*numbers, stmt.buffer.name)
            return tirx.AllocBuffer(flat[stmt.buffer])
        case tirx.AllocBuffer() | tirx.DeclBuffer():
            return stmt
        case BufferStore():
            return _store(stmt, flat)
    raise CompileError(f"kernel: {type(stmt).__name__} has no scalar form")


def _store(stmt: BufferStore, flat: Flat) -> Stmt:
    """A loop over the lanes, or one statement a lane where each takes another way."""
    lanes = stmt.value.ty.dtype.lanes

    def store(lane: Any) -> Stmt:
        buffer, index = _place(stmt.buffer, stmt.indices[0], lane, flat)
        return BufferStore(buffer, _lane_of(stmt.value, lane, flat), [index])

    if lanes == 1:
        return store(0)
    if _is_shuffled(stmt.value):
        return tirx.SeqStmt([store(lane) for lane in range(lanes)])
    lane = Var("lane", "int32")
    return tirx.For(lane, 0, lanes, ForKind.SERIAL, store(lane))


def _place(buffer: Var, index: Any, lane: Any, flat: Flat) -> tuple[Var, Any]:
    """Buffer and index of a lane of buffer[index]."""
    if buffer in flat:
        return flat[buffer], index * buffer.dtype.lanes + lane
    return buffer, _lane_of(index, lane, flat)


def _is_shuffled(value: Any) -> bool:
    match value:
        case tirx.Shuffle():
            return True
        case tirx.Cast():
            return _is_shuffled(value.value)
        case Call():
            return any(map(_is_shuffled, value.args))
        case _ if isinstance(value, _BINARY):
            return _is_shuffled(value.a) or _is_shuffled(value.b)
    return False


def _lane_of(value: Any, lane: Any, flat: Flat) -> Any:
    """One lane of a vector; a number is the same in every lane."""
    match value:
        case _ if value.ty.dtype.lanes == 1:
            return value
        case tirx.Ramp():
            return value.base + value.stride * lane
        case tirx.Broadcast():
            return value.value
        case tirx.Cast():
            element = value.ty.dtype.with_lanes(1)
            return tirx.Cast(element, _lane_of(value.value, lane, flat))
        case tirx.Shuffle():
            # Its indices count the lanes of its vectors, laid end to end.
            lanes = value.vectors[0].ty.dtype.lanes
            vector, of_vector = divmod(int(value.indices[int(lane)]), lanes)
            return _lane_of(value.vectors[vector], of_vector, flat)
        case TensorLoad():
            buffer, index = _place(value.source, value.indices[0], lane, flat)
            return tirx.BufferLoad(buffer, [index])
        case Call() if value.op.name in _LANEWISE:
            return _LANEWISE[value.op.name](*(_lane_of(a, lane, flat) for a in value.args))
        case _ if isinstance(value, _BINARY):
            return type(value)(_lane_of(value.a, lane, flat), _lane_of(value.b, lane, flat))
    raise CompileError(f"kernel: {value} has no scalar form")
