"""Bytes at equal quality of whole ladders: rungs of `encode --ladder auto` beside plain encodes.

    python -m benchmarks.ladders [--clips flower_540p ...] [--codec h264 ...] [--films FOLDER]

shot --encode --ladder--> rungs --every frame measured--> curve ---.
the same shot's plain encodes, of rate.json ------------envelope--> BD-rate

The ladder begins with the quality of the finest plain encode there, and ends where a plain encode
shows 30 dB. Each rung's index is counted, and the manifests of a package by itself: a viewer of one
rung loads no more than that. docs/rate.md says what the plain side is.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS, argument_parser, environment, write_json
from benchmarks.rating.cells import CODECS, TUNES
from benchmarks.rating.clips import PARTS, Shot, film_of, read_shots
from benchmarks.rating.curves import Cells, metrics_of, of_shots, over_plain_side, plain_points
from benchmarks.rating.envelope import Point
from benchmarks.rating.making import THREADS, measure_package
from player.quality import measurable
from sr.encode.ladder import LadderOptions, encode_ladder
from sr.encode.search_options import SearchOptions
from sr.progress import Progress

_TUNE = "psnr"


def ladder_row(shot: Shot, codec: str, film: Path, folder: Path, group: Cells) -> dict[str, Any]:
    """A shot's ladder made and measured, beside the plain side among the shot's cells.

    An interrupted ladder goes on; what is measured is measured anew.
    """
    finest = min(cell["crf"] for cell in group if cell["arm"] == "plain")
    search = SearchOptions.of(
        film,
        folder,
        like_crf=finest,
        lr_codec=codec,
        codec_opts=TUNES[_TUNE][codec],
        frames=shot.end - shot.start,
        threads=THREADS,
        preset="fast",
        budget_class="cpu",
    )
    with Progress() as progress:
        report = encode_ladder(LadderOptions(search, None), progress)
    metrics = measurable(metrics_of(codec, _TUNE))
    rungs = [measured_rung(folder, rung, film, metrics) for rung in report["rungs"]]
    return {
        "clip": shot.clip,
        "shot": shot.name,
        "part": shot.part,
        "codec": codec,
        "like_crf": finest,
        "dropped": report["dropped"],
        "rungs": rungs,
        "rates": rates(rungs, group, metrics),
    }


def measured_rung(
    folder: Path, rung: Mapping[str, Any], film: Path, metrics: Sequence[str]
) -> dict[str, Any]:
    """What a viewer of this rung alone loads and sees."""
    named = {name: rung[name] for name in ("folder", "widths", "weights_bytes", "network_of")}
    measured = measure_package(folder / rung["folder"], film, metrics)
    kept = ("scale", "bytes", "seconds", "quality", "macs_per_frame", "skipped")
    return named | {name: measured[name] for name in kept}


def rates(rungs: Cells, group: Cells, metrics: Sequence[str]) -> dict[str, Any]:
    """By metric the BD-rate of the rungs against the plain side's envelope."""
    points = [Point(rung["bytes"]["total"], rung["quality"]) for rung in rungs]
    beside = plain_points(group, "cpu")
    return {metric: vars(over_plain_side(points, beside, metric)) for metric in metrics}


def main() -> None:
    parser = argument_parser("ladders", __doc__.splitlines()[0])
    parser.add_argument("--films", type=Path, default=Path("../shared/clips"))
    parser.add_argument("--clips", nargs="+", help="names of clips.toml; without it all of --part")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=["reporting"])
    parser.add_argument("--codec", nargs="+", choices=CODECS, default=["h264"])
    parser.add_argument("--work", type=Path, default=Path("build/rate"))
    options = parser.parse_args()
    cells = of_shots(json.loads((RESULTS / "rate.json").read_text())["cells"])
    known = json.loads(options.json.read_text())["rows"] if options.json.exists() else []
    rows = {(row["shot"], row["codec"]): row for row in known}
    shots = [shot for shot in read_shots() if shot.part in options.part]
    named = [shot for shot in shots if not options.clips or shot.clip in options.clips]
    for shot, codec in product(named, options.codec):
        group = cells.get((codec, _TUNE, shot.name))
        if group is None or (shot.name, codec) in rows:
            continue
        film = film_of(shot, options.films, options.work / "shots")
        folder = options.work / "ladders" / f"{shot.name}_{codec}"
        rows[shot.name, codec] = ladder_row(shot, codec, film, folder, group)
        result = {"schema": "pocketsr.ladders/1", "rows": [rows[key] for key in sorted(rows)]}
        write_json(options.json, {**result, "environment": environment(("torch", "av"))})
        print(json.dumps(rows[shot.name, codec]["rates"]), flush=True)


if __name__ == "__main__":
    main()
