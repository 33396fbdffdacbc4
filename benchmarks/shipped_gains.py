"""What the networks that ship gain as they are, on films that they did not learn from.

    python -m benchmarks.shipped_gains [--films FOLDER] [--only x3-medium ...]

The stretches of two clips on which settings may be chosen (benchmarks/adapting.py), encoded at the
middle of what each network is for; each cell by its best path, as free routes would, against the
stream as any player shows it. Beside it two controls: the same stream by another network of the
same scale (for medium rates and for sharp streams the best of several), and paths chosen by RGB's
error alone, without the share of luma's (sr/rate/goal.py). And what of it a package keeps, on all
frames, whose routes are paid for, `kept`, beside what the search promises of these few, `promised`.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from benchmarks.adapting import STRETCHES, Stretch, take
from benchmarks.harness import argument_parser, environment, write_json
from benchmarks.rating.clips import Shot, film_of
from benchmarks.shipped_data import crf_like
from benchmarks.shipped_networks import RECIPES, Recipe
from chunking.route_plan import usual_cell_px
from player.bicubic import upscale_bicubic
from player.package.scale import scale_number
from player.package.shipped import is_for_sharp, shipped_blob
from sr.encode.encode import encode
from sr.encode.search_options import SearchOptions
from sr.progress import Progress
from sr.rate.goal import luma_share
from sr.rate.judge import judge_package
from sr.rate.rungs import Rung
from sr.rate.sample import Coding, Sample, StreamShelf
from sr.rate.trial import routed
from sr.scoring import scored_network
from sr.training.data import FramePair, Image

METRICS, JUDGED = ("psnr_y", "psnr_rgb"), 6
# What each is compared with on its own streams.
_CODEC_AFTER = {"h264": "av1", "h265": "h264", "av1": "h264"}


def controls_of(name: str) -> tuple[str, ...]:
    """Others of the scale: of another codec, a smaller one, or those of other rates; of a sharp
    stream those of bicubic ones, where there are any."""
    scale, kind, *rest = name.split("-")
    if is_for_sharp(name):
        return tuple(n for n in RECIPES if n.startswith(f"{scale}-") and not is_for_sharp(n))
    if rest == ["large"]:
        return (f"{scale}-{kind}",)
    if kind in _CODEC_AFTER:
        return (f"{scale}-{_CODEC_AFTER[kind]}",)
    if kind == "medium":
        return f"{scale}-fine", f"{scale}-coarse"
    return (f"{scale}-{'coarse' if kind == 'fine' else 'fine'}",)


def lr_of(recipe: Recipe) -> str:
    """How its streams were made smaller."""
    return recipe.lr if recipe.scale > 1 else "full size"


def row_of(name: str, recipe: Recipe, stretch: Stretch, films: Path) -> dict[str, Any]:
    """A network on a stretch of film, by the first of its codecs."""
    sample, codec = take(stretch, films), recipe.codecs[0]
    crf = crf_like(codec, sum(recipe.crfs) / 2)
    rung = Rung(recipe.scale, recipe.lr)
    with tempfile.TemporaryDirectory() as folder:
        shelf = StreamShelf(sample, Coding(codec, 4.0), Path(folder), METRICS)
        stream = shelf.stream(rung, crf)
        judged = np.linspace(0, len(sample.frames) - 1, JUDGED).round().astype(int)
        pairs = stream.pairs(judged.tolist())
    anchor = _quality(sample, pairs, [upscale_bicubic(p.lr, recipe.scale) for p in pairs])
    row = {"network": name, "codec": codec, "lr": lr_of(recipe), "crf": crf, "clip": stretch.file}
    row |= {"stream_bytes": stream.bytes, "anchor": anchor}
    cell_px = usual_cell_px(recipe.scale, recipe.arch.units)
    of_luma = luma_share("psnr_y")

    def gained(blob: str, share: float) -> dict[str, float]:
        network = scored_network(shipped_blob(blob))
        free = [next(routed(network, [p], cell_px, stream.frame_bits, share)) for p in pairs]
        return _more(_quality(sample, pairs, free), anchor)

    row |= {"gain": gained(name, of_luma), "by_rgb": gained(name, 0.0)}
    controls = [gained(other, of_luma) for other in controls_of(name)]
    # Where there is no other network, the stream as any player shows it.
    nothing = dict.fromkeys(METRICS, 0.0)
    row["control"] = max(controls, key=lambda gain: gain["psnr_y"], default=nothing)
    network = scored_network(shipped_blob(name))
    promised = [*routed(network, pairs, cell_px, stream.frame_bits, of_luma)]
    row["promised"] = _more(_quality(sample, pairs, promised), anchor)
    row["kept"] = kept(name, recipe, stretch, films, crf)
    return {**row, "control_network": " or ".join(controls_of(name)) or "none"}


def kept(name: str, recipe: Recipe, stretch: Stretch, films: Path, crf: float) -> dict[str, float]:
    """What a package shows more than its stream, by routes as the search has them planned."""
    shot = Shot("shot", stretch.file, "choosing", 0, stretch.first, stretch.first + stretch.frames)
    codec = recipe.codecs[0]
    with tempfile.TemporaryDirectory() as work, Progress() as progress:
        film, package = film_of(shot, films, Path(work)), Path(work) / "package"
        asked = {"lr_codec": codec, "frames": stretch.frames, "threads": 1}
        search = SearchOptions.of(film, package, budget_class="none", **asked)
        choice = {
            "scale": scale_number(recipe.scale), "widths": recipe.arch.widths, "shipped": name,
            "lr": recipe.lr, "most_macs": None,
        }  # fmt: skip
        encode(search.of_choice(package, choice, crf), progress)
        judged = judge_package(package, film, METRICS)
    return _more(judged.shown.quality, judged.stream.quality)


def _more(shown: Mapping[str, float], anchor: Mapping[str, float]) -> dict[str, float]:
    return {metric: round(shown[metric] - anchor[metric], 4) for metric in METRICS}


def _quality(
    sample: Sample, pairs: Sequence[FramePair], shown: Sequence[Image]
) -> dict[str, float]:
    found = sample.quality(((s, p.hr) for s, p in zip(shown, pairs, strict=True)), METRICS)
    return {metric: round(value, 4) for metric, value in found.items()}


def means(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of each network over the clips."""
    found = []
    for name in dict.fromkeys(row["network"] for row in rows):
        own = [row for row in rows if row["network"] == name]
        gained = {
            f"{arm}_{metric}": round(fmean(row[arm][metric] for row in own), 4)
            for arm in ("gain", "promised", "kept", "control", "by_rgb")
            for metric in METRICS
        }
        same = ("network", "codec", "lr", "crf", "control_network")
        found.append({key: own[0][key] for key in same} | gained)
    return found


def main() -> None:
    parser = argument_parser("shipped", __doc__)
    parser.add_argument("--films", type=Path, default=Path("../shared/clips"))
    parser.add_argument("--only", nargs="+", choices=RECIPES, help="the others' rows stay")
    options = parser.parse_args()
    torch.set_num_threads(1)
    known = json.loads(options.json.read_text())["rows"] if options.only else []
    rows = [row for row in known if row["network"] not in options.only]
    for name in options.only or RECIPES:
        for stretch in STRETCHES:
            rows.append(row_of(name, RECIPES[name], stretch, options.films))
            print(name, stretch.file, rows[-1]["gain"], rows[-1]["control"], flush=True)
    rows.sort(key=lambda row: [*RECIPES].index(row["network"]))
    result = {"schema": "pocketsr.shipped/1", "means": means(rows), "rows": rows}
    write_json(options.json, {**result, "environment": environment(("torch", "av"))})


if __name__ == "__main__":
    main()
