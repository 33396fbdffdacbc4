"""`pocketsr doctor`."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from sr.commands.options import json_option, show


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what is there, or None and the command that mends it."""

    name: str
    found: str | None
    mend: str


LIBRARIES = {
    "torch": "pip install torch",
    "av": "pip install av",
    "apache-tvm": "pip install 'pocketsr[compile]'",
    "ziglang": "pip install 'pocketsr[compile]'",
    "pygame": "pip install 'pocketsr[window]' (only for play --window)",
}
ENOUGH_DISK_BYTES = 2 << 30


def _encoders() -> str | None:
    from av import Codec

    from chunking.encoders import ENCODERS

    return ", ".join(Codec(e.library, "w").name for e in ENCODERS.values())


def _generic() -> str | None:
    from player.package.generic import blob_path

    scales = [scale for scale in (2, 3, 4) if blob_path(scale).is_file()]
    return ", ".join(f"x{s}" for s in scales) if len(scales) == 3 else None


def _signing_key() -> str | None:
    from player.package.signature import home, signing_key

    signing_key()
    return str(home())


def _disk() -> str | None:
    free = shutil.disk_usage(Path.cwd()).free
    return f"{free >> 30} GiB free here" if free > ENOUGH_DISK_BYTES else None


def _engine_targets() -> str | None:
    from compiler.targets import TARGETS, find_target

    isas = ", ".join(version.name for version in find_target("host").versions["int8"])
    return f"host can hold {isas}; {len(TARGETS)} targets"


CHECKS: dict[str, tuple[Callable[[], str | None], str]] = {
    "encoders": (_encoders, "pip install --force-reinstall av"),
    "generic networks": (_generic, "pip install --force-reinstall pocketsr"),
    "signing key": (_signing_key, "set POCKETSR_HOME to a folder that you may write"),
    "compiler": (_engine_targets, "pip install 'pocketsr[compile]'"),
    "disk": (_disk, "make room: a job wants 2 GiB"),
}
OPTIONAL = ("pygame",)


def findings() -> Iterator[Finding]:
    """Everything that is looked at."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", python if sys.version_info >= (3, 11) else None, "install Python 3.11")
    for name, mend in LIBRARIES.items():
        try:
            yield Finding(name, version(name), mend)
        except PackageNotFoundError:
            yield Finding(name, None, mend)
    for name, (check, mend) in CHECKS.items():
        try:
            yield Finding(name, check(), mend)
        except Exception as error:  # whatever is broken, the other checks go on
            yield Finding(name, None, f"{mend} ({error})")


@click.command()
@json_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """What is installed, what is missing, and the command that mends it."""
    found = list(findings())
    lines = [(f.name, f.found or f"missing: {f.mend}") for f in found]
    result = {"schema": "pocketsr.doctor/1", "checks": [vars(f) for f in found]}
    show(result, as_json, lines)
    if any(f.found is None and f.name not in OPTIONAL for f in found):
        context.exit(1)
