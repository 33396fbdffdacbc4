"""Options that several commands share, and how results and warnings are shown."""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from player.library import MAX_THREADS
from player.package.layout import INDEX_PATH, JOB_FILE
from player.package.limits import MAX_RECORD_BYTES
from sr.usage_error import UsageError

if TYPE_CHECKING:
    from chunking.images import Film
    from player.session import Package

FILE = click.Path(path_type=Path)
PATH = click.Path(exists=True, path_type=Path)


class _Package(click.Path):
    """The folder of a package."""

    def convert(self, value: Any, parameter: Any, context: Any) -> Path:
        """Ends with a usage error for all else."""
        if "://" in str(value):
            self.fail(f"{value} is a URL: fetch the package, and give its folder")
        path = Path(os.fsdecode(super().convert(value, parameter, context)))
        if not path.is_dir():  # a pipe or a device
            self.fail(f"{value} is no folder: give the folder of a package")
        return path


DIRECTORY = _Package(exists=True, file_okay=False, path_type=Path)


class Share(click.ParamType):
    """A share of a whole, "5%" or "0.05", as a number above 0 and at most 1."""

    name = "share"

    def convert(self, value: Any, parameter: Any, context: Any) -> float:
        """Ends with a usage error for all else."""
        text, percent = str(value).removesuffix("%"), str(value).endswith("%")
        try:
            share = float(text) / (100 if percent else 1)
        except ValueError:
            share = 0.0
        if not 0 < share <= 1:
            self.fail(f"{value!r} is no share, such as 5% or 0.05", parameter, context)
        return share


def real_path(path: Path) -> Path:
    """Absolute, and links followed; raises UsageError where they lead round."""
    try:
        return path.resolve()
    except RuntimeError as error:
        raise UsageError(f"{path} is a link that leads back to itself: check the path") from error


def refuse_inside(*folders: Path) -> None:
    """Raises UsageError where one of the folders, into which something is to go, is a package."""
    for folder in folders:
        if any((folder / name).is_file() for name in (JOB_FILE, INDEX_PATH)):
            raise UsageError(f"{folder} is a package, which holds nothing else: give another -o")


def _rate(context: Any, parameter: Any, text: str | None) -> Fraction | None:
    """Frames a second, 24 or 23.976 or 24000/1001."""
    if text is None:
        return None
    try:
        rate = Fraction(text).limit_denominator(1001)  # as MP4 holds it
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 1 <= rate <= 240:
        raise click.BadParameter(f"{text} is no rate of 1 to 240 frames a second, as 24000/1001")
    return rate


def frame_rate_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--frame-rate of a film that is images: `frame_rate`, for `film_of`."""
    text = "Of images, FILE a folder of them or frames/%05d.png: 24, or 24000/1001."
    return click.option("--frame-rate", callback=_rate, metavar="RATE", help=text)(function)


def film_of(file: Path, frame_rate: Fraction | None) -> "Film":
    """The film that was named: a file, or the images of a folder or a pattern.

    Raises UsageError where images have no rate, or a file is given one, InputError.
    """
    from chunking.images import ImageSequence, find_images

    images = find_images(file)
    if images and frame_rate is None:
        raise UsageError(f"{file} is {len(images)} images: say how many a second, --frame-rate 24")
    if frame_rate is None:
        return file
    if not images:
        raise UsageError(f"{file} is not images: --frame-rate is for frames/%05d.png, or a folder")
    return ImageSequence(file, frame_rate, images)


def warn_of_another(package: Path, film: "Film") -> None:
    """A line where a film is not the one that a package was made of, as far as its job says."""
    from chunking.images import film_sha256
    from player.package.files import read_plain
    from player.package.package_error import PackageError

    # No part of the signed package: it may be missing, and hold anything.
    with suppress(PackageError, ValueError, KeyError, TypeError):
        made_of = json.loads(read_plain(package, JOB_FILE, MAX_RECORD_BYTES))["source_sha256"]
        if made_of != film_sha256(film):
            name = film if isinstance(film, Path) else film.path
            warn(f"{name} is not the file that {package} was made of, as its {JOB_FILE} says")


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--json: one JSON object on stdout instead of lines for people."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(function)


def show(result: Mapping[str, Any], as_json: bool, lines: list[tuple[str, Any]]) -> None:
    """`result` as JSON, or `lines` (label, value) for people; both on stdout."""
    if as_json:
        click.echo(json.dumps(result, indent=1, default=str))
        return
    width = max((len(label) for label, _ in lines), default=0)
    for label, value in lines:
        click.echo(f"{label:<{width}}  {value}")


def warn(message: object) -> None:
    """One line for people on stderr: a text, or a step down the player's ladder (`Event`)."""
    click.echo(f"warning: {message}", err=True)


def track_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--video and --audio: which streams of a film are meant."""
    audio = click.option(
        "--audio", metavar="N|LANG|none", help="Keep this sound alone; default: all of it."
    )
    return video_option(audio(function))


def video_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--video N: which video stream of a film is meant."""
    text = "The film's N-th video; default: its largest, of those that it has as default."
    return click.option("--video", type=click.IntRange(min=1), metavar="N", help=text)(function)


def trust_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--trust KEY, as often as there are keys: `trust`, a tuple of them."""
    text = "Public key that must have signed; may be given again."
    return click.option("--trust", metavar="KEY", multiple=True, help=text)(function)


def open_trusted(package: Path, trust: tuple[str, ...]) -> "Package":
    """The package, as this user takes it: of one of those keys, of no older revision than was
    played before. That a key is new is said once.
    """
    from player.package.seen import Seen
    from player.package.signature import own_key
    from player.session import open_package

    seen = Seen.of_user()
    opened = open_package(package, frozenset(trust) or None, seen)
    if opened.index is not None and opened.signer is not None:
        known = trust or opened.signer == own_key() or seen.is_known(opened.signer)
        if not known:
            warn(
                f"signed by {opened.signer}, of whom nothing was played here before; "
                f"--trust {opened.signer} takes nobody else's"
            )
        seen.remember(opened.index, opened.signer)
    return opened


def threads_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--threads of the engine's pool."""
    text = "Default: the machine's cores."
    return click.option("--threads", type=click.IntRange(1, MAX_THREADS), help=text)(function)


def engine_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--engine and --target: which engine runs the networks (`player.engines`)."""
    target = click.option(
        "--target", default="host", show_default=True, help="Which engines of the cache."
    )
    engine = click.option(
        "--engine", "named", type=FILE, help="This one; default $POCKETSR_ENGINE, or the cache."
    )
    return engine(target(function))
