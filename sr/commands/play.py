"""`pocketsr play DIR`."""

from pathlib import Path

import click

from sr.commands.options import (
    DIRECTORY,
    FILE,
    engine_options,
    json_option,
    show,
    trust_option,
    warn,
)


@click.command()
@click.argument("package", type=DIRECTORY)
@click.option("--out", type=FILE, help="Write the upscaled video, with its audio.")
@click.option("--window", is_flag=True, help="Show it; q quits, b compares, space pauses.")
@engine_options
@trust_option
@click.option("--verify", metavar="SHA256", help="The hash that the frames must have.")
@click.option("--threads", type=click.IntRange(min=1), help="Default: the machine's cores.")
@click.option("--frames", type=click.IntRange(min=1), help="Only the first N frames.")
@json_option
def command(
    package: Path,
    out: Path | None,
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
    from player.engines import engine_of
    from player.playback import PlayOptions, play_package
    from player.session import open_package
    from sr.host_engine import build_engine

    opened = open_package(package, frozenset(trust) or None)
    engine = engine_of(opened, target, named, warn, build_engine)
    options = PlayOptions(out, verify, threads, frames)
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
