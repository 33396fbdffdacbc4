"""`pocketsr report DIR`."""

from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import click

from sr.commands.options import (
    DIRECTORY,
    FILE,
    film_of,
    frame_rate_option,
    json_option,
    open_trusted,
    show,
    trust_option,
    video_option,
    warn_of_another,
)
from sr.usage_error import UsageError

_NEEDED = ("jinja2", "matplotlib")
_ENDINGS = (".html", ".htm")
_REMEDY = "pip install 'pocketsr[report]'"


@click.command()
@click.argument("package", type=DIRECTORY)
@click.option("--reference", type=FILE, help="The film that was encoded.")
@click.option("--out", "-o", type=FILE, help="The page; default: DIR.report.html, beside it.")
@video_option
@frame_rate_option
@trust_option
@click.option("--vmaf/--no-vmaf", default=None, help="Default: where its tool is installed.")
@json_option
def command(
    package: Path,
    reference: Path | None,
    out: Path | None,
    video: int | None,
    frame_rate: Fraction | None,
    trust: tuple[str, ...],
    vmaf: bool | None,
    as_json: bool,
) -> None:
    """One HTML page on the package DIR: quality, rate, worst frames, routes, bytes.

    Without --reference, what is known without the film.
    """
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise UsageError(f"report needs {' and '.join(missing)}: {_REMEDY}")
    page = out or package.absolute().with_name(f"{package.resolve().name}.report.html")
    _check_page(page, package)
    from player.vmaf import need_vmaf

    if vmaf:
        need_vmaf()
    from player.package.artefact import write_text
    from player.quality import measurable
    from sr.encode.report.make import make_report
    from sr.progress import Progress

    metrics = measurable(("psnr_y", "psnr_rgb", *(() if vmaf is False else ("vmaf",))))
    film = None if reference is None else film_of(reference, frame_rate)
    opened = open_trusted(package, trust)
    if film is not None:
        warn_of_another(package, film)
    with Progress() as progress:
        html = make_report(opened, film, video, metrics, progress)
    write_text(page, html)
    show({"schema": "pocketsr.encode.report-page/1", "page": str(page)}, as_json, [("page", page)])


def _check_page(page: Path, package: Path) -> None:
    """Raises UsageError where a page of that name cannot be made, or would take something's place:
    a film's, or a file's of the package."""
    if not page.absolute().parent.is_dir():
        raise UsageError(f"{page.parent} does not exist: make that folder, or choose another")
    if page.is_dir():
        raise UsageError(f"{page} is a folder: give the name of a file")
    if page.suffix.lower() not in _ENDINGS:
        raise UsageError(f"{page}: the page is HTML; let its name end in {' or '.join(_ENDINGS)}")
    if page.resolve().parent.is_relative_to(package.resolve()):
        raise UsageError(f"{page} lies inside the package: choose a place outside of it")
