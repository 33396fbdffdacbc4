"""Methods and clips at equal training work: PSNR, bytes, MACs, switches, seams.

    python -m benchmarks.quality --clips DIR/a.mp4 DIR/b.mp4 [--methods dydca jstdo stdo]
        [--patches method]

Each row encodes with `pocketsr`, compiles, and measures with the engine over whole frames. Jobs
lie in build/quality and resume. JSON to benchmarks/results/quality.json; rows of earlier runs
with other clips, methods or options stay in it.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.demo import pocketsr
from benchmarks.harness import RESULTS, environment, write_json
from player.compare import PathArm, pair_with_reference
from player.engines import engine_of
from player.metrics import psnr_db
from player.package.paths import HARD
from player.package.scale import hr_px
from player.session import Package, open_package
from player.upscale import crop, upscale

SEAM_PX = 4  # HR, on each side of a patch border
KEYS = ("clip", "method", "preset", "lr_codec", "frames_asked", "patches")


def seam_mask(height: int, width: int, cell_px: tuple[int, int]) -> NDArray[np.bool_]:
    """[H, W]: the bands of 4 px along the borders between fine patches."""
    mask = np.zeros((height, width), bool)
    for y in range(cell_px[0], height, cell_px[0]):
        mask[y - SEAM_PX : y + SEAM_PX] = True
    for x in range(cell_px[1], width, cell_px[1]):
        mask[:, x - SEAM_PX : x + SEAM_PX] = True
    return mask


def seam_loss(package: Package, reference: Path, every: int = 4) -> dict[str, float]:
    """What routing costs in the seam bands and elsewhere, in dB below the hard path run over
    the whole frame at once, which has no seams; `excess_db` is what the seams alone cost.
    """
    index, engine = package.index, engine_of(package)
    assert index is not None and engine is not None
    network = engine.load(index.weights[0].read(package.directory))
    whole = PathArm(network, engine.pool(), HARD)
    mask = seam_mask(
        index.hr.height,
        index.hr.width,
        (hr_px(index.fine_h, index.scale), hr_px(index.fine_w, index.scale)),
    )
    squares: dict[str, list[float]] = {}
    for frame, original in pair_with_reference(
        upscale(package, engine), reference, index.time_base
    ):
        if frame.index % every == 0:
            for name, picture in (("ours", frame.rgb), ("whole", crop(package, whole(frame.lr)))):
                error = ((picture.astype(float) - original) ** 2).mean(axis=2)
                squares.setdefault(f"{name}_seam", []).append(error[mask].mean())
                squares.setdefault(f"{name}_rest", []).append(error[~mask].mean())
    db = {name: psnr_db(float(np.mean(values))) for name, values in squares.items()}
    seam, rest = db["whole_seam"] - db["ours_seam"], db["whole_rest"] - db["ours_rest"]
    return {"seam_loss_db": seam, "rest_loss_db": rest, "excess_db": seam - rest}


def row(clip: Path, method: str, options: argparse.Namespace) -> dict[str, Any]:
    """Encode, compile, measure: one row of the table."""
    codec, preset = options.lr_codec, options.preset
    patches = options.patches
    package = options.work / f"{clip.stem}-{method}-{preset}-{codec}-{patches or 'default'}"
    arguments = ["--method", method, "--preset", preset, "--lr-codec", codec, "--json"]
    if patches:
        arguments += ["--patches", patches]
    if options.frames:
        arguments += ["--frames", options.frames]
    report = json.loads(pocketsr("encode", clip, "-o", package, *arguments))
    pocketsr("compile", package)
    opened = open_package(package)
    measured = json.loads(pocketsr("measure", package, "--reference", clip, "--json"))
    return {
        "clip": clip.name,
        "method": method,
        "preset": preset,
        "lr_codec": codec,
        "frames_asked": options.frames,
        "patches": report["patches"],
        "gain_over_bicubic_db": measured["psnr"]["rgb"] - measured["bicubic"]["psnr_rgb"],
        "gain_over_generic_db": measured["psnr"]["rgb"] - measured["generic"]["psnr_rgb"],
        "seams": seam_loss(opened, clip) if method != "stdo" else None,
        "encode": report,
        "measure": measured,
    }


def text_table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    head = (
        "| clip | method | bicubic | generic | PocketSR | gain | weights | GMAC | switches |"
        "\n|---|---|---|---|---|---|---|---|---|"
    )
    lines = [head]
    for r in rows:
        m = r["measure"]
        lines.append(
            f"| {r['clip']} | {r['method']} | {m['bicubic']['psnr_rgb']:.2f} "
            f"| {m['generic']['psnr_rgb']:.2f} | {m['psnr']['rgb']:.2f} "
            f"| {r['gain_over_bicubic_db']:+.2f} | {m['bytes']['weights']} "
            f"| {m['macs_per_frame'] / 1e9:.2f} | {m['model_switches_per_frame']:.1f} |"
        )
    return "\n".join(lines)


def merge(
    path: Path, rows: list[dict[str, Any]], keys: Sequence[str] = KEYS
) -> list[dict[str, Any]]:
    """`rows`, and those of the file that are of other runs: that differ in `keys`."""
    found = json.loads(path.read_text())["rows"] if path.exists() else []
    new = {tuple(r.get(k) for k in keys) for r in rows}
    return [r for r in found if tuple(r.get(k) for k in keys) not in new] + rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, nargs="+", required=True)
    parser.add_argument("--methods", nargs="+", default=["dydca"])
    parser.add_argument("--patches", help="as encode's; rows without it are of `method`")
    parser.add_argument("--preset", default="balanced")
    parser.add_argument("--lr-codec", default="lossless")
    parser.add_argument("--frames", type=int)
    parser.add_argument("--work", type=Path, default=Path("build/quality"))
    parser.add_argument("--json", type=Path, default=RESULTS / "quality.json")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    for clip in options.clips:
        for method in options.methods:
            rows = merge(options.json, [row(clip, method, options)])
            packages = ("torch", "av", "apache-tvm")
            data = {"schema": "pocketsr.quality/1", "environment": environment(packages)}
            write_json(options.json, {**data, "rows": rows})
    print(text_table(rows))


if __name__ == "__main__":
    main()
