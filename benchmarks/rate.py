"""Bytes at equal quality: PocketSR and others beside the same codec alone.

    python -m benchmarks.rate [--class cpu npu] [--codec h264 h265 av1] [--clips bee bbb]
        [--rates 4] [--arms dydca stdo zero] [--ablation no-size no-routes] [--part reporting]
        [--tune psnr default] [--minutes 40] [--quick]

Each cell (a shot, a codec, an arm, a crf) is one JSON in build/rate/cells as soon as it is
measured, and stands in benchmarks/results/rate.json then; one that stands there is never measured
again. docs/rate.md says what is compared and why that is fair; benchmarks/clips.toml has the
clips.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.harness import argument_parser, write_json
from benchmarks.rating.cells import (
    ABLATIONS,
    ARMS,
    BESIDE_HR,
    BESIDE_SHARP,
    CODECS,
    PLAIN_SIDE,
    SHARP_SIDE,
    TUNES,
    Cell,
    plan,
)
from benchmarks.rating.clips import PARTS, Shot, film_of, read_shots
from benchmarks.rating.curves import (
    ablation_rows,
    bd_rows,
    control_row,
    mean_rows,
    metrics_of,
    worst_rows,
)
from benchmarks.rating.making import make
from benchmarks.rating.same_stream import same_stream_claims
from chunking.input_error import InputError
from chunking.lr import BICUBIC
from player.quality import measurable
from sr.rate.goal import GoalError

CLASSES = ("cpu", "npu")
ABLATED_CLIPS = 4
QUICK_FRAMES, QUICK_RATES = 24, 2


def results(cells: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The whole of rate.json: the cells, and what follows from them."""
    ordered = sorted(cells, key=lambda c: c["name"])
    others = (*PLAIN_SIDE, *SHARP_SIDE, "zero", *ABLATIONS)
    arms = [*(a for a in ARMS if a not in others), *BESIDE_SHARP, *BESIDE_HR, "generic"]
    rows = bd_rows(ordered, arms)
    return {
        "schema": "pocketsr.rate/1",
        "means": mean_rows(rows),
        "worst": worst_rows(ordered, arms),
        "control": control_row(ordered),
        "ablation": ablation_rows(ordered),
        "claims": same_stream_claims(ordered),
        "rows": rows,
        "cells": ordered,
    }


def finished(path: Path, work: Path) -> dict[str, dict[str, Any]]:
    """Every cell that was ever measured, by its name: here, or where the result came from."""
    known = json.loads(path.read_text())["cells"] if path.exists() else []
    own = [json.loads(cell.read_text()) for cell in sorted(work.glob("cells/*.json"))]
    return {cell["name"]: cell for cell in (*known, *own)}


def measure_cells(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Measure what is not there yet, each kept as it finishes; all that is there then."""
    done, work, began_s = finished(options.json, options.work), options.work, time.monotonic()

    def db_of(cell: Cell) -> float | None:
        return done[cell.name]["quality"]["psnr_y"] if cell.name in done else None

    rates = QUICK_RATES if options.quick else options.rates
    shots, arms = chosen(read_shots(), options), [*options.classes, *options.arms]
    if options.ablation:
        arms += ["all", *options.ablation]
    for cell in plan(shots, options.codec, options.tune, arms, rates, db_of):
        if cell.name in done:
            continue
        of = ARMS[cell.arm].of
        if options.minutes and time.monotonic() - began_s > 60 * options.minutes:
            print("the time is up; the same command goes on from here")
            break
        choice = done.get(replace(cell, arm=of).name, {}).get("choice") if of else None
        if of and not (choice and has_own_network(choice) and has_the_part(choice, cell.arm)):
            continue
        # Luma's PSNR in any case: the ladder of rates goes by it.
        own = [m for m in metrics_of(cell.codec, cell.tune) if m != "psnr_y"]
        film = film_of(cell.shot, options.films, work / "shots")
        try:
            made = make(cell, film, work, measurable(["psnr_y", *own]), choice)
        except (InputError, GoalError) as error:
            print(f"{cell.name}: {error}", file=sys.stderr)
            continue
        done[cell.name] = {"name": cell.name, **made}
        write_json(work / "cells" / f"{cell.name}.json", done[cell.name])
        # With what others, of other clips, have measured meanwhile.
        write_json(options.json, results(finished(options.json, work).values()))
        print(line(done[cell.name]), flush=True)
    return done


def has_own_network(choice: dict[str, Any]) -> bool:
    """Whether the search chose a network of the film's own: what an ablation trains once more.
    Cells from before networks shipped do not say that theirs is none of those.
    """
    return bool(choice["widths"] and not choice.get("shipped"))


def has_the_part(choice: dict[str, Any], arm: str) -> bool:
    """Whether an ablation leaves out something that was chosen: a bicubic stream is not sharp."""
    return "lr" not in ARMS[arm].options or choice.get("lr", BICUBIC) != BICUBIC


def line(cell: dict[str, Any]) -> str:
    """A cell in one line."""
    kbps = cell["bytes"]["total"] * 8 / 1000 / cell["seconds"]
    quality = "  ".join(f"{name} {value:.2f}" for name, value in cell["quality"].items())
    return f"{cell['name']}: {kbps:,.0f} kbps  {quality}  ({cell['encode_s']:.0f} s)"


def chosen(shots: Sequence[Shot], options: argparse.Namespace) -> list[Shot]:
    """The shots that are asked for; in haste, a second of the first one."""
    named = [s for s in shots if s.clip in options.clips] if options.clips else shots
    wanted = [s for s in named if s.part in options.part]
    if options.quick:
        return [replace(shot, end=shot.start + QUICK_FRAMES) for shot in wanted[:1]]
    return wanted[:ABLATED_CLIPS] if options.ablation else wanted


def text_table(means: Sequence[dict[str, Any]]) -> str:
    """The means as they are printed; docs/rate.md has them by codec and metric."""
    return "\n".join(
        f"{r['part']:10} {r['codec']:5} {r['arm']:8} {r['metric']:9} {r['percent']:+7.2f} %"
        f" of {r['clips']} clips, overlap {r['overlap']:.0%}"
        for r in means
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argument_parser("rate", __doc__, quick=True)
    parser.add_argument(
        "--films", type=Path, default=Path("../shared/clips"), help="folder of them"
    )
    parser.add_argument("--clips", nargs="+", help="names of clips.toml; without it all of --part")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=["reporting"])
    parser.add_argument("--codec", nargs="+", choices=CODECS, default=["h264"])
    parser.add_argument("--tune", nargs="+", choices=list(TUNES), default=["psnr"])
    parser.add_argument("--class", dest="classes", nargs="*", choices=CLASSES, default=["cpu"])
    parser.add_argument("--ablation", nargs="*", choices=[*ABLATIONS][1:], default=[])
    parser.add_argument("--arms", nargs="*", choices=list(ARMS), default=[])
    parser.add_argument("--rates", type=int, default=7, help="at most so many of each arm")
    parser.add_argument("--minutes", type=float, help="no cell is begun after so long")
    parser.add_argument("--work", type=Path, default=Path("build/rate"))
    options = parser.parse_args(arguments)
    if options.quick:  # what is cut short is no result, and never stands among them
        options.work /= "quick"
        options.json = options.work / options.json.name
    done = measure_cells(options)
    print(text_table(results(done.values())["means"]))


if __name__ == "__main__":
    main()
