"""Masks of flames, for `pocketsr encode --groups MASKS --protect flame`.

    python -m benchmarks.reproduction.flames RGB_FOLDER -o MASKS

One PNG for each frame of the folder, 255 where there is a flame, in the order of the numbers in
the frames' names, and their name, `flame`, for `--protect`. The frames must be without smoke, which
hides what the rule looks for.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from benchmarks.reproduction.flames.pairs import IMAGE_ENDINGS
from benchmarks.reproduction.flames.rule import DEFAULT, FlameRule, flame_mask
from chunking.input_error import InputError
from sr.shrink.content_groups import NAMES_FILE

_DIGITS = re.compile(r"(\d+)")


def write_masks(folder: Path, out: Path, rule: FlameRule = DEFAULT) -> float:
    """Writes the masks; returns the share of flame pixels.

    Raises InputError for a folder without images and for one that cannot be decoded, OSError as
    writing does.
    """
    frames = sorted(
        (p for p in folder.glob("*") if p.suffix.lower() in IMAGE_ENDINGS), key=_by_numbers
    )
    if not frames:
        raise InputError(f"{folder}: no images; give a folder of RGB frames (.jpg, .png, .tiff)")
    out.mkdir(parents=True, exist_ok=True)
    (out / NAMES_FILE).write_text("flame\n", encoding="utf-8")
    shares = []
    for number, path in enumerate(frames):
        mask = flame_mask(_read(path), rule)
        Image.fromarray(mask.astype(np.uint8) * 255).save(out / f"{number:06d}.png")
        shares.append(float(mask.mean()))
    return float(np.mean(shares))


def _by_numbers(path: Path) -> list[tuple[int, str]]:
    """Frame (2) before frame (10)."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in _DIGITS.split(path.stem)]


def _read(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise InputError(f"{path}: cannot be decoded ({error}); write it again") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, or 3 for frames that cannot be read."""
    about = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser("benchmarks.reproduction.flames", description=about)
    parser.add_argument("frames", type=Path, metavar="RGB_FOLDER")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="MASKS")
    parser.add_argument("--excess", type=float, default=DEFAULT.excess, help="code values")
    asked = parser.parse_args(arguments)
    try:
        share = write_masks(asked.frames, asked.out, FlameRule(excess=asked.excess))
    except InputError as error:
        sys.stderr.write(f"benchmarks.reproduction.flames: {error}\n")
        return InputError.exit_code
    sys.stdout.write(f"{asked.out}: {share:.2%} of all pixels are flames\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
