"""The job's folder: what is asked for, what is done, and nothing half-done.

    package/job.json            what is asked for; never changed
    package/work/STEP.json      a step that is done: its result, and its files with SHA-256
    package/work/...            what steps keep, and training on its way

A step is done when its record is there and every file of it still has its checksum. All files
appear whole and those in work/ are sealed (player/package/artefact.py): what does not match is
removed when the job is opened, said, and made again. So the same command always continues where
it can. Of a package that is done it checks every hash, and makes again what was damaged.

`open_job` (sr/encode/job_folder.py) makes or finds the folder.
"""

import errno
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO, TypeVar

from chunking.images import Film, film_sha256
from chunking.input_error import InputError
from chunking.opening import describe
from player.package.artefact import PART_SUFFIX, read_sealed, write_sealed
from player.package.entries import ID_BYTES, digest
from player.package.layout import JOB_FILE, MADE_FOLDERS, WORK
from player.package.package_error import PackageError
from player.package.verify import Verification, verify_package
from sr.encode.report_file import read_report, write_report

LOCK = "lock"

Result = TypeVar("Result")
Warn = Callable[[str], None]


class JobError(Exception):
    """A job that cannot end as it began: the same command makes again what is wrong."""

    exit_code = 6


class Job:
    """An encode of the film `source` in the folder `out`, whose `lock` this process holds;
    `asked` is what stands in job.json.
    """

    def __init__(
        self, source: Film, out: Path, asked: dict[str, Any], lock: TextIO, warn: Warn
    ) -> None:
        self.out, self.work = out, out / WORK
        self._source, self._asked, self._lock, self._warn = source, asked, lock, warn
        # Files of the steps that are done, and their SHA-256.
        self._made: dict[str, str | None] = {}
        self._sweep()

    def _sweep(self) -> None:
        """Remove what a killed run left half-written, and what is not as it was made."""
        self._remove_links()
        for path in [*self.out.rglob(f".*{PART_SUFFIX}")]:
            path.unlink()
        for path in sorted(p for p in self.work.rglob("*") if p.is_file() and p.name != LOCK):
            # An encode inside this one sweeps its own folder.
            if any((f / JOB_FILE).exists() for f in path.parents if f.is_relative_to(self.work)):
                continue
            try:
                read_sealed(path)
            except PackageError:
                self._warn(f"{path.relative_to(self.out)} is damaged: it is made again")
                path.unlink()

    def _remove_links(self) -> None:
        """Nothing is written through a link in a folder's place, which no player follows."""
        for name in set(MADE_FOLDERS) - {WORK}:
            if (self.out / name).is_symlink():
                self._warn(f"{name} is a symbolic link: it is removed, and the folder made again")
                (self.out / name).unlink()

    def step(self, name: str, make: Callable[[], Result], files: Sequence[Path] = ()) -> Result:
        """What `make` returns (plain JSON), now or in an earlier run whose `files` are whole still.

        A folder in `files` stands for all that is in it; what `make` did not write is left out.
        """
        record = self.work / f"{name}.json"
        if record.exists():
            made = json.loads(read_sealed(record))
            changed = [f for f, sha256 in made["files"].items() if self._sha256(f) != sha256]
            if not changed:
                self._made |= made["files"]
                return made["result"]
            self._warn(f"{changed[0]} is missing or damaged: the step {name} is done again")
        result = make()
        # The record comes last: files without a record are made again, never the other way round.
        sums = {file: self._sha256(file) for file in sorted(self._names(files))}
        text = json.dumps({"result": result, "files": sums}, indent=1)
        write_sealed(record, text.encode("utf-8"))
        self._made |= sums
        return result

    def check(self) -> None:
        """The last look before a package is signed: at the film, and at every step's files.

        Raises InputError where the film was changed meanwhile, JobError where a file was.
        """
        if film_sha256(self._source) != self._asked["source_sha256"]:
            name = describe(self._source)
            raise InputError(
                f"{name} was changed while it was encoded: encode it again, with --restart"
            )
        changed = [f for f, sha256 in self._made.items() if self._sha256(f) != sha256]
        if changed:
            raise JobError(
                f"{self.out / changed[0]} was changed while the encode ran; the same command makes "
                "it again"
            )

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
        others = ("schema", "version", "revision", "source")  # the film by its hash, not its name
        decides = {k: v for k, v in self._asked.items() if k not in others}
        text = json.dumps(decides, sort_keys=True)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()[: 2 * ID_BYTES]

    def path(self, name: str) -> Path:
        """Where a step keeps something: sealed, or it is swept away as damaged."""
        return self.work / name

    def report(
        self, verify: Callable[[Path], Verification] = verify_package
    ) -> dict[str, Any] | None:
        """The report of a job that is done; None where the package is to be made, or made again
        because it was damaged, which is said.
        """
        try:
            report = read_report(self.out)
        except PackageError as error:
            self._warn(f"{error}: the package is made again")
            return None
        faults = verify(self.out).faults if report else ()
        if faults:
            self._warn(f"{faults[0]}: the package is made again")
        return None if faults else report

    def close(self, report: dict[str, Any]) -> None:
        """Write the report, the last file, and drop what only the work needed; may be repeated."""
        # The report first: cut off here, the job counts as done, and closing it again removes the
        # rest.
        write_report(self.out, report)
        remove_work(self.work)


def remove_work(work: Path) -> None:
    """Remove a job's folder for its work, whose lock this process holds: the lock comes last, for
    until then nobody else works there. Raises OSError.
    """
    for path in sorted(work.iterdir()):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()
    (work / LOCK).unlink(missing_ok=True)
    try:
        work.rmdir()
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:  # an encode that came just now has its own lock in it
            raise
