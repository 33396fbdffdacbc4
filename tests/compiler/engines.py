"""The engines of all tests, each made once: one plays every network of its dtype."""

import platform
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from compiler import EngineFiles, compile_engine
from compiler.kernels.int8 import DOT_PRODUCTS
from compiler.kernels.versions import INT8_AVXVNNI, INT8_C
from compiler.targets import TARGETS, Target, find_target

Shared = Callable[[str, Callable[[Path], Any]], Any]  # tests/conftest.py

# The text of the AVX-VNNI kernels in the encoding of AVX-512, for processors that have only that.
EVEX = "avxvnni_evex"
_EVEX_VERSION = replace(
    INT8_AVXVNNI,
    name=EVEX,
    features=("+avx512vnni", "+avx512vl"),
    needs=("AVX512", "AVX512VNNI"),
)


def engine_of(shared: Shared, target: str, dtype: str) -> EngineFiles:
    """The engine of a target; for this machine's int8 one see `every_int8_version`."""
    return shared(f"engine-{target}-{dtype}", partial(compile_engine, target, dtype=dtype))


def every_int8_version(shared: Shared) -> EngineFiles:
    """The host's int8 engine with every version that its kind of processor may have, and C."""

    def compiled(out: Path) -> EngineFiles:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(TARGETS, "int8-test", _every_version_of)
            patch.setitem(DOT_PRODUCTS, EVEX, DOT_PRODUCTS["avxvnni"])
            return compile_engine("int8-test", out, "int8")

    return shared("engine-int8-test", compiled)


def _every_version_of(name: str) -> Target:
    host = find_target("host")
    extra = (_EVEX_VERSION, INT8_C) if platform.machine() == "x86_64" else (INT8_C,)
    return replace(host, name=name, versions={"int8": (*host.versions["int8"], *extra)})
