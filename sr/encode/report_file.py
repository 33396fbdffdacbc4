"""report.json: what a package says about itself, with a checksum of its own.

Nothing that plays a package asks for it, and so the signed index does not hold its hash. A seal
behind it, as files of the job have (player/package/artefact.py), would be no JSON.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from player.package.artefact import write_text
from player.package.files import read_plain
from player.package.layout import REPORT_FILE
from player.package.limits import MAX_RECORD_BYTES
from player.package.package_error import PackageError

_SUM = "sha256"  # of all other fields


def write_report(package: Path, report: dict[str, Any]) -> None:
    """Write plain JSON as the package's report. Raises OSError."""
    text = json.dumps({**report, _SUM: _sum(report)}, indent=1)
    write_text(package / REPORT_FILE, text + "\n")


def read_report(package: Path) -> dict[str, Any] | None:
    """What was written; None where nothing was. Raises PackageError: damaged, or no plain file."""
    if not os.path.lexists(package / REPORT_FILE):
        return None
    try:
        report = json.loads(read_plain(package, REPORT_FILE, MAX_RECORD_BYTES))
        found = report.pop(_SUM)
    except (ValueError, TypeError, AttributeError, KeyError, PackageError):
        raise PackageError(f"{REPORT_FILE} is damaged") from None
    if found != _sum(report):
        raise PackageError(f"{REPORT_FILE} is damaged")
    return dict(report)


def said_of_film(report: Mapping[str, Any]) -> list[str]:
    """What was said of the film when the package was made, but for what `probe` says of it; in
    reports of earlier versions, what was lost.
    """
    return list(report.get("warnings", report.get("lost", [])))


def _sum(report: dict[str, Any]) -> str:
    # Over what a reader gets back: tuples are lists in JSON, and numbers as keys are texts.
    text = json.dumps(json.loads(json.dumps(report)), sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
