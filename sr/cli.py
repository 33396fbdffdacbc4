"""The command line: `pocketsr COMMAND`. Exit codes and JSON are contracts (docs/commands.md).

The only file that sees everything, so it imports lazily: a command's module is loaded when the
command is named, and what it needs when it runs.
"""

import errno
import os
import signal
import sys
from types import FrameType

import click

from sr.stuck import end_in_any_case

COMMANDS = {
    "probe": "What a video file is, and whether it will work.",
    "encode": "Make a package out of a video; continues after an interruption.",
    "compile": "Make the engine that runs a package's networks on a target.",
    "play": "Upscale a package into a file, a window, or nothing, and report FPS.",
    "measure": "Quality, bytes and FPS of a package against its film.",
    "report": "One HTML page with pictures and plots of a package.",
    "verify": "Check hashes, signature, limits and self-tests of a package.",
    "targets": "List what `compile` can compile for.",
    "doctor": "What is installed, what is missing, and the command that mends it.",
}
FAULT, UNFINISHED, INTERRUPTED = 1, 6, 130
_NO_SUCH_PLACE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)
_STOPPED = "stopped; what is done is kept, the same command continues", UNFINISHED
_INTERRUPTED = "interrupted; what is done is kept, the same command continues", INTERRUPTED


class Stopped(BaseException):
    """SIGTERM: the work so far is kept, the same command continues."""


class LazyGroup(click.Group):
    """Loads `sr.commands.NAME` only for the command that is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = __import__(f"sr.commands.{cmd_name}", fromlist=["command"])
        return module.command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pocketsr")
def pocketsr() -> None:
    """Video super-resolution for phones: encode a film, compile its network, play it."""


def main() -> None:
    """Entry point of the console script: runs a command and turns errors into exit codes."""
    # Before torch is loaded: threads that wait sleep. Spinning, they make training six times slower
    # where anything else runs beside it.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("KMP_BLOCKTIME", "0")
    signal.signal(signal.SIGTERM, _stop)
    end_in_any_case({signal.SIGTERM: _STOPPED, signal.SIGINT: _INTERRUPTED}, _say)
    try:
        code = pocketsr.main(standalone_mode=False) or 0
    except BaseException as error:
        code = explain(error)
    sys.exit(code)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped


def explain(error: BaseException) -> int:
    """One line on stderr for a person; returns the exit code (docs/commands.md)."""
    if os.environ.get("POCKETSR_TRACEBACK"):
        raise error
    match error:
        case SystemExit():
            return int(error.code or 0)
        case click.exceptions.Exit():
            return error.exit_code
        case click.Abort() | KeyboardInterrupt():
            return _say(*_INTERRUPTED)
        case Stopped():
            return _say(*_STOPPED)
        case click.exceptions.NoArgsIsHelpError():
            error.show()
            return error.exit_code
        case click.ClickException():
            context = getattr(error, "ctx", None)
            told = f" ({context.command_path} --help)" if context else ""
            return _say(error.format_message() + told, error.exit_code)
        case OSError():
            return _say(*_os_error(error))
    code = getattr(error, "exit_code", None)
    if code is not None:
        return _say(str(error), int(code))
    hint = "a fault of ours; POCKETSR_TRACEBACK=1 shows where, please report it"
    return _say(f"{type(error).__name__}: {error} ({hint})", FAULT)


def _os_error(error: OSError) -> tuple[str, int]:
    where = f"{error.filename}: " if error.filename else ""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{where}{reason}; make room, then the same command continues", UNFINISHED
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return f"{where}{reason}; choose a folder that you may write", 2
    if error.errno in _NO_SUCH_PLACE:
        return f"{where}{reason}; check the path", 3
    return f"{where}{reason}", FAULT


def _say(message: str, code: int) -> int:
    click.echo(f"pocketsr: {' '.join(message.split())}", err=True)
    return code


if __name__ == "__main__":
    main()
