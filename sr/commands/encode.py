"""`pocketsr encode FILE -o DIR`."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chunking.encoders import ENCODERS
from chunking.lr import LR_KINDS
from player.package.limits import MAX_REVISION, MAX_UNITS
from player.package.scale import SCALES, scale_number
from sr.commands.encode_asked import SEARCHED, check_together, graining
from sr.commands.encode_lines import ladder_lines, lines
from sr.commands.options import (
    FILE,
    Share,
    film_of,
    frame_rate_option,
    json_option,
    real_path,
    refuse_inside,
    show,
    track_options,
)
from sr.encode.methods import METHODS
from sr.encode.records import BACKBONE_NAMES, LEARNED, LOSSES, PRESETS
from sr.rate.budget import CLASSES, DEFAULT_CLASS
from sr.rate.goal import METRICS
from sr.shrink.registry import DEFAULT, told_stages

if TYPE_CHECKING:
    from chunking.images import Film

# Options that no package depends on.
_HOW_IT_RUNS = {"strict", "restart", "events", "as_json", "threads"}
_COMMAND_LINE = click.core.ParameterSource.COMMANDLINE


def _help_all(context: click.Context, parameter: click.Parameter, asked: bool) -> None:
    """The help with what only the papers' baselines need."""
    if asked:
        for option in context.command.params:
            if isinstance(option, click.Option):
                option.hidden = False
        click.echo(context.get_help())
        context.exit()


@click.command()
@click.argument("file", type=FILE)
@click.option("-o", "--out", type=FILE, required=True, help="The package's folder, new or ours.")
@click.option(
    "--scale",
    type=click.Choice([str(scale_number(scale)) for scale in SCALES]),
    help="HR pixels for one LR pixel on a side; 1 is a filter behind the decoder. "
    "Without it the search chooses scale, network and rate.",
)
@click.option(
    "--units",
    type=click.IntRange(1, MAX_UNITS),
    help="The network sees NxN LR pixels as one place; default 1, at --scale 1.5 2.",
)
@track_options
@click.option("--lr-codec", type=click.Choice(list(ENCODERS)), default="av1", show_default=True)
@click.option(
    "--lr-crf", type=click.FloatRange(0, 63), help="Quality of the LR stream; less is better."
)
@click.option(
    "--lr",
    type=click.Choice([*LR_KINDS, LEARNED]),
    help="How the film is made smaller; sharp holds what its upscaling would lose, learned what "
    "the film's own network would. Default bicubic, in a search whichever is best.",
)
@click.option(
    "--lr-from",
    type=FILE,
    metavar="FILE|MPD|M3U8",
    help="Take this encode of the film as the stream, as it is, and add the network beside it.",
)
@click.option(
    "--codec-opts",
    default="",
    metavar="KEY=VALUE:...",
    help="For the encoder of the LR stream, as its library calls them: preset=4:tune=0.",
)
@click.option(
    "--grain",
    type=click.IntRange(1, 50),
    help="AV1: take film grain of about this strength off, and tell players to add it again.",
)
@click.option(
    "--segment-s",
    type=click.FloatRange(0.5, 30),
    default=4.0,
    show_default=True,
    help="Seconds a segment; each begins with a key frame.",
)
@click.option(
    "--like-crf",
    type=click.FloatRange(0, 63),
    help="Search: the quality of a plain encode at this crf; default 23 / 28 / 35 for "
    "h264 / h265 / av1.",
)
@click.option(
    "--ladder",
    metavar="LIST|auto",
    help="Search: a package for each of these kbps, 300,800,2000, under one manifest; auto: from "
    "--like-crf's quality downwards.",
)
@click.option("--target-kbps", type=click.FloatRange(1), help="Search: all bytes, this much.")
@click.option("--target-psnr", type=click.FloatRange(10, 60), help="Search: PSNR of luma, dB.")
@click.option("--target-xpsnr", type=click.FloatRange(10, 60), help="Search: XPSNR of luma, dB.")
@click.option("--target-vmaf", type=click.FloatRange(1, 100), help="Search: VMAF.")
@click.option(
    "--worst",
    type=Share(),
    metavar="SHARE",
    help="The target is for the mean of these worst frames: 5%.",
)
@click.option(
    "--metric",
    type=click.Choice(list(METRICS)),
    help="Search: what must be better than a plain encode; default psnr-y.",
)
@click.option(
    "--budget-class",
    type=click.Choice(CLASSES),
    default=DEFAULT_CLASS,
    show_default=True,
    help="Search: the network must keep up with the film on a phone's CPU, or its NPU (estimates).",
)
@click.option("--device-table", help="Search: flagship, mid-range, or a file like devices.json.")
@frame_rate_option
@click.option("--frames", type=click.IntRange(min=1), help="Only the first N frames.")
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default="balanced",
    show_default=True,
    help="Bounds the training work.",
)
@click.option(
    "--steps", type=click.IntRange(min=1), help="Training steps, instead of the preset's."
)
@click.option(
    "--method",
    type=click.Choice(list(METHODS)),
    default="dydca",
    show_default=True,
    help="One dynamic network, one static, one a chunk, or none (plain: the stream alone).",
)
@click.option(
    "--patches",
    type=click.Choice(["error", "method", "all", "forgetting", "ticket"]),
    help="What is trained on: the places of most error (default of dydca), the method's patches, "
    "or all; the last two say where they have gone.",
)
@click.option(
    "--dtype",
    type=click.Choice(["int8", "fp32"]),
    help="Arithmetic of the network on the phone; default int8, for wdsr fp32.",
)
@click.option(
    "--loss",
    type=click.Choice(LOSSES),
    help="Squared errors of RGB, or of luma and chroma, 6:1:1; default rgb, in a search what its "
    "metric is about.",
)
@click.option(
    "--rate-weight",
    type=click.FloatRange(0),
    help="Squared error of samples in 0..1 that a bit of weights or routes costs; default: that of "
    "a bit of the LR stream; 0: nothing.",
)
@click.option(
    "--shipped",
    metavar="NAME",
    help="A network that lies with every player, x4-coarse or the like: no training, no weights.",
)
@click.option(
    "--adapt",
    is_flag=True,
    help="Train what the network of --shipped changes for this film: some hundred bytes.",
)
@click.option("--warm-start", is_flag=True, help="Begin from the generic network.")
@click.option(
    "--stages",
    default="",
    help=f"Shrink the network, with commas between. {told_stages()}.",
)
@click.option(
    "--budget",
    help=f"Shrink to 0.5x of the multiplications, or 26kB of weights; alone: --stages {DEFAULT}.",
)
@click.option(
    "--budget-ms",
    help="Search: milliseconds a frame on the device. With --scale: shrink to 8@host.",
)
@click.option(
    "--routes",
    type=click.Choice(["map", "router", "both"]),
    default="map",
    show_default=True,
    help="dydca: a map of each frame's paths, a router for the phone, or both.",
)
@click.option(
    "--max-loss-db",
    type=click.FloatRange(0),
    default=0.05,
    show_default=True,
    help="dydca: how far cheap paths may lower PSNR below the best routes.",
)
@click.option(
    "--probe-share",
    type=click.FloatRange(0.01, 1),
    default=1.0,
    show_default=True,
    help="dydca: share of the frame that is sampled to plan routes; the rest is predicted.",
)
@click.option("--groups", type=FILE, help="Content groups: boxes in JSON, or a folder of masks.")
@click.option(
    "--protect", default="", help="Groups that always get the whole network, commas between."
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--revision",
    type=click.IntRange(1, MAX_REVISION),
    default=1,
    show_default=True,
    help="Players that have seen a higher one of this film, so encoded, refuse a lower one.",
)
@click.option("--threads", type=click.IntRange(1, 256), default=2, show_default=True)
@click.option(
    "--strict", is_flag=True, help="Exit code 4 where sound or subtitles of the film are lost."
)
@click.option("--restart", is_flag=True, help="Discard what an earlier run left.")
@click.option("--events", is_flag=True, help="Print a JSON object a line while working.")
@click.option(
    "--backbone",
    type=click.Choice(BACKBONE_NAMES),
    default="chain",
    show_default=True,
    hidden=True,
    help="The others are baselines for the static methods; wdsr-16: as STDO has it.",
)
@click.option(
    "--chunks",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    hidden=True,
    help="k of stdo, jstdo, nas, cafm, delta; 16 networks at most.",
)
@click.option(
    "--chunk-rule",
    type=click.Choice(["quantile", "error"]),
    default="quantile",
    show_default=True,
    hidden=True,
    help="Chunks of equal counts, or of equal squared error.",
)
@click.option(
    "--hard-share",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    hidden=True,
    help="dydca with --patches method: share of pixels to train as hard.",
)
@click.option(
    "--help-all",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_help_all,
    help="Show the options of the papers' baselines too.",
)
@json_option
@click.pass_context
def command(
    context: click.Context,
    file: Path,
    strict: bool,
    restart: bool,
    events: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Make a package out of FILE. The same command continues after an interruption.

    Without --scale, the best use of the bytes for the goal, never worse than a plain encode.
    """
    # Before torch is loaded, which takes seconds.
    from chunking.opening import open_source

    refuse_inside(*real_path(options["out"]).parents)
    given = {name for name in options if context.get_parameter_source(name) == _COMMAND_LINE}
    film, ladder = film_of(file, options.pop("frame_rate")), options.pop("ladder")
    check_together(given, ladder, options["method"])
    options["codec_opts"] = graining(options.pop("grain"), options)
    open_source(film).close()
    from sr.encode.beside import beside_plain
    from sr.encode.best import encode_best
    from sr.encode.encode import encode
    from sr.encode.ladder import LadderOptions, encode_ladder, parse_ladder
    from sr.encode.options import EncodeOptions
    from sr.encode.report_file import read_report, write_report
    from sr.encode.search_options import SearchOptions
    from sr.progress import Progress

    if options["lr_from"]:
        options["scale"] = scale_of_own(film, options)
        given.add("scale")
    fixed = {name: value for name, value in options.items() if name not in SEARCHED}
    with Progress(events) as progress:
        if "scale" in given:
            asked = EncodeOptions.of(film, **fixed)
            report = beside_plain(asked, encode(asked, progress, restart), progress)
        else:
            search = SearchOptions.of(film, **{k: v for k, v in options.items() if v is not None})
            if ladder is not None:
                asked_rungs = LadderOptions(search, parse_ladder(ladder))
                report = encode_ladder(asked_rungs, progress, restart)
            else:
                report = encode_best(search, progress, restart)
    if "command" not in report:
        report = {**report, "command": told(context)}
        write_report(options["out"], report)
        for rung in report.get("rungs", ()):
            folder = options["out"] / rung["folder"]
            write_report(folder, {**(read_report(folder) or {}), "command": report["command"]})
    if events:
        progress.event("done", report=report)
    else:
        said = lines if ladder is None else ladder_lines
        show(report, as_json, said(report, options["out"]))
    if strict and report.get("lost"):
        raise LostError(
            f"the package is made, without all of the film: {'; '.join(report['lost'])}"
        )


def told(context: click.Context) -> str:
    """The command as it was given, but for where its files are."""
    words = ["pocketsr", "encode"]
    for parameter in context.command.params:
        name = str(parameter.name)
        if context.get_parameter_source(name) != _COMMAND_LINE or name in _HOW_IT_RUNS:
            continue
        value = context.params[name]
        if isinstance(parameter, click.Option):
            words.append(parameter.opts[0])
        if value is not True:
            words.append(value.name if isinstance(value, Path) else str(value))
    return shlex.join(words)


def scale_of_own(film: "Film", options: Mapping[str, Any]) -> int | float:
    """How many times smaller than the film a stream of its own is; raises InputError."""
    from chunking.opening import video_of
    from chunking.own_stream import find_stream
    from chunking.probe import probe

    info = probe(video_of(film, options["video"]))
    return scale_number(find_stream(options["lr_from"], info).scale)


class LostError(Exception):
    """What `--strict` asks for was not reached: a package without a part of its film's sound or
    subtitles.
    """

    exit_code = 4
