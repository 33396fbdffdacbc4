"""`pocketsr doctor`."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from sr.commands.options import json_option, show

PYTHON = ".".join(map(str, sys.version_info[:3]))
ENOUGH_DISK_BYTES = 2 << 30


@dataclass(frozen=True)
class Part:
    """Something that PocketSR needs, or does without where it is `optional`.

    `look` says what is there; None, or any error, where it is not. `mend` is the remedy.
    """

    name: str
    look: Callable[[], str | None]
    mend: str
    optional: bool = False


def _torch() -> str | None:
    known = version("torch")  # before it is loaded, so that its absence is told as that
    from sr.models.precision import computes_in_bf16

    return f"{known}, trains in {'bf16' if computes_in_bf16() else 'fp32: no bf16 here'}"


def _encoders() -> str | None:
    from av import Codec

    from chunking.encoders import ENCODERS

    return ", ".join(Codec(e.library, "w").name for e in ENCODERS.values())


def _generic() -> str | None:
    from player.package.generic import generic_blob
    from player.package.scale import SCALES, scale_number
    from player.package.weights import unpack_weights

    for scale in SCALES:
        unpack_weights(generic_blob(scale))
    return ", ".join(f"x{scale_number(scale)}" for scale in SCALES)


def _signing_key() -> str | None:
    from player.package.signature import home, signing_key

    signing_key()
    return str(home())


def _engine_targets() -> str | None:
    from compiler.targets import TARGETS, find_target

    isas = ", ".join(version.name for version in find_target("host").versions["int8"])
    return f"host can hold {isas}; {len(TARGETS)} targets"


def _vmaf() -> str | None:
    from player.vmaf import find_vmaf

    return str(find_vmaf() or "") or None


def _engine() -> str | None:
    from player.engines import ENGINE_VARIABLE, cached_engine, open_engine

    if os.environ.get(ENGINE_VARIABLE):
        named = open_engine("int8")
        return f"{ENGINE_VARIABLE}: {named.path}" if named else None
    cached = cached_engine("int8")
    return str(cached.path.parent) if cached else "none yet: the first use compiles one"


def _disk() -> str | None:
    free = shutil.disk_usage(Path.cwd()).free
    return f"{free >> 30} GiB free here" if free > ENOUGH_DISK_BYTES else None


COMPILE, WINDOW = "pip install 'pocketsr[compile]'", "pip install 'pocketsr[window]'"
GRAPHS = "pip install 'pocketsr[laboratory]' (only for graph tickets in the laboratory)"
REPORT = "pip install 'pocketsr[report]' (only for report)"
VMAF = "pip install 'pocketsr[vmaf]' (only for VMAF in measure, or as a target)"
PARTS = (
    Part("Python", lambda: PYTHON if sys.version_info >= (3, 11) else None, "install Python 3.11"),
    Part("torch", _torch, "pip install torch"),
    Part("av", partial(version, "av"), "pip install av"),
    Part("apache-tvm", partial(version, "apache-tvm"), COMPILE),
    Part("ziglang", partial(version, "ziglang"), COMPILE),
    Part("pygame", partial(version, "pygame"), f"{WINDOW} (only for play --window)", optional=True),
    Part("VMAF", _vmaf, VMAF, optional=True),
    Part("matplotlib", partial(version, "matplotlib"), REPORT, optional=True),
    Part("torch-geometric", partial(version, "torch-geometric"), GRAPHS, optional=True),
    Part("encoders", _encoders, "pip install --force-reinstall av"),
    Part("generic networks", _generic, "pip install --force-reinstall pocketsr"),
    Part("signing key", _signing_key, "set POCKETSR_HOME to a folder that you may write"),
    Part("compiler", _engine_targets, COMPILE),
    Part("engine", _engine, "unset POCKETSR_ENGINE, or run `pocketsr compile`"),
    Part("disk", _disk, "make room: a job wants 2 GiB"),
)


@click.command()
@json_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """What is installed, what is missing, and the command that mends it."""
    checks, lines, well = [], [], True
    for part in PARTS:
        found, mend = None, part.mend
        try:
            found = part.look()
        except PackageNotFoundError:
            pass  # its name says it already
        except Exception as error:  # whatever is broken, the other parts are looked at
            mend = f"{mend} ({error})"
        checks.append({"name": part.name, "found": found, "mend": mend, "optional": part.optional})
        lacks = "missing, optional" if part.optional else "missing"
        lines.append((part.name, found or f"{lacks}: {mend}"))
        well = well and (found is not None or part.optional)
    show({"schema": "pocketsr.doctor/1", "checks": checks}, as_json, lines)
    if not well:
        context.exit(1)
