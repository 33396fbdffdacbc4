"""Does this tree still make the bytes that another one made? For changes that only move things.

    python -m benchmarks.same_bytes --against REVISION [--case default ...]

The revision is checked out into a worktree. Both trees encode the same small film, in turns, on
this machine, with the same seed and signing key, by each case's options; every file of the two
packages is compared but job.json and report.json, which hold versions and times. Exit 1 and a line
for each file that differs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from player.package.layout import JOB_FILE, REPORT_FILE

ROOT = Path(__file__).parents[1]
COMMON = "--scale 2 --steps 40 --threads 1"
CASES = {
    "default": "--steps 150",
    "h264": "--lr-codec h264 --scale 4 --frames 7",
    "h265": "--lr-codec h265 --scale 3 --frames 7",
    "jstdo": "--method jstdo --lr-codec lossless",
    "stdo": "--method stdo --chunks 2 --lr-codec lossless",
    "stdo-error": "--method stdo --chunks 2 --chunk-rule error --lr-codec lossless",
    "wdsr": "--method jstdo --backbone wdsr --lr-codec lossless --frames 4",
    "espcn": "--method jstdo --backbone espcn --lr-codec lossless --frames 4",
    "fp32": "--dtype fp32 --warm-start",
    "all": "--patches all",
    "method": "--patches method --hard-share 0.3",
    "router": "--routes router --steps 150 --lr-codec lossless",
    "both": "--routes both --steps 150 --lr-codec lossless",
    "protect": "--groups {groups} --protect face --routes both --lr-codec lossless",
    "chex": "--stages chex --steps 320",
    "chase": "--stages chase --steps 320",
    "fair": "--stages fair --groups {groups} --steps 220 --lr-codec lossless",
    "condense": "--stages condense --steps 100",
    "chex-fair": "--stages chex,fair --budget 0.6x --steps 320 --lr-codec lossless",
    "condense-chase": "--stages condense,chase --budget 20kB --steps 320",
}
BOXES = (
    '{"groups": ["face"], "size": [192, 160], "frames": ['
    + ", ".join(
        f'[{{"group": "face", "x": {20 + i}, "y": 30, "width": 60, "height": 50}}]'
        for i in range(12)
    )
    + "]}"
)


def drifting_pictures(count: int, height: int, width: int) -> list[NDArray[np.uint8]]:
    """[H, W, 3] u8: waves that bicubic loses on the left, a smooth ramp on the right."""
    y, x = np.mgrid[:height, :width]
    pictures = []
    for i in range(count):
        waves = 127 + 90 * np.sin((x + i) * 1.9) * np.cos((y - i) * 1.1)
        ramp = (x + y + i) * 200 / (height + width)
        grey = np.where(x < width // 2, waves, ramp)
        pictures.append(np.stack([grey, grey[::-1], 255 - grey], axis=-1).astype(np.uint8))
    return pictures


def write_film(path: Path, pictures: list[NDArray[np.uint8]], rate: int = 30) -> Path:
    """Lossless H.264 RGB."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=rate, options={"qp": "0"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.time_base = "rgb24", Fraction(1, rate)
        for i, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = i, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def encode(tree: Path, film: Path, out: Path, options: str) -> str | None:
    """Make a package with the sources of `tree`; returns what went wrong."""
    home = str(film.parent / "home")  # one signing key for both
    environment = {**os.environ, "PYTHONPATH": str(tree), "POCKETSR_HOME": home}
    command = [sys.executable, "-c", "from sr.cli import main; main()", "encode", str(film)]
    command += ["-o", str(out), *COMMON.split(), *options.split()]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    return done.stderr.strip().splitlines()[-1] if done.returncode else None


def differences(ours: Path, theirs: Path) -> list[str]:
    """The files, relative to the package, that one lacks or that differ."""
    found = []
    for package in (ours, theirs):
        files = (p for p in package.rglob("*") if p.is_file())
        names = {p.relative_to(package).as_posix(): p.read_bytes() for p in files}
        found.append({k: v for k, v in names.items() if k not in (JOB_FILE, REPORT_FILE)})
    return sorted(
        n for n in found[0].keys() | found[1].keys() if found[0].get(n) != found[1].get(n)
    )


@contextmanager
def checked_out(revision: str, folder: Path) -> Iterator[Path]:
    """A worktree of that revision in `folder`, gone afterwards."""
    tree, git = folder / "tree", ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--detach", "--quiet", str(tree), revision], check=True)
    try:
        yield tree
    finally:
        subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", required=True, help="A revision of this repository.")
    parser.add_argument("--case", nargs="*", choices=CASES, default=list(CASES))
    options = parser.parse_args()
    faults = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with checked_out(options.against, folder) as other:
            (folder / "groups.json").write_text(BOXES)
            write_film(folder / "film.mp4", drifting_pictures(12, 160, 192))
            for side in ("ours", "theirs"):
                (folder / side).mkdir()
            for case in options.case:
                asked = CASES[case].format(groups=folder / "groups.json")
                trees = {"ours": ROOT, "theirs": other}
                errors = {
                    n: encode(tree, folder / "film.mp4", folder / n / case, asked)
                    for n, tree in trees.items()
                }
                differ = differences(folder / "ours" / case, folder / "theirs" / case)
                differ += [f"{n}: {error}" for n, error in errors.items() if error]
                faults += len(differ)
                print(f"{case:<16}", ", ".join(differ) or "same bytes", flush=True)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
