"""LR, bicubic, PocketSR and HR side by side, on a crop of one frame.

    python -m benchmarks.picture PACKAGE --reference FILE [--frame N] --out PICTURE.png

The crop is the coarse patch on which the network gains most over bicubic, unless it is given.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from chunking.difficulty import patch_sse
from chunking.grid import Grid
from chunking.video import read_frames
from player.bicubic import upscale_bicubic
from player.engines import engine_of
from player.package.scale import Scale
from player.session import open_package
from player.upscale import UpscaledFrame, upscale

Pixels = NDArray[np.uint8]
LABELS = ("low resolution", "bicubic", "PocketSR", "original")
BAND_PX = 22
CROP_PX = 160  # HR
ZOOM = 2


def frame_of(package: Path, number: int) -> UpscaledFrame:
    """Frame `number` of a package, upscaled by its own engine."""
    opened = open_package(package)
    engine = engine_of(opened)
    if engine is None:
        raise SystemExit(f"{package} has no engine: run `pocketsr compile {package}` first")
    frames = upscale(opened, engine, limit=number + 1)
    return list(frames)[number]


def best_place(ours: Pixels, bicubic: Pixels, original: Pixels) -> tuple[int, int]:
    """Top and left of the crop with the largest gain over bicubic."""
    side = CROP_PX // 2
    grid = Grid(original.shape[0], original.shape[1], side, side)
    gain = patch_sse(bicubic, original, grid, 1) - patch_sse(ours, original, grid, 1)
    windows = gain[:-1, :-1] + gain[1:, :-1] + gain[:-1, 1:] + gain[1:, 1:]
    y, x = np.unravel_index(int(windows.argmax()), windows.shape)
    height, width = original.shape[:2]
    return min(int(y) * side, height - CROP_PX), min(int(x) * side, width - CROP_PX)


def comparison(frame: UpscaledFrame, original: Pixels, scale: Scale) -> Image.Image:
    """The four crops in a row, each under its name."""
    height, width = original.shape[:2]
    nearest = frame.lr.repeat(int(scale), axis=0).repeat(int(scale), axis=1)[:height, :width]
    bicubic = upscale_bicubic(frame.lr, scale)[:height, :width]
    y, x = best_place(frame.rgb, bicubic, original)
    side = ZOOM * CROP_PX
    sheet = Image.new("RGB", (len(LABELS) * side, side + BAND_PX), "white")
    draw = ImageDraw.Draw(sheet)
    for i, picture in enumerate((nearest, bicubic, frame.rgb, original)):
        crop = Image.fromarray(picture[y : y + CROP_PX, x : x + CROP_PX])
        sheet.paste(crop.resize((side, side), Image.Resampling.NEAREST), (i * side, BAND_PX))
        draw.text((i * side + 6, 5), LABELS[i], fill="black")
    return sheet


def save_comparison(package: Path, reference: Path, number: int, out: Path) -> None:
    """Write the comparison of frame `number` as PNG."""
    frame = frame_of(package, number)
    original = list(read_frames(reference, number + 1))[number].rgb
    index = open_package(package).index
    assert index is not None
    comparison(frame, original, index.scale).save(out, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--frame", type=int, default=60)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    save_comparison(options.package, options.reference, options.frame, options.out)


if __name__ == "__main__":
    main()
