"""Kernels -> an object file with plain C functions, or C text; no calling convention of TVM's."""

from collections.abc import Mapping
from pathlib import Path

import tvm
import tvm_ffi
from tvm import tirx
from tvm.s_tir.pipeline import default_s_tir_pipeline

from compiler.emit.scalarise import scalarise
from compiler.kernels.versions import Version
from compiler.targets import Target

_C_CALLING_CONVENTION = 2  # CallingConv::kDeviceKernelLaunch: keeps MakePackedAPI away
_HEADER = """\
/* Generated: the kernels in plain C11. With the files beside this one, any C compiler makes the
 * engine of them:
 *
 *     cc -O2 -std=c11 -fPIC -shared -fvisibility=hidden *.c -o libpocketsr.so -lm -lpthread
 *
 * Integers are of 32 bits and little-endian, and >> of a negative number keeps its sign. */
#include <math.h>
#include <stdint.h>

#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-parameter" /* all kernels of a kind take the same */
#endif

"""
# What TVM prints around functions, for a runtime that the engine does without.
_PREAMBLE_END = "void* __tvm_ffi__library_ctx = NULL;\n"
_DECORATION = ('#ifdef __cplusplus\nextern "C"\n#endif\n', "TVM_DLL ")


def write_object(
    kernels: Mapping[str, tirx.PrimFunc], target: Target, version: Version, out: Path
) -> None:
    """Compile a version's kernels with LLVM; parameters that are pointers become C pointers.

    `out` is an object file (.o) or assembly (.s).
    """
    built = _built(kernels, "target.build.llvm", target.tvm_target(version))
    built.write_to_file(str(out), out.suffix.removeprefix("."))


def emit_c_kernels(kernels: Mapping[str, tirx.PrimFunc]) -> str:
    """A C file with a function for each kernel; raises CompileError for one without a C form.

    The vector TIR is scalarised, and printed by TVM's own C generator.
    """
    scalar = {name: scalarise(kernel) for name, kernel in kernels.items()}
    built = _built(scalar, "target.build.c", tvm.target.Target({"kind": "c"}))
    _, _, text = built.inspect_source().partition(_PREAMBLE_END)
    for decoration in _DECORATION:
        text = text.replace(decoration, "")
    return _HEADER + text


def _built(
    kernels: Mapping[str, tirx.PrimFunc], generator: str, target: tvm.target.Target
) -> tvm.runtime.Module:
    """A generator's module of the kernels, under their names in C."""
    attributes = {
        "calling_conv": _C_CALLING_CONVENTION,
        "tirx.is_global_func": True,
        "tirx.noalias": True,
        "target": target,
    }
    functions = {n: k.with_attr({"global_symbol": n, **attributes}) for n, k in kernels.items()}
    passes, _, _ = default_s_tir_pipeline()
    with target:
        # Not the pipeline's own host passes: LowerTVMBuiltin would move the accumulators, which
        # are larger than its limit for the stack, to the heap of TVM's runtime.
        module = tirx.transform.LowerIntrin()(passes(tvm.IRModule(functions)))
    return tvm_ffi.get_global_func(generator)(module, target)
