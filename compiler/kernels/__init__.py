"""The engine's kernels: vector TIR, written by hand, shaped by the version; one folder a format."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tvm.tirx import PrimFunc

from compiler.kernels import fp32, int8
from compiler.kernels.versions import Version


@dataclass(frozen=True)
class KernelSet:
    """A number format's kernels: `functions` by C name, and the C table that names them."""

    functions: Callable[[Version], Mapping[str, PrimFunc]]
    table: Callable[[Version], list[str]]
    constants: Callable[[], list[str]]


KERNELS = {
    "fp32": KernelSet(fp32.functions, fp32.table, fp32.constants),
    "int8": KernelSet(int8.functions, int8.table, int8.constants),
}
