"""The int8 engine of this machine, for what the server has to upscale itself."""

import sys
from importlib.util import find_spec
from pathlib import Path

from player.engine import Engine
from player.engines import Needs, cached_engine, store_engine
from player.package.architecture import Architecture

# Without an engine these take as long as the compiler does: 46 frames of 320x180.
WORTH_COMPILING_PX = 46 * 320 * 180


def host_engine(arch: Architecture, lr_px: int) -> Engine | None:
    """An engine for int8 networks of `arch`, out of the user's cache.

    Where the cache has none it is compiled into it, if so many LR pixels are worth that and the
    extra `compile` is installed; else None.
    """
    needs = Needs("int8", (arch,))
    engine = cached_engine(needs)
    if engine is not None or lr_px < WORTH_COMPILING_PX or find_spec("tvm") is None:
        return engine
    from compiler.compile_error import CompileError

    sys.stderr.write("compiling an int8 engine for this machine, once: scoring is faster with it\n")
    try:
        _compile_into_cache(arch)
    except (CompileError, OSError) as error:
        sys.stderr.write(f"warning: {error}; scoring goes on without it, to the same result\n")
    return cached_engine(needs)


def _compile_into_cache(arch: Architecture) -> None:
    from compiler.engine import Network, compile_engine
    from sr.models import export_paths

    def build(folder: Path) -> None:
        compile_engine([Network(arch, export_paths(arch))], "host", folder, "int8")

    store_engine("host", build)
