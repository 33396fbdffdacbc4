"""Kernels -> C text: the vector TIR, scalarised, printed by TVM's own C generator."""

from collections.abc import Mapping

import tvm
import tvm_ffi
from tvm import tirx
from tvm.s_tir.pipeline import default_s_tir_pipeline
from tvm.tirx import PrimFunc

from compiler.emit.objects import as_c_function
from compiler.emit.scalarise import scalarise

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


def emit_c_kernels(kernels: Mapping[str, PrimFunc]) -> str:
    """A C file with a function for each kernel; raises CompileError for one without a C form."""
    target = tvm.target.Target({"kind": "c"})
    functions = {n: as_c_function(scalarise(k), n, target) for n, k in kernels.items()}
    passes, _, _ = default_s_tir_pipeline()
    with target:
        module = tirx.transform.LowerIntrin()(passes(tvm.IRModule(functions)))
    text = tvm_ffi.get_global_func("target.build.c")(module, target).inspect_source()
    _, _, text = text.partition(_PREAMBLE_END)
    for decoration in _DECORATION:
        text = text.replace(decoration, "")
    return _HEADER + text
