"""ImageNet folders and CelebA, as published: pictures are decoded when they are asked for.

ImageNet (Russakovsky et al. 2015) as everybody unpacks it, `train/<wnid>/*.JPEG` and
`val/<wnid>/*.JPEG`; CelebA (Liu et al. 2015) aligned and cropped, with its two lists.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.reproduction.datasets import (
    CentreCrop,
    Indices,
    LabelledImages,
    PictureFiles,
    TrainAndTest,
    existing,
    ungrouped,
)
from chunking.input_error import InputError

PICTURES = "img_align_celeba"
ATTRIBUTES, PARTITION = "list_attr_celeba.txt", "list_eval_partition.txt"
TRAIN, TEST = "0", "2"  # CelebA's partition; 1 is the validation split
AS_PUBLISHED = "fetch CelebA's aligned pictures and both lists again"


def load_imagenet(
    folder: Path, side_px: int = 224, classes: Sequence[str] | None = None
) -> TrainAndTest:
    """Training and validation pictures [N, side_px, side_px, 3], the paper's central crop.

    `classes`: only these wnids (default: all of train/). Raises InputError for a missing folder,
    a class without pictures and one that only one half has.
    """
    remedy = "unpack ImageNet as train/<wnid>/*.JPEG and val/<wnid>/*.JPEG"
    train = existing(folder / "train", "ImageNet's training folder", remedy)
    val = existing(folder / "val", "ImageNet's validation folder", remedy)
    names = tuple(classes or sorted(p.name for p in train.iterdir() if p.is_dir()))
    if not names:
        raise InputError(f"{train}: no class in it; {remedy}")
    return TrainAndTest(_folders(train, names, side_px), _folders(val, names, side_px))


def _folders(half: Path, names: Sequence[str], side_px: int) -> LabelledImages:
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        found = sorted(p for p in (half / name).glob("*") if p.suffix.lower() in (".jpeg", ".jpg"))
        if not found:
            raise InputError(f"{half / name}: no JPEG in it; unpack this class again")
        paths += found
        labels += [label] * len(found)
    return ungrouped(PictureFiles(tuple(paths), CentreCrop(side_px)), labels, names)


def load_celeba(
    folder: Path, label: str = "Blond_Hair", group: str = "Male", side_px: int = 64
) -> TrainAndTest:
    """Faces [N, side_px, side_px, 3] out of the central square; two classes, two groups.

    `label` and `group` are two of the 40 attributes, as in the fair pruning paper. Raises
    InputError for a missing list, an unknown attribute, a damaged line, a list without pictures.
    """
    existing(folder / PICTURES, "CelebA's folder of pictures", AS_PUBLISHED)
    columns = _attributes(folder / ATTRIBUTES, (label, group))
    parts = _partition(folder / PARTITION)
    train, test = (
        _faces(
            folder, [n for n in columns if parts.get(n) == part], columns, (label, group), side_px
        )
        for part in (TRAIN, TEST)
    )
    return TrainAndTest(train, test)


def _faces(
    folder: Path,
    names: list[str],
    columns: dict[str, tuple[int, int]],
    attributes: tuple[str, str],
    side_px: int,
) -> LabelledImages:
    if not names:
        raise InputError(f"{folder / PARTITION}: an empty half; {AS_PUBLISHED}")
    paths = tuple(folder / PICTURES / name for name in names)
    values: Indices = np.array([columns[name] for name in names], np.int64)
    label, group = ((f"no {name}", name) for name in attributes)
    images = PictureFiles(paths, CentreCrop(side_px, share=1.0))
    return LabelledImages(images, values[:, 0], label, values[:, 1], group)


def _attributes(path: Path, wanted: tuple[str, str]) -> dict[str, tuple[int, int]]:
    """0 or 1 for both attributes of every picture, by its name.

    The list: the count, the attributes' names, then a line of name and -1 or 1 a picture.
    """
    lines = _lines(path)
    names = lines[1].split() if len(lines) > 1 else []
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise InputError(
            f"{path}: no attribute {unknown[0]}; take one of its second line: {' '.join(names)}"
        )
    first, second = (names.index(name) + 1 for name in wanted)
    found = {}
    for number, line in enumerate(lines[2:], start=3):
        cells = line.split()
        if len(cells) != len(names) + 1 or not {cells[first], cells[second]} <= {"-1", "1"}:
            raise InputError(
                f"{path}, line {number}: not a name and {len(names)} of -1, 1; fetch it again"
            )
        found[cells[0]] = (int(cells[first] == "1"), int(cells[second] == "1"))
    return found


def _partition(path: Path) -> dict[str, str]:
    """0, 1 or 2 for every picture, by its name."""
    found = {}
    for number, line in enumerate(_lines(path), start=1):
        name, _, part = line.partition(" ")
        if part.strip() not in ("0", "1", "2"):
            raise InputError(f"{path}, line {number}: not a name and 0, 1 or 2; fetch it again")
        found[name] = part.strip()
    return found


def _lines(path: Path) -> list[str]:
    text = existing(path, "a list of CelebA", AS_PUBLISHED).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.strip()]
