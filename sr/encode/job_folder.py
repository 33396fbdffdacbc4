"""Making or finding the folder of a job, locked before anything in it is touched.

    -o ──ours?──► work/ ──lock──► --restart empties it ──► job.json ──► Job

Between any two of these a process may end: the same command then goes on from there.
"""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TextIO

from chunking.images import Film, film_sha256
from player.package.artefact import PART_SUFFIX, make_folder, write_bytes, write_text
from player.package.files import read_plain
from player.package.layout import (
    JOB_FILE,
    MADE_FILES,
    MADE_FOLDERS,
    MADE_SUFFIXES,
    OLD_ENGINES,
    REPORT_FILE,
    WORK,
)
from player.package.limits import MAX_RECORD_BYTES
from player.package.package_error import PackageError
from player.package.signature import signing_key
from player.package.verify import Verification, verify_package
from sr.encode.job import LOCK, Job, Warn, remove_work
from sr.encode.report_file import said_of_film
from sr.usage_error import UsageError

_SCHEMA = "pocketsr.job/1"
_MOST_TOLD = 4  # differences from another job


class Asked(Protocol):
    """What a job is asked for: of what film, into which folder, and all that decides the result."""

    @property
    def source(self) -> Film: ...

    @property
    def out(self) -> Path: ...

    def to_json(self) -> dict[str, Any]: ...


def run_job(
    options: Asked,
    restart: bool,
    warn: Warn,
    make: Callable[[Job], dict[str, Any]],
    warnings: Sequence[str] = (),
    verify: Callable[[Path], Verification] = verify_package,
) -> dict[str, Any]:
    """The report of a job that is done, or what `make` returns of it; `warnings` are told before.

    One that is refused before it has made anything leaves nothing, so that the next command finds
    its folder free. Raises what `open_job` and `make` do.
    """
    is_new = not options.out.exists()
    job = open_job(options, restart, warn)
    try:
        signing_key()  # what cannot be signed is not begun
        report = job.report(verify)
        for warning in (*warnings, *said_of_film(report or {})):
            warn(warning)
        report = make(job) if report is None else report
        job.close(report)
    except Exception:
        _free(options.out, is_new)
        raise
    return report


def _free(out: Path, is_new: bool) -> None:
    """Remove a job that has made nothing, and its folder where that `is_new`."""
    files = {path.relative_to(out) for path in out.rglob("*") if not path.is_dir()}
    if files == {Path(JOB_FILE), Path(WORK, LOCK)}:
        with suppress(OSError):  # the error that ended the job is what is told
            (out / JOB_FILE).unlink()
            remove_work(out / WORK)
            if is_new:
                out.rmdir()


def open_job(options: Asked, restart: bool, warn: Warn) -> Job:
    """Make or continue the job in `options.out`; `restart` discards what an earlier one left.

    Raises UsageError where the folder holds something else or another job, or where another
    process works in it, OSError.
    """
    out = options.out
    # A device as well: whatever is there must be a folder.
    if out.resolve() == options.source.resolve() or (out.exists() and not out.is_dir()):
        raise UsageError(f"{out} is a file: give a new folder with -o")
    wanted = {"schema": _SCHEMA, "version": version("pocketsr"), **options.to_json()}
    # The film and not its name: another one under the same name is another job.
    wanted["source_sha256"] = film_sha256(options.source)
    if not _is_ours(out):
        raise UsageError(f"{out} is not empty and holds no encode job: give another folder with -o")
    try:
        lock = _locked(out)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # no other folder is asked for, but room
        raise UsageError(
            f"{out} cannot be made ({error.strerror}): choose a folder that you may write"
        ) from error
    try:
        _check_places(out, restart)
        if restart:
            discard(out)
        if restart or not (out / JOB_FILE).exists():
            write_text(out / JOB_FILE, json.dumps(wanted, indent=1) + "\n")
        else:
            is_file = isinstance(options.source, Path)
            film = "another film" if is_file else "another film or --frame-rate"
            _check_same(out, wanted, film)
        return Job(options.source, out, wanted, lock, warn)
    except BaseException:
        # Who is refused leaves nothing in a package that is done, or somebody else's.
        with suppress(OSError):
            if os.listdir(out / WORK) == [LOCK]:
                remove_work(out / WORK)
        lock.close()  # or it would be held for as long as somebody looks at the error
        raise


def _is_ours(out: Path) -> bool:
    """Whether a folder is empty, or a job's: no other is ever written to, --restart or not."""
    if not out.exists() or (out / JOB_FILE).exists():
        return True
    # What is there before job.json is, where a process ended between the two.
    names = {p.name for p in out.iterdir() if not p.match(f".{JOB_FILE}.*{PART_SUFFIX}")}
    return not names or (names == {WORK} and {p.name for p in (out / WORK).glob("*")} <= {LOCK})


def _locked(out: Path) -> TextIO:
    """The lock of a job's folder, which is made. Raises UsageError where another has it."""
    path = out / WORK / LOCK
    while True:
        make_folder(path.parent)
        try:
            file = path.open("w")
        except FileNotFoundError:
            continue  # a job that ended just now has removed the folder
        try:
            # Held by the process, not by the file: a killed job leaves no lock behind.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise UsageError(f"another encode works in {out}: wait for it, or end it") from error
        # The file that was locked may be one that is removed since, and guards nothing.
        if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
            return file
        file.close()


def _check_places(out: Path, restart: bool) -> None:
    """Raises UsageError where a folder is in the place of a file that is to be made, before hours
    are spent on it. `restart` removes those in folders of ours itself.
    """
    places = [out / name for name in MADE_FILES]
    for folder in () if restart else set(MADE_FOLDERS) - {WORK, OLD_ENGINES}:
        if not (out / folder).is_symlink():
            places += [p for p in (out / folder).glob("*") if p.suffix in MADE_SUFFIXES]
    for path in sorted(places):
        if path.is_dir() and not path.is_symlink():
            raise UsageError(f"{path} is a folder in the place of a file: remove it")


def discard(out: Path) -> None:
    """Remove what an encode makes, and nothing else that lies in the folder or in those of its
    streams; job.json, by which the folder is known as a job's, is written over."""
    for folder in (out / name for name in MADE_FOLDERS):
        if folder.is_symlink() and folder.name != WORK:  # which may lead to another disk
            folder.unlink()
        for path in folder.glob("*"):
            ours = folder.name in (WORK, OLD_ENGINES) or path.suffix in MADE_SUFFIXES
            if ours and path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif ours and path != out / WORK / LOCK:
                path.unlink()
        with suppress(OSError):  # something is left in it
            folder.rmdir()
    for name in set(MADE_FILES) - {JOB_FILE}:
        (out / name).unlink(missing_ok=True)


def _check_same(out: Path, wanted: dict[str, Any], film: str) -> None:
    """Raises UsageError where the folder's job is another one; `film` says what its hash is of."""
    try:
        found = json.loads(read_plain(out, JOB_FILE, MAX_RECORD_BYTES))
        changed = [k for k in found | wanted if found.get(k) != wanted.get(k)]
    except (ValueError, TypeError, AttributeError, PackageError):
        raise UsageError(f"{out}/{JOB_FILE} is damaged: start again with --restart") from None
    if changed:
        told = [f"{k} {found.get(k)} -> {wanted.get(k)}" for k in changed if k != "source_sha256"]
        told = [film] * ("source_sha256" in changed) + told
        more = f", and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
        raise UsageError(
            f"{out} holds another job ({', '.join(told[:_MOST_TOLD])}{more}): "
            "use --restart to discard it, or another -o"
        )


def publish(made: Path, out: Path) -> None:
    """Put a package's files into the place of the job's."""
    for path in sorted(made.iterdir()):
        place = out / path.name
        if path.is_dir():
            if place.exists():
                shutil.rmtree(place)
            make_folder(place)
            for part in sorted(path.iterdir()):
                write_bytes(place / part.name, part.read_bytes())
        elif path.name not in (JOB_FILE, REPORT_FILE):
            write_bytes(place, path.read_bytes())
