"""Paired RGB and thermal drone frames out of folders, in the forms of FLAME 2 and FLAME 3.

FLAME 2 (frames matched by the last number of their names; labels of ranges of frames, first and
last, then Y or N for fire and for smoke, one a line between tabs or spaces):

    254p RGB Images/254p RGB Frame (1).jpg      254p Thermal Images/254p Thermal Frame (1).jpg
    Frame Pair Labels.txt                       1<tab>400<tab>YN

FLAME 3, the same number in every folder, the label in the folder's name, thermal in degrees:

    Fire/RGB/Corrected FOV/00001.JPG            Fire/Thermal/Celsius TIFF/00001.TIFF
    No Fire/RGB/Corrected FOV/00001.JPG         No Fire/Thermal/Celsius TIFF/00001.TIFF

Any other set: folders `rgb` and `thermal`, and labels.txt as above if there are labels.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from benchmarks.reproduction.flames.rule import DEFAULT, FlameRule, has_flame
from chunking.input_error import InputError

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
FLAT_FORMS = (("254p RGB Images", "254p Thermal Images"), ("rgb", "thermal"))
FLAME3_CLASSES = {"Fire": True, "No Fire": False}
FLAME3_RGB = ("Corrected FOV", "Raw")
FLAME3_THERMAL = ("Celsius TIFF", "Raw JPG")
LABEL_FILES = ("*Frame Pair Labels.txt", "labels.txt")


@dataclass(frozen=True)
class FrameLabel:
    """What people saw in a pair; `smoke` None where nobody looked for it."""

    fire: bool
    smoke: bool | None = None


@dataclass(frozen=True)
class PairFiles:
    """One moment seen twice, and its label if there is one."""

    rgb: Path
    thermal: Path
    label: FrameLabel | None = None


@dataclass(frozen=True)
class PatchPairs:
    """`rgb` [N, p, p, 3] u8; `thermal` [N, p, p] u8, each patch from its own least to its own
    greatest value; `fire` [N]: the rule on RGB."""

    rgb: NDArray[np.uint8]
    thermal: NDArray[np.uint8]
    fire: NDArray[np.bool_]


def find_pairs(root: Path) -> list[PairFiles]:
    """All pairs below `root`, in the order of their numbers.

    Raises InputError for a folder of no known form, a frame without its partner, two frames of
    one number, and labels that are not of the form, contradict each other or leave out a frame.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give one of paired RGB and thermal frames")
    for rgb, thermal in FLAT_FORMS:
        if (root / rgb).is_dir() and (root / thermal).is_dir():
            return _labelled(match(root / rgb, root / thermal), root)
    if any((root / name).is_dir() for name in FLAME3_CLASSES):
        return _flame3(root)
    raise InputError(
        f"{root}: neither rgb and thermal, nor FLAME 2's or FLAME 3's folders; see "
        "docs/laboratory.md for the forms"
    )


def match(rgb_folder: Path, thermal_folder: Path) -> list[PairFiles]:
    """Pairs of equal numbers; raises InputError where a frame has no partner or there is none."""
    rgb, thermal = _numbered(rgb_folder), _numbered(thermal_folder)
    lonely = sorted(rgb.keys() ^ thermal.keys())
    if lonely:
        there, other = (rgb, thermal_folder) if lonely[0] in rgb else (thermal, rgb_folder)
        raise InputError(
            f"{there[lonely[0]]}: no partner in {other}, as {len(lonely)} frames in all; put both "
            "frames of a pair there, or remove the one"
        )
    if not rgb:
        raise InputError(f"{rgb_folder}: no images; give .jpg, .png or .tiff")
    return [PairFiles(rgb[number], thermal[number]) for number in sorted(rgb)]


def read_labels(file: Path) -> dict[int, FrameLabel]:
    """Labels by frame. Raises InputError, with the line, for another form or a contradiction."""
    labels: dict[int, FrameLabel] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not re.match(r"\s*\d", line):
            continue  # headings and notes
        for frame, label in _label_line(line, f"{file}: line {number}"):
            if labels.setdefault(frame, label) != label:
                raise InputError(
                    f"{file}: line {number}: frame {frame} is labelled twice, differently; give "
                    "each frame one label"
                )
    return labels


def read_pair(pair: PairFiles) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """RGB [h, w, 3] u8 at the size of thermal [h, w], grey levels or degrees.

    Raises InputError for a file that cannot be decoded.
    """
    thermal = _decoded(pair.thermal, "F").astype(np.float32)
    rgb = _decoded(pair.rgb, "RGB")
    if rgb.shape[:2] != thermal.shape:
        rgb = cv2.resize(rgb, thermal.shape[::-1], interpolation=cv2.INTER_AREA)
    return rgb.astype(np.uint8), thermal


def cut_patches(pairs: Sequence[PairFiles], patch_px: int, rule: FlameRule = DEFAULT) -> PatchPairs:
    """All whole patches of all pairs; raises InputError for frames smaller than one."""
    found = [patch for pair in pairs for patch in _patches(pair, patch_px)]
    if not found:
        raise InputError(f"no patch of {patch_px} px in {len(pairs)} pairs; give smaller patches")
    rgb = np.stack([colours for colours, _ in found])
    thermal = np.stack([stretch(heat) for _, heat in found])
    return PatchPairs(rgb, thermal, np.array([has_flame(patch, rule) for patch in rgb]))


def stretch(heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """[p, p] -> u8 from the patch's least to its greatest value; a flat patch is 0."""
    least, most = float(heat.min()), float(heat.max())
    return np.rint((heat - least) * (255 / max(most - least, 1e-6))).astype(np.uint8)


def _numbered(folder: Path) -> dict[int, Path]:
    """Images of a folder by the last number of their names."""
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in IMAGE_ENDINGS:
            continue
        numbers = re.findall(r"\d+", path.stem)
        if not numbers:
            raise InputError(f"{path}: no number in the name to find its partner by; rename it")
        first = found.setdefault(int(numbers[-1]), path)
        if first != path:
            raise InputError(f"{path}: the same number as {first.name}; remove one of them")
    return found


def _labelled(pairs: list[PairFiles], root: Path) -> list[PairFiles]:
    """The pairs with the labels of the file in `root`, if there is one."""
    files = [file for pattern in LABEL_FILES for file in sorted(root.glob(pattern))]
    if not files:
        return pairs
    labels = read_labels(files[0])
    numbers = [int(re.findall(r"\d+", pair.rgb.stem)[-1]) for pair in pairs]
    missing = [number for number in numbers if number not in labels]
    if missing:
        raise InputError(f"{files[0]}: no label of frame {missing[0]}, nor of {len(missing) - 1} "
                         "others; label every frame")  # fmt: skip
    return [
        PairFiles(pair.rgb, pair.thermal, labels[number])
        for pair, number in zip(pairs, numbers, strict=True)
    ]


def _flame3(root: Path) -> list[PairFiles]:
    found = []
    for name, fire in FLAME3_CLASSES.items():
        if (root / name).is_dir():
            rgb = _first_folder(root / name / "RGB", FLAME3_RGB)
            thermal = _first_folder(root / name / "Thermal", FLAME3_THERMAL)
            label = FrameLabel(fire)
            found += [PairFiles(p.rgb, p.thermal, label) for p in match(rgb, thermal)]
    return found


def _first_folder(parent: Path, names: Sequence[str]) -> Path:
    for name in names:
        if (parent / name).is_dir():
            return parent / name
    raise InputError(f"{parent}: none of the folders {', '.join(names)}; unpack the whole set")


def _label_line(line: str, where: str) -> Iterator[tuple[int, FrameLabel]]:
    found = re.fullmatch(r"\s*(\d+)\s+(\d+)\s+([YN])\s*([YN])\s*", line)
    if not found or int(found[1]) > int(found[2]):
        raise InputError(
            f"{where}: not first frame, last frame, YY, YN, NY or NN (fire, smoke): {line.strip()}"
        )
    label = FrameLabel(found[3] == "Y", found[4] == "Y")
    for frame in range(int(found[1]), int(found[2]) + 1):
        yield frame, label


def _decoded(path: Path, mode: str) -> NDArray[np.generic]:
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert(mode))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise InputError(f"{path}: cannot be decoded ({error}); write it again") from error


def _patches(pair: PairFiles, side: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    rgb, thermal = read_pair(pair)
    for y in range(0, thermal.shape[0] - side + 1, side):
        for x in range(0, thermal.shape[1] - side + 1, side):
            yield rgb[y : y + side, x : x + side], thermal[y : y + side, x : x + side]
