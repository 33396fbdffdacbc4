"""The engine's kernels: vector TIR, written by hand, shaped by the version; one folder a format."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

from tvm.tirx import PrimFunc

from compiler.kernels import fp32, int8
from compiler.kernels.versions import Version

Functions = Mapping[str, PrimFunc]  # by C name


@dataclass(frozen=True)
class KernelSet:
    """A number format's kernels: its functions, and the C table that names them."""

    functions: Callable[[Version], Functions]
    table: Callable[[Version], list[str]]
    constants: Callable[[], list[str]]


def _parsed_once(functions: Callable[[Version], Functions]) -> Callable[[Version], Functions]:
    """In a thread, whose stack is short: for each kernel TVM's parser looks at the whole stack, at
    twice the time where that is a test's.
    """

    @cache
    def parsed(version: Version) -> Functions:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(functions, version).result()

    return parsed


KERNELS = {
    "fp32": KernelSet(_parsed_once(fp32.functions), fp32.table, fp32.constants),
    "int8": KernelSet(_parsed_once(int8.functions), int8.table, int8.constants),
}
