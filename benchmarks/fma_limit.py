# mypy: disable-error-code="valid-type, no-untyped-def"
"""The machine's fp32 limit: independent multiply-adds in registers, nothing else."""

import ctypes
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tvm.script import tirx as T
from tvm.tirx import PrimFunc

from compiler.objects import write_object
from compiler.targets import find_target

_STEPS = 2_000_000


def _kernel(lanes: int, accumulators: int) -> PrimFunc:
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


def fma_contender() -> tuple[Callable[[], object], float]:
    """A run for `harness.interleave`, and the GFLOP that it does."""
    target = find_target("host")
    accumulators = target.registers * 3 // 4
    with tempfile.TemporaryDirectory() as folder:
        compiled, library = Path(folder) / "fma.o", Path(folder) / "fma.so"
        write_object({"fma_limit": _kernel(target.lanes, accumulators)}, target, compiled)
        command = [sys.executable, "-m", "ziglang", "cc", "-target", target.c_target, "-shared"]
        subprocess.run([*command, str(compiled), "-o", str(library)], check=True)
        function = ctypes.CDLL(str(library)).fma_limit
    factor = (ctypes.c_float * target.lanes)(*[0.5] * target.lanes)
    out = (ctypes.c_float * (target.lanes * accumulators))()
    return lambda: function(factor, out, _STEPS), 2e-9 * _STEPS * accumulators * target.lanes
