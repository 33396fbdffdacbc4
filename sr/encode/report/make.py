"""`pocketsr report`: what is to be had of a package is measured and shown, and the rest named."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from chunking.images import Film
from chunking.opening import video_of
from chunking.probe import probe
from player.package import fields
from player.package.files import read_plain
from player.package.layout import INDEX_PATH, JOB_FILE, REPORT_FILE
from player.package.limits import MAX_RECORD_BYTES
from player.package.package_error import PackageError
from player.package.sizes import part_bytes
from player.session import Package
from sr.encode.report.moments import Moment, moments, routes_picture
from sr.encode.report.page import Known, page
from sr.encode.report.sides import Side, measured_sides, plain_encode
from sr.encode.report_file import read_report
from sr.progress import Progress


def make_report(
    package: Package,
    source: Film | None,
    video: int | None,
    metrics: Sequence[str],
    progress: Progress,
) -> str:
    """The page of a package, by `metrics` beside its film where that is at hand (of a file its
    `video`).

    Raises PackageError where its index cannot be used, InputError where the film does not fit.
    """
    index = package.index
    if index is None:
        raise PackageError(f"{package.directory}/{INDEX_PATH} cannot be used: run `verify`")
    missing: list[str] = []
    try:
        report = read_report(package.directory) or {}
        reason = f"{REPORT_FILE} is missing"
    except PackageError as error:
        report, reason = {}, str(error)
    if not report:
        missing.append(f"what the search tried ({reason})")
    job = _job(package.directory)
    sides: list[Side] = []
    shown: list[Moment] = []
    if source is None:
        missing.append("quality and pictures (give the film with --reference)")
    else:
        film = video_of(source, video)
        probe(film)
        with tempfile.TemporaryDirectory() as folder:
            plain = None
            try:
                place = Path(folder) / "plain"
                plain = plain_encode(source, video, report, job, place, progress)
            except PackageError as error:
                missing.append(f"a plain encode beside it ({error})")
            sides = measured_sides(package, plain, film, metrics, progress)
            shown = moments(sides, film)
        if lost := index.frames - len(sides[0].times_s):
            missing.append(f"{lost} of {index.frames} frames, which the package or the film lacks")
    if report and not report.get("command"):
        missing.append(f"the command that made it ({REPORT_FILE} has none)")
    return page(
        Known(
            index=index,
            sizes=part_bytes(package.directory, index),
            title=str(job.get("source") or package.directory.resolve().name),
            report=report,
            sides=sides,
            moments=shown,
            routes=routes_picture(package),
        ),
        missing,
    )


def _job(package: Path) -> Mapping[str, Any]:
    """What was asked for; no part of the signed package: it may be missing, and hold anything."""
    with suppress(PackageError):
        return fields.parse_object(read_plain(package, JOB_FILE, MAX_RECORD_BYTES), JOB_FILE)
    return {}
