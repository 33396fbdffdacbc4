"""`pocketsr measure DIR --reference FILE`."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from sr.commands.options import (
    DIRECTORY,
    FILE,
    Share,
    engine_options,
    film_of,
    frame_rate_option,
    json_option,
    open_trusted,
    show,
    threads_option,
    trust_option,
    video_option,
    warn,
    warn_of_another,
)


@click.command()
@click.argument("package", type=DIRECTORY)
@click.option("--reference", type=FILE, required=True, help="The film that was encoded.")
@video_option
@frame_rate_option
@engine_options
@trust_option
@threads_option
@click.option("--frames", type=click.IntRange(min=1), help="Only the first N frames.")
@click.option(
    "--protocol",
    type=click.Choice(["frame", "stdo"]),
    default="frame",
    show_default=True,
    help="stdo adds the papers' PSNR of shaved patches.",
)
@click.option("--worst", type=Share(), metavar="SHARE", help="Also the worst 5%, say, of frames.")
@click.option("--vmaf/--no-vmaf", default=None, help="Default: where its tool is installed.")
@json_option
def command(
    package: Path,
    reference: Path,
    video: int | None,
    frame_rate: Fraction | None,
    named: Path | None,
    target: str,
    trust: tuple[str, ...],
    threads: int | None,
    frames: int | None,
    protocol: str,
    worst: float | None,
    vmaf: bool | None,
    as_json: bool,
) -> None:
    """Quality, bytes and FPS of the package DIR, beside bicubic, generic and plain."""
    from player.quality import METRICS, measurable
    from player.vmaf import MODELS, need_vmaf

    if vmaf:
        need_vmaf()
    from chunking.opening import video_of
    from chunking.probe import probe
    from player.engines import engine_of
    from player.measure import MeasureOptions, measure
    from sr.host_engine import build_engine

    wanted = measurable(METRICS.keys() - MODELS.keys() if vmaf is False else METRICS)
    options = MeasureOptions(threads, frames, protocol, metrics=wanted, worst=worst)
    opened = open_trusted(package, trust)
    given = film_of(reference, frame_rate)
    film = video_of(given, video)
    probe(film)  # before an engine is compiled for it
    warn_of_another(package, given)
    engine = engine_of(opened, target, named, warn, build_engine)
    result = measure(opened, film, engine, options, warn)
    show(result, as_json, table(result))


def table(result: dict[str, Any]) -> list[tuple[str, Any]]:
    """The lines for people: quality beside its controls, then what it costs."""

    def quality(arm: dict[str, float] | None, missing: str) -> str:
        if arm is None:
            return missing
        at = f"  at {arm['kbps']:.0f} kbps" if "kbps" in arm else ""
        return f"{arm['psnr_rgb']:6.2f} dB RGB  {arm['psnr_y']:6.2f} dB Y{at}"

    def number(value: float | None, places: int) -> str:
        return "-" if value is None else f"{value:.{places}f}"

    def perceived(scores: dict[str, float | None]) -> str:
        vmaf, neg = number(scores["vmaf"], 1), number(scores["vmaf_neg"], 1)
        return f"XPSNR {number(scores['xpsnr_y'], 2)} dB  VMAF {vmaf}  NEG {neg}"

    kbps, fps, paths = result["kbps"], result["fps"], result["paths"]
    ours = {"psnr_rgb": result["psnr"]["rgb"], "psnr_y": result["psnr"]["y"], "kbps": kbps["total"]}
    shares = ", ".join(f"{name} {share:.0%}" for name, share in paths.items())
    manifests = kbps["total"] - kbps["video"] - kbps["sr"]
    parts = {"video": kbps["video"], "super-resolution": kbps["sr"], "manifests": manifests}
    lines = [
        ("bicubic", quality(result["bicubic"], "not measured")),
        ("generic", quality(result["generic"], "not measured: no engine")),
        ("plain encode", quality(result["plain"], "not made: only a search for a scale makes it")),
        ("PocketSR", quality(ours, "")),
        ("perceived", perceived(result)),
        ("SSIM (Y)", number(result["ssim_y"], 4)),
        ("bytes", f"{result['bytes']['total']} ({result['bytes']['weights']} weights)"),
        ("rate", " + ".join(f"{rate:.0f} kbps {name}" for name, rate in parts.items())),
        ("paths", shares),
        ("MACs", f"{result['macs_per_frame'] / 1e9:.2f} G a frame"),
        ("FPS", f"{fps['upscale_p50']:.1f} upscaling, {fps['pipeline']:.1f} with decoding"),
    ]
    if result["method"] == "plain":  # there is no network, on no path
        lines = [line for line in lines if line[0] not in ("generic", "paths", "MACs")]
    if grained := result["grain_frames"]:
        said = f"of {grained} of {result['frames']} frames; left out here, added when it is shown"
        lines.append(("film grain", said))
    if worst := result["worst"]:
        label = f"worst {100 * worst['share']:.3g}%"
        at = [name for name, _ in lines].index("perceived") + 1
        lines.insert(at, (label, f"{quality(worst, '')}  {perceived(worst)}"))
    return lines
