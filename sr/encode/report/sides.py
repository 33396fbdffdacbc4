"""The sides that a report compares, frame by frame: the package, its LR stream, the plain encode.

package ------------compare_film--> PocketSR, LR
report.json --crf--> plain encode --compare_film--> plain
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chunking.images import Film
from chunking.opening import Source
from chunking.tracks import NO_SOUND
from player.package import fields
from player.package.package_error import PackageError
from player.package.scale import parse_scale
from player.package.sizes import SR_PARTS, kbps, part_bytes, rated_bytes
from player.quality import Quality
from player.session import Package, open_package
from sr.encode.encode import encode
from sr.encode.options import EncodeOptions
from sr.encode.records import PLAIN
from sr.progress import Progress
from sr.rate.comparison import compare_film

OURS, LR, PLAIN_ENCODE, SOURCE = "PocketSR", "stream alone", "plain encode", "film"


@dataclass(frozen=True)
class Side:
    """`quality` of each frame of the package that it is. `shows_stream`: by bicubic alone."""

    name: str
    package: Package
    shows_stream: bool
    quality: Quality
    kbps: float


def measured_sides(
    package: Package, plain: Package | None, film: Source, metrics: Sequence[str],
    progress: Progress,
) -> list[Side]:  # fmt: skip
    """Each side over the whole film. Raises InputError where it does not fit."""
    index = package.index
    assert index is not None, package.directory
    progress.stage("the package beside the film", index.frames)
    found = compare_film(package, film, metrics, on_frame=progress.at)
    sides = [Side(OURS, package, False, found.shown, _kbps(package))]
    if index.weights:
        sides.append(Side(LR, package, True, found.stream, _kbps(package, without=SR_PARTS)))
    if plain is not None:
        progress.stage("the plain encode beside the film", index.frames)
        beside = compare_film(plain, film, metrics, on_frame=progress.at)
        sides.append(Side(PLAIN_ENCODE, plain, False, beside.shown, _kbps(plain)))
    return sides


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
    """The plain encode of the package's bytes, made again in `folder` by what the search found."""
    beside = fields.subobject(dict(report), "plain")
    scale = report.get("plain_of_the_goal", {}).get("scale", 1)
    options = EncodeOptions.of(
        film,
        folder,
        method=PLAIN,
        video=video,
        audio=NO_SOUND,
        scale=parse_scale(str(scale)),
        lr_crf=fields.number(beside, "crf"),
        **{name: job[name] for name in ("lr_codec", "segment_s", "codec_opts", "frames")},
    )
    encode(options, progress)
    return open_package(folder)


def no_plain(report: Mapping[str, Any]) -> str | None:
    """Why there is no plain encode to set beside a package; None where there is."""
    if report.get("method") == PLAIN and "plain" in report:
        return "the package is the plain encode"
    try:
        fields.number(fields.subobject(dict(report), "plain"), "crf")
    except PackageError:
        return "report.json tells of no plain encode of the same bytes"
    return None
