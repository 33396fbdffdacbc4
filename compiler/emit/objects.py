"""Kernels -> an object file with plain C functions, without TVM's calling convention or runtime."""

from collections.abc import Mapping
from pathlib import Path

import tvm
import tvm_ffi
from tvm import tirx
from tvm.s_tir.pipeline import default_s_tir_pipeline

from compiler.kernels.versions import Version
from compiler.targets import Target

_C_CALLING_CONVENTION = 2  # CallingConv::kDeviceKernelLaunch: keeps MakePackedAPI away


def write_object(
    kernels: Mapping[str, tirx.PrimFunc], target: Target, version: Version, out: Path
) -> None:
    """Compile a version's kernels with LLVM; parameters that are pointers become C pointers.

    `out` is an object file (.o) or assembly (.s).
    """
    tvm_target = target.tvm_target(version)
    functions = {name: as_c_function(f, name, tvm_target) for name, f in kernels.items()}
    passes, _, _ = default_s_tir_pipeline()
    with tvm_target:
        # Not the pipeline's own host passes: LowerTVMBuiltin would move the accumulators, which
        # are larger than its limit for the stack, to the heap of TVM's runtime.
        module = tirx.transform.LowerIntrin()(passes(tvm.IRModule(functions)))
    build = tvm_ffi.get_global_func("target.build.llvm")
    build(module, tvm_target).write_to_file(str(out), out.suffix.removeprefix("."))


def as_c_function(kernel: tirx.PrimFunc, name: str, target: tvm.target.Target) -> tirx.PrimFunc:
    """The kernel under that name, without TVM's calling convention."""
    attributes = {
        "global_symbol": name,
        "calling_conv": _C_CALLING_CONVENTION,
        "tirx.is_global_func": True,
        "tirx.noalias": True,
        "target": target,
    }
    return kernel.with_attr(attributes)
