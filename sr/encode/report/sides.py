"""The sides that a report compares, frame by frame: the package, its LR stream, the plain encode.

package ------------compare_film--> PocketSR, LR
report.json --crf--> plain encode --compare_film--> plain
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from chunking.images import Film
from chunking.opening import Source
from chunking.tracks import NO_SOUND
from player.compare import check_common
from player.package import fields
from player.package.layout import JOB_FILE, REPORT_FILE
from player.package.package_error import PackageError
from player.package.scale import parse_scale
from player.package.sizes import SR_PARTS, kbps, part_bytes, rated_bytes
from player.quality import Quality
from player.session import Package, open_package
from sr.encode.encode import encode
from sr.encode.options import EncodeOptions
from sr.encode.records import PLAIN
from sr.progress import Progress
from sr.rate.comparison import Comparison, compare_film
from sr.usage_error import UsageError

OURS, LR, PLAIN_ENCODE, SOURCE = "PocketSR", "stream alone", "plain encode", "film"


@dataclass(frozen=True)
class Side:
    """`quality` of each frame of the package that it is, and when it is shown, `times_s`: a package
    may have lost some. `shows_stream`: by bicubic alone."""

    name: str
    package: Package
    shows_stream: bool
    quality: Quality
    kbps: float
    times_s: Sequence[Fraction]


def measured_sides(
    package: Package, plain: Package | None, film: Source, metrics: Sequence[str],
    progress: Progress,
) -> list[Side]:  # fmt: skip
    """Each side over the whole film. Raises InputError where it does not fit."""
    index = package.index
    assert index is not None, package.directory
    progress.stage("the package beside the film", index.frames)
    found = compare_film(package, film, metrics, on_frame=progress.at)
    check_common(found.frames, film)
    times_s = _times_s(package, found)
    sides = [Side(OURS, package, False, found.shown, _kbps(package), times_s)]
    if index.weights:
        alone = _kbps(package, without=SR_PARTS)
        sides.append(Side(LR, package, True, found.stream, alone, times_s))
    if plain is not None:
        progress.stage("the plain encode beside the film", index.frames)
        beside = compare_film(plain, film, metrics, on_frame=progress.at)
        own_s = _times_s(plain, beside)
        sides.append(Side(PLAIN_ENCODE, plain, False, beside.shown, _kbps(plain), own_s))
    return sides


def _times_s(package: Package, found: Comparison) -> list[Fraction]:
    assert package.index is not None
    return [pts * package.index.time_base for pts in found.pts]


def _kbps(package: Package, without: Sequence[str] = ()) -> float:
    assert package.index is not None
    sizes = part_bytes(package.directory, package.index)
    return kbps(rated_bytes(sizes) - sum(sizes[part] for part in without), package.index)


def plain_encode(
    film: Film,
    video: int | None,
    report: Mapping[str, Any],
    job: Mapping[str, Any],
    folder: Path,
    progress: Progress,
) -> Package:
    """The plain encode of the package's bytes, made again in `folder` by what the search found.

    Raises PackageError where there is none, or the records of the encode are none of ours: they are
    no part of what is signed.
    """
    if why := _no_plain(report, job):
        raise PackageError(why)
    try:
        options = EncodeOptions.of(
            film,
            folder,
            method=PLAIN,
            video=video,
            audio=NO_SOUND,
            scale=parse_scale(str(report.get("plain_of_the_goal", {}).get("scale", 1))),
            lr_crf=fields.number(fields.subobject(dict(report), "plain"), "crf"),
            **{name: job[name] for name in ("lr_codec", "segment_s", "codec_opts", "frames")},
        )
    except (UsageError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise PackageError(f"{JOB_FILE} or {REPORT_FILE} is not one of ours") from error
    encode(options, progress)
    return open_package(folder)


def _no_plain(report: Mapping[str, Any], job: Mapping[str, Any]) -> str | None:
    """Why there is no plain encode to set beside a package; None where there is."""
    if report.get("method") == PLAIN and "plain" in report:
        return "the package is the plain encode"
    try:
        fields.number(fields.subobject(dict(report), "plain"), "crf")
    except PackageError:
        return "report.json tells of no plain encode of the same bytes"
    return None if job else f"{JOB_FILE} is missing"
