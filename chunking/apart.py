"""Decoders of sound by a process of its own: those of rare codecs end the process they run in.

    python -P -m MODULE FILM NUMBER ...     the NUMBER-th audio stream of FILM, from 1; of "-": of
                                            MP4 on stdin, as packages bring it

What is found goes to stdout, a line each behind a mark, as libraries write there too; the reason
of a failure to stderr, with exit code 3.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired
from time import monotonic

import av
import click

from chunking.input_error import InputError
from chunking.opening import Mp4, Source, describe

FAILED = 3
TICKS = 20  # looks at a process, in the time that it may take


def run_apart(
    module: str, film: Source, number: int, longest_s: float, *arguments: str
) -> list[str]:
    """The lines that `module` says. Raises InputError where it fails or takes longer."""
    # -P: no module of the current folder, which may be a stranger's.
    name, data = str(Path(describe(film)).absolute()), b""
    if isinstance(film, Mp4):
        name, data = "-", film.data
    command = [sys.executable, "-P", "-m", module, name, str(number), *arguments]
    with Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE) as child:
        said, complained = _heard(child, data, longest_s)
    if child.returncode:
        lines = complained.decode(errors="replace").splitlines() or ["its decoder fails"]
        failed = "its decoder fails, maybe over an unusual layout of channels"
        raise InputError(lines[-1] if child.returncode == FAILED else failed)
    return said.decode(errors="replace").splitlines()


def _heard(child: Popen[bytes], data: bytes, longest_s: float) -> tuple[bytes, bytes]:
    """What a process says and complains of, given `data`. Raises InputError where it takes longer
    than `longest_s`, and ends it."""
    waited_s, tick_s = 0.0, longest_s / TICKS
    while True:
        began_s = monotonic()
        try:
            return child.communicate(data, timeout=tick_s)
        except TimeoutExpired as error:
            # Stopped for a while (Ctrl-Z), both of us have not waited for so long.
            waited_s, data = waited_s + min(monotonic() - began_s, 2 * tick_s), b""
            if waited_s >= longest_s:
                child.kill()
                raise InputError("its decoder hangs") from error


def answer(work: Callable[[Source, int], None]) -> None:
    """The other side: `work` on the film and the number of the command line."""
    name, number = sys.argv[1], int(sys.argv[2])
    film = Mp4("the sound", sys.stdin.buffer.read()) if name == "-" else name
    try:
        work(film, number)
    except (InputError, av.FFmpegError, ValueError) as error:
        click.echo(" ".join(str(error).split()), err=True)
        sys.exit(FAILED)
