# mypy: disable-error-code="valid-type, no-untyped-def"
"""The machine's limits: independent multiply-adds in registers, nothing else.

fp32 by FMA, int8 by vpdpbusd; measured in turns with the engines, on whatever clock they get.
"""

import ctypes
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvm.script import tirx as T
from tvm.tirx import PrimFunc

from compiler.emit.kernels import write_object
from compiler.emit.link import ZIG
from compiler.kernels.versions import Version
from compiler.targets import Target, find_target

LIMIT = "limit"
_STEPS = 2_000_000
_BYTES_A_LANE = 4  # activations and weights that one vpdpbusd multiplies for each sum
_VPDPBUSD = {
    "avx512vnni": "llvm.x86.avx512.vpdpbusd.512",
    "avxvnni": "llvm.x86.avx512.vpdpbusd.256",
}


@dataclass(frozen=True)
class Limit:
    """A run for `harness.interleave`, and the 1e9 operations (two a multiply-add) that it does."""

    run: Callable[[], object]
    gop: float


def measurable_limit(dtype: str, isa: str) -> Limit | None:
    """The limit of the instruction set that an engine uses, on one core.

    None for int8 without vpdpbusd: its limit would be that of one choice of instructions.
    """
    target = find_target("host")
    version = next(v for v in target.versions[dtype] if v.name == isa)
    accumulators = version.registers * 3 // 4
    if dtype == "fp32":
        kernel, of_lane = _fma_kernel(version.lanes, accumulators), 2
    elif isa in _VPDPBUSD:
        kernel = _vpdpbusd_kernel(_VPDPBUSD[isa], version.lanes, accumulators)
        of_lane = 2 * _BYTES_A_LANE
    else:
        return None
    function = _load(kernel, target, version)
    operands = (ctypes.c_float * version.lanes)(*[0.5] * version.lanes)
    out = (ctypes.c_float * (version.lanes * accumulators))()
    gop = 1e-9 * of_lane * version.lanes * accumulators * _STEPS
    return Limit(lambda: function(operands, out, _STEPS), gop)


def _fma_kernel(lanes: int, accumulators: int) -> PrimFunc:
    vector = f"float32x{lanes}"

    @T.prim_func(s_tir=True, private=True)
    def kernel(factor_data: T.handle("float32"), out_data: T.handle("float32"), steps: T.int32):
        factor = T.decl_buffer((lanes,), "float32", data=factor_data)
        out = T.decl_buffer((lanes * accumulators,), "float32", data=out_data)
        acc = T.alloc_buffer((accumulators,), vector, scope="local")
        for i in T.unroll(accumulators):
            acc[i] = factor[T.ramp(0, 1, lanes)]
        for _ in T.serial(steps):
            for i in T.unroll(accumulators):
                acc[i] = acc[i] * factor[T.ramp(0, 1, lanes)] + factor[T.ramp(0, 1, lanes)]
        for i in T.unroll(accumulators):
            out[T.ramp(i * lanes, 1, lanes)] = acc[i]

    return kernel


def _vpdpbusd_kernel(name: str, lanes: int, accumulators: int) -> PrimFunc:
    vector, count = f"int32x{lanes}", _BYTES_A_LANE * lanes

    def dot(acc: Any, operands: Any) -> Any:
        both = operands[T.ramp(0, 1, count)]
        return T.call_llvm_pure_intrin(vector, name, acc, both, both)

    @T.prim_func(s_tir=True, private=True)
    def kernel(operand_data: T.handle("int8"), out_data: T.handle("int32"), steps: T.int32):
        operands = T.decl_buffer((count,), "int8", data=operand_data)
        out = T.decl_buffer((lanes * accumulators,), "int32", data=out_data)
        acc = T.alloc_buffer((accumulators,), vector, scope="local")
        for i in T.unroll(accumulators):
            acc[i] = T.broadcast(i, lanes)
        for _ in T.serial(steps):
            for i in T.unroll(accumulators):
                acc[i] = dot(acc[i], operands)
        for i in T.unroll(accumulators):
            out[T.ramp(i * lanes, 1, lanes)] = acc[i]

    return kernel


def _load(kernel: PrimFunc, target: Target, version: Version) -> Any:
    """The kernel as a C function of this process."""
    with tempfile.TemporaryDirectory() as folder:
        compiled, library = Path(folder) / "limit.o", Path(folder) / "limit.so"
        write_object({"limit": kernel}, target, version, compiled)
        command = [*ZIG, "cc", "-target", target.c_target, "-shared"]
        subprocess.run([*command, str(compiled), "-o", str(library)], check=True)
        return ctypes.CDLL(str(library)).limit
