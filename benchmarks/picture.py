"""A plain encode, PocketSR at the same bytes, and the original: one crop of one frame of each.

    python -m benchmarks.picture PACKAGE PLAIN --reference FILE [--frame N] --out PICTURE.png

The crop is where the package and the plain encode differ most in their error, for better or worse.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from chunking.difficulty import patch_sse
from chunking.grid import Grid
from chunking.video import read_frames
from player.engines import engine_of
from player.session import open_package
from player.upscale import upscale

Pixels = NDArray[np.uint8]
Row = Sequence[tuple[str, Pixels]]
BAND_PX = 22
CROP_PX = 160  # HR
ZOOM = 2


def frame_of(package: Path, number: int) -> Pixels:
    """Frame `number` of a package as it is shown, [H, W, 3]."""
    opened = open_package(package)
    engine = engine_of(opened)
    if engine is None and not opened.shows_lr:
        raise SystemExit(f"{package} has no engine: run `pocketsr compile` first")
    return list(upscale(opened, engine, limit=number + 1))[number].rgb


def telling_place(ours: Pixels, plain: Pixels, original: Pixels) -> tuple[int, int]:
    """Top and left of the crop in which the two errors differ most."""
    side = CROP_PX // 2
    grid = Grid(original.shape[0], original.shape[1], side, side)
    gain = np.abs(patch_sse(plain, original, grid, 1) - patch_sse(ours, original, grid, 1))
    windows = gain[:-1, :-1] + gain[1:, :-1] + gain[:-1, 1:] + gain[1:, 1:]
    y, x = np.unravel_index(int(windows.argmax()), windows.shape)
    height, width = original.shape[:2]
    return min(int(y) * side, height - CROP_PX), min(int(x) * side, width - CROP_PX)


def comparison(rows: Sequence[Row]) -> Image.Image:
    """Each row's crops, under their names; a row is a plain picture, ours, and the original."""
    side = ZOOM * CROP_PX
    size = (len(rows[0]) * side, len(rows) * (side + BAND_PX))
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for down, row in enumerate(rows):
        (_, plain), (_, ours), (_, original) = row
        y, x = telling_place(ours, plain, original)
        top = down * (side + BAND_PX)
        for across, (label, picture) in enumerate(row):
            crop = Image.fromarray(picture[y : y + CROP_PX, x : x + CROP_PX])
            enlarged = crop.resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(enlarged, (across * side, top + BAND_PX))
            draw.text((across * side + 6, top + 5), label, fill="black")
    return sheet


def row_of(package: Path, plain: Path, reference: Path, number: int, name: str) -> Row:
    """Frame `number` of a plain encode, of the package, and of the film."""
    original = list(read_frames(reference, number + 1))[number].rgb
    return (
        (f"{name} alone, the same bytes", frame_of(plain, number)),
        (f"{name} with PocketSR", frame_of(package, number)),
        ("original", original),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path)
    parser.add_argument("plain", type=Path)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--frame", type=int, default=60)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    row = row_of(options.package, options.plain, options.reference, options.frame, "the codec")
    comparison([row]).save(options.out, optimize=True)


if __name__ == "__main__":
    main()
