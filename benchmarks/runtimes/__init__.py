"""Runtimes to measure against, one file each behind one small interface (`interface.py`).

A runtime's file is imported only where it is used: its package may be missing, and the process
that measures memory must hold nothing but one runtime.
"""

from importlib import import_module
from importlib.util import find_spec

from benchmarks.runtimes.interface import Runtime

OURS, TVM_DEFAULT = "pocketsr", "tvm-default"
_MODULES = {
    OURS: "ours",
    "openvino": "openvino_cpu",
    "onnxruntime": "onnxruntime_cpu",
    "mnn": "mnn_cpu",
    "executorch-xnnpack": "executorch_xnnpack",
    "litert-xnnpack": "litert_xnnpack",
    "ncnn": "ncnn_cpu",
    "torch": "torch_eager",
    "torch-compile": "torch_compiled",
    TVM_DEFAULT: "tvm_default",
}
NAMES = tuple(_MODULES)
PEERS = tuple(name for name in NAMES if name not in (OURS, TVM_DEFAULT))


def find_runtime(name: str) -> Runtime:
    """The runtime of that name; its package need not be installed. Raises KeyError."""
    runtime: Runtime = import_module(f"benchmarks.runtimes.{_MODULES[name]}").RUNTIME
    return runtime


def missing_modules(runtime: Runtime) -> list[str]:
    """What a runtime needs and this environment lacks."""
    return [name for name in runtime.modules if find_spec(name) is None]
