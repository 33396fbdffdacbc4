"""`pocketsr measure DIR --reference FILE`."""

from pathlib import Path
from typing import Any

import click

from sr.commands.options import DIRECTORY, FILE, engine_options, json_option, show, warn


@click.command()
@click.argument("package", type=DIRECTORY)
@click.option("--reference", type=FILE, required=True, help="The film that was encoded.")
@engine_options
@click.option("--threads", type=click.IntRange(min=1), help="Default: the machine's cores.")
@click.option("--frames", type=click.IntRange(min=1), help="Only the first N frames.")
@click.option(
    "--protocol",
    type=click.Choice(["frame", "stdo"]),
    default="frame",
    show_default=True,
    help="stdo adds the papers' PSNR of shaved patches.",
)
@json_option
def command(
    package: Path,
    reference: Path,
    named: Path | None,
    target: str,
    threads: int | None,
    frames: int | None,
    protocol: str,
    as_json: bool,
) -> None:
    """PSNR, SSIM, bytes and FPS of the package DIR, beside bicubic and the generic network."""
    from player.engines import engine_of
    from player.measure import MeasureOptions, measure
    from player.session import open_package
    from sr.host_engine import build_engine

    options = MeasureOptions(threads=threads, limit=frames, protocol=protocol)
    opened = open_package(package)
    engine = engine_of(opened, target, named, warn, build_engine)
    result = measure(opened, reference, engine, options, warn)
    show(result, as_json, table(result))


def table(result: dict[str, Any]) -> list[tuple[str, Any]]:
    """The lines for people: quality beside its controls, then what it costs."""

    def quality(arm: dict[str, float] | None) -> str:
        if arm is None:
            return "not measured: no engine"
        return f"{arm['psnr_rgb']:6.2f} dB RGB  {arm['psnr_y']:6.2f} dB Y"

    ours = {"psnr_rgb": result["psnr"]["rgb"], "psnr_y": result["psnr"]["y"]}
    kbps, fps, paths = result["kbps"], result["fps"], result["paths"]
    shares = ", ".join(f"{name} {share:.0%}" for name, share in paths.items())
    return [
        ("bicubic", quality(result["bicubic"])),
        ("generic", quality(result["generic"])),
        ("PocketSR", quality(ours)),
        ("SSIM (Y)", f"{result['ssim_y']:.4f}" if result["ssim_y"] is not None else "-"),
        ("bytes", f"{result['bytes']['total']} ({result['bytes']['weights']} weights)"),
        ("rate", f"{kbps['video']:.0f} kbps video + {kbps['sr']:.0f} kbps super-resolution"),
        ("paths", shares),
        ("MACs", f"{result['macs_per_frame'] / 1e9:.2f} G a frame"),
        ("FPS", f"{fps['upscale_p50']:.1f} upscaling, {fps['pipeline']:.1f} with decoding"),
    ]
