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
@click.option(
    "--switch",
    metavar="LIST",
    help="Of a ladder: the rung of each segment, 300k,2000k,800k; the last one stays. Default: its "
    "highest rung.",
)
@click.option("--no-grain", is_flag=True, help="Leave out the film grain that the stream has.")
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
    switch: str | None,
    no_grain: bool,
    named: Path | None,
    target: str,
    trust: tuple[str, ...],
    verify: str | None,
    threads: int | None,
    frames: int | None,
    as_json: bool,
) -> None:
    """Upscale the package or ladder DIR into a file, a window, or nothing, and report FPS."""
    if window and (out or verify or switch):
        raise click.UsageError("--window goes neither with --out, --verify nor --switch")
    if out_crf is not None and not out:
        raise click.UsageError("--out-crf is the quality of --out FILE")
    from chunking.writer import DEFAULT_CRF
    from player.engines import engine_of
    from player.package.ladder import is_ladder
    from player.playback import PlayOptions, check_out, play_package
    from player.switching import Rung, open_rungs, parse_switch, play_switched
    from sr.host_engine import build_engine

    if out:
        check_out(package, out)
    if is_ladder(package):
        opened = open_rungs(
            package, frozenset(trust) or None, lambda rung: open_trusted(rung, trust)
        )
    elif switch:
        raise click.UsageError(f"--switch is for a ladder, and {package} is a package")
    else:
        opened = {"": open_trusted(package, trust)}
    top = list(opened)[-1]
    names = parse_switch(switch, list(opened)) if switch else [top]
    engines = {
        name: engine_of(rung, target, named, warn, build_engine)
        for name, rung in opened.items()
        if name in (*names, top)
    }
    if out and out_crf is None:
        # One would compare the file with the film, and find less than `measure` says.
        warn(f"{out} is H.264 at CRF {DEFAULT_CRF}; --out-crf {LOSSLESS} keeps every pixel")
    # The writer knows "no loss" as no CRF.
    crf = None if out_crf == LOSSLESS else int(DEFAULT_CRF if out_crf is None else out_crf)
    options = PlayOptions(out, crf, verify, threads, frames, not no_grain)
    if window:
        from player.show import show_package

        shown = vars(show_package(opened[top], engines[top], options, warn))
        show({"schema": "pocketsr.show/1", **shown}, as_json, list(shown.items()))
        return
    if switch:
        rungs = {name: Rung(opened[name], engine) for name, engine in engines.items()}
        result = play_switched(rungs, names, options, warn)
    else:
        result = play_package(opened[top], engines[top], options, warn)
    fps = result["fps"]
    lines = [
        ("frames", f"{result['frames']} in {result['seconds']:.1f} s"),
        ("fps", f"upscale {fps['upscale_p50']:.1f}, pipeline {fps['pipeline']:.1f}"),
    ]
    show(result, as_json, lines + ([("file", out)] if out else []))
