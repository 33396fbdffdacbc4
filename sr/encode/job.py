"""The job's folder: what is asked for, what is done, and nothing half-done.

    package/job.json            what is asked for; never changed
    package/work/STEP.json      a step that is done: its result, and its files with SHA-256
    package/work/...            what steps keep, and training on its way

A step is done when its record is there and every file of it still has its checksum. All files
appear whole and those in work/ are sealed (player/package/artefact.py): what does not match is
removed when the job is opened, said, and made again. So the same command always continues where
it can.
"""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TypeVar

from chunking.images import Film, film_sha256
from player.package.artefact import PART_SUFFIX, read_sealed, write_sealed, write_text
from player.package.entries import ID_BYTES, digest
from player.package.layout import JOB_FILE, MADE_FILES, MADE_FOLDERS, REPORT_FILE, WORK
from player.package.package_error import PackageError
from sr.usage_error import UsageError

_SCHEMA = "pocketsr.job/1"
_LOCK = "lock"

Result = TypeVar("Result")
Warn = Callable[[str], None]


class Job:
    """An encode in the folder `out`; `open_job` makes or continues one.

    Raises UsageError where another process works on it; the lock ends with the process.
    """

    def __init__(self, out: Path, warn: Warn) -> None:
        self.out, self.work, self._warn = out, out / WORK, warn
        # Held by the process, not by the file: a killed job leaves no lock behind.
        self._lock = (self.work / _LOCK).open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(f"another encode works in {out}: wait for it, or end it") from error
        self._sweep()

    def _sweep(self) -> None:
        """Remove what a killed run left half-written, and what is not as it was made."""
        for path in [*self.out.rglob(f".*{PART_SUFFIX}")]:
            path.unlink()
        for path in sorted(p for p in self.work.rglob("*") if p.is_file() and p.name != _LOCK):
            # An encode inside this one sweeps its own folder.
            if any((f / JOB_FILE).exists() for f in path.parents if f.is_relative_to(self.work)):
                continue
            try:
                read_sealed(path)
            except PackageError:
                self._warn(f"{path.relative_to(self.out)} is damaged: it is made again")
                path.unlink()

    def step(self, name: str, make: Callable[[], Result], files: Sequence[Path] = ()) -> Result:
        """What `make` returns (plain JSON), now or in an earlier run whose `files` are whole still.

        A folder in `files` stands for all that is in it; what `make` did not write is left out.
        """
        record = self.work / f"{name}.json"
        if record.exists():
            made = json.loads(read_sealed(record))
            changed = [f for f, sha256 in made["files"].items() if self._sha256(f) != sha256]
            if not changed:
                return made["result"]
            self._warn(f"{changed[0]} is missing or damaged: the step {name} is done again")
        result = make()
        # The record comes last: files without a record are made again, never the other way round.
        sums = {file: self._sha256(file) for file in sorted(self._names(files))}
        text = json.dumps({"result": result, "files": sums}, indent=1)
        write_sealed(record, text.encode("utf-8"))
        return result

    def _names(self, files: Sequence[Path]) -> Iterator[str]:
        for path in files:
            inside = path.rglob("*") if path.is_dir() else [path]
            yield from (p.relative_to(self.out).as_posix() for p in inside if p.is_file())

    def _sha256(self, file: str) -> str | None:
        try:
            return digest(self.out / file)[0]
        except OSError:
            return None

    @property
    def id(self) -> str:
        """Of the package: a hash of the film and of what is asked for, whatever makes it."""
        asked = json.loads((self.out / JOB_FILE).read_text())
        others = ("schema", "version", "revision", "source")  # the film by its hash, not its name
        decides = {k: v for k, v in asked.items() if k not in others}
        text = json.dumps(decides, sort_keys=True)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()[: 2 * ID_BYTES]

    def path(self, name: str) -> Path:
        """Where a step keeps something: sealed, or it is swept away as damaged."""
        return self.work / name

    def report(self) -> dict[str, Any] | None:
        """The report of a job that is done."""
        try:
            return dict(json.loads((self.out / REPORT_FILE).read_text()))
        except (OSError, ValueError):
            return None

    def close(self, report: dict[str, Any]) -> None:
        """Write the report, the last file, and drop what only the work needed; may be repeated."""
        # The report first: cut off here, the job counts as done, and closing it again removes the
        # rest.
        write_text(self.out / REPORT_FILE, json.dumps(report, indent=1) + "\n")
        shutil.rmtree(self.work)


class Asked(Protocol):
    """What a job is asked for: of what film, into which folder, and all that decides the result."""

    @property
    def source(self) -> Film: ...

    @property
    def out(self) -> Path: ...

    def to_json(self) -> dict[str, Any]: ...


def open_job(options: Asked, restart: bool, warn: Warn) -> Job:
    """Make or continue the job in `options.out`.

    Raises UsageError where the folder holds something else or another job, OSError.
    """
    out = options.out
    if out.resolve() == options.source.resolve() or out.is_file():
        raise UsageError(f"{out} is a file: give a new folder with -o")
    wanted = {"schema": _SCHEMA, "version": version("pocketsr"), **options.to_json()}
    # The film and not its name: another one under the same name is another job.
    wanted["source_sha256"] = film_sha256(options.source)
    # A folder that is no job of ours is never emptied, --restart or not.
    if restart and (out / JOB_FILE).exists():
        # What an encode makes, and nothing else that lies in the folder.
        for name in MADE_FOLDERS:
            shutil.rmtree(out / name, ignore_errors=True)
        for name in MADE_FILES:
            (out / name).unlink(missing_ok=True)
    if (out / JOB_FILE).exists():
        _check_same(out, wanted)
    elif out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty and holds no encode job: give another folder with -o")
    try:
        (out / WORK).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{out} cannot be made ({error.strerror}): choose a folder that you may write"
        ) from error
    if not (out / JOB_FILE).exists():
        write_text(out / JOB_FILE, json.dumps(wanted, indent=1) + "\n")
    return Job(out, warn)


def _check_same(out: Path, wanted: dict[str, Any]) -> None:
    try:
        found = json.loads((out / JOB_FILE).read_text())
    except ValueError:
        raise UsageError(f"{out}/{JOB_FILE} is damaged: start again with --restart") from None
    changed = [k for k in wanted if found.get(k) != wanted[k]]
    if changed:
        was = ", ".join(f"{k} {found.get(k)} -> {wanted[k]}" for k in changed)
        raise UsageError(
            f"{out} holds another job ({was}): use --restart to discard it, or another -o"
        )
