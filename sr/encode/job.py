"""The job's folder: what is asked for, what is done, and nothing half-done.

    package/job.json            what is asked for; never changed
    package/work/STEP.json      a step that is done: its result, and its files with SHA-256
    package/work/*.ckpt         training on its way

A step is done when its file exists and every output still has its checksum; all files appear
whole (written beside, synced, renamed). So the same command always continues where it can.
"""

import fcntl
import json
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from player.package.artefact import write_text
from player.package.index import digest
from player.package.layout import JOB_FILE, MADE_FILES, MADE_FOLDERS, REPORT_FILE, WORK
from sr.encode.config import EncodeConfig
from sr.usage_error import UsageError

_SCHEMA = "pocketsr.job/1"


class Job:
    """An encode in the folder `out`; `open_job` makes or continues one.

    Raises UsageError where another process works on it; the lock ends with the process.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.work = out / WORK
        self._lock = (self.work / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(f"another encode works in {out}: wait for it, or end it") from error

    def result(self, step: str) -> Any | None:
        """What a finished step returned; None where it must be done (again)."""
        try:
            record = json.loads((self.work / f"{step}.json").read_text())
            intact = all(digest(self.out / f)[0] == sha for f, sha in record["files"].items())
        except (OSError, ValueError, KeyError):
            return None
        return record["result"] if intact else None

    def finish(self, step: str, result: Any, files: Sequence[Path]) -> None:
        """Record a step as done."""
        sums = {f.relative_to(self.out).as_posix(): digest(f)[0] for f in files}
        text = json.dumps({"result": result, "files": sums}, indent=1)
        write_text(self.work / f"{step}.json", text + "\n")

    def report(self) -> dict[str, Any] | None:
        """The report of a job that is done."""
        try:
            return dict(json.loads((self.out / REPORT_FILE).read_text()))
        except (OSError, ValueError):
            return None

    def close(self, report: dict[str, Any]) -> None:
        """Write the report, the last file, and drop what only the work needed; may be repeated."""
        write_text(self.out / REPORT_FILE, json.dumps(report, indent=1) + "\n")
        shutil.rmtree(self.work)


def open_job(config: EncodeConfig, restart: bool) -> Job:
    """Make or continue the job in `config.out`.

    Raises UsageError where the folder holds something else or another job, OSError.
    """
    out = config.out
    if out.resolve() == config.source.resolve() or out.is_file():
        raise UsageError(f"{out} is a file: give a new folder with -o")
    wanted = {"schema": _SCHEMA, "version": version("pocketsr"), **config.to_json()}
    wanted["source_sha256"] = digest(config.source)[0]
    if restart and (out / JOB_FILE).exists():
        _discard(out)
    if (out / JOB_FILE).exists():
        _check_same(out, wanted)
    elif out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty and holds no encode job: give another folder with -o")
    _make_folder(out / WORK)
    if not (out / JOB_FILE).exists():
        write_text(out / JOB_FILE, json.dumps(wanted, indent=1) + "\n")
    return Job(out)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{folder.parent} cannot be made ({error.strerror}): choose a folder that you may write"
        ) from error


def _discard(out: Path) -> None:
    """Remove what an encode makes, and nothing else that lies in the folder."""
    for name in MADE_FOLDERS:
        shutil.rmtree(out / name, ignore_errors=True)
    for name in MADE_FILES:
        (out / name).unlink(missing_ok=True)


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
