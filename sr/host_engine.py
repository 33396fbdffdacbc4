"""Engines of this machine, compiled where the cache has none: once, for all films."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from player.engine import Engine
from player.engines import cached_engine, store_engine

BUILD_VARIABLE = "POCKETSR_BUILD"  # "0": only `pocketsr compile` compiles
# What the server upscales without an engine in the time that compiling one takes: 46 frames of
# 320x180.
WORTH_COMPILING_PX = 46 * 320 * 180


def build_engine(dtype: str, target: str = "host") -> Engine | None:
    """Compile an engine into the user's cache, said in one line on stderr.

    None where the extra `compile` is not installed, or does not work: that is said too.
    """
    if find_spec("tvm") is None or os.environ.get(BUILD_VARIABLE) == "0":
        return None
    from compiler.compile_error import CompileError
    from compiler.engine import compile_engine

    sys.stderr.write(f"compiling the {dtype} engine for {target}, once for all films\n")

    def build(folder: Path) -> None:
        compile_engine(target, folder, dtype)

    try:
        store_engine(target, build)
    except (CompileError, OSError) as error:
        sys.stderr.write(f"warning: {error}; going on without an engine\n")
    return cached_engine(dtype, target)


def host_engine(lr_px: int) -> Engine | None:
    """The int8 engine for what the server has to upscale itself, so many LR pixels.

    Out of the user's cache, or compiled into it where so much is worth that; else None.
    """
    engine = cached_engine("int8")
    if engine is None and lr_px >= WORTH_COMPILING_PX:
        engine = build_engine("int8")
    return engine
