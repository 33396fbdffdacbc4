"""`pocketsr play DIR`."""

from pathlib import Path
from typing import Any

import click

from sr.commands.options import (
    DIRECTORY,
    FILE,
    engine_options,
    json_option,
    open_trusted,
    show,
    threads_option,
    trust_option,
    warn,
)

LOSSLESS = "lossless"


class _Crf(click.ParamType):
    """An H.264 CRF, or "lossless"."""

    name = "crf"

    def convert(self, value: Any, parameter: Any, context: Any) -> int | str:
        """`LOSSLESS` or 0..51; ends with a usage error for all else."""
        if value == LOSSLESS:
            return LOSSLESS
        return click.IntRange(0, 51).convert(value, parameter, context)


@click.command()
@click.argument("package", type=DIRECTORY)
@click.option("--out", type=FILE, help="Write the upscaled video, with its audio.")
@click.option("--out-crf", type=_Crf(), metavar="N|lossless", help="Quality of --out; default 16.")
@click.option("--window", is_flag=True, help="Show it; q quits, b compares, space pauses.")
@engine_options
@trust_option
@click.option("--verify", metavar="SHA256", help="The hash that the frames must have.")
@threads_option
@click.option("--frames", type=click.IntRange(min=1), help="Only the first N frames.")
@json_option
def command(
    package: Path,
    out: Path | None,
    out_crf: int | str | None,
    window: bool,
    named: Path | None,
    target: str,
    trust: tuple[str, ...],
    verify: str | None,
    threads: int | None,
    frames: int | None,
    as_json: bool,
) -> None:
    """Upscale the package DIR into a file, a window, or nothing, and report FPS."""
    if window and (out or verify):
        raise click.UsageError("--window goes neither with --out nor with --verify")
    if out_crf is not None and not out:
        raise click.UsageError("--out-crf is the quality of --out FILE")
    from chunking.writer import DEFAULT_CRF
    from player.engines import engine_of
    from player.playback import PlayOptions, check_out, play_package
    from sr.host_engine import build_engine

    if out:
        check_out(package, out)
    opened = open_trusted(package, trust)
    engine = engine_of(opened, target, named, warn, build_engine)
    if out and out_crf is None:
        # One would compare the file with the film, and find less than `measure` says.
        warn(f"{out} is H.264 at CRF {DEFAULT_CRF}; --out-crf {LOSSLESS} keeps every pixel")
    # The writer knows "no loss" as no CRF.
    crf = None if out_crf == LOSSLESS else int(DEFAULT_CRF if out_crf is None else out_crf)
    options = PlayOptions(out, crf, verify, threads, frames)
    if window:
        from player.show import show_package

        shown = vars(show_package(opened, engine, options, warn))
        show({"schema": "pocketsr.show/1", **shown}, as_json, list(shown.items()))
        return
    result = play_package(opened, engine, options, warn)
    fps = result["fps"]
    lines = [
        ("frames", f"{result['frames']} in {result['seconds']:.1f} s"),
        ("fps", f"upscale {fps['upscale_p50']:.1f}, pipeline {fps['pipeline']:.1f}"),
    ]
    show(result, as_json, lines + ([("file", out)] if out else []))
