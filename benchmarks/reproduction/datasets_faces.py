"""CMU Face Images (Mitchell 1997): 20 people, 4 poses, 4 expressions, with and without sunglasses.

Published as faces/<person>/<person>_<pose>_<expression>_<eyes>[_2|_4].pgm, 120 x 128 pixels (_2
and _4: smaller copies, not read here); also read from an npz of the same names. The groups are
open eyes and sunglasses.

The label of the tasks `pose` and `expression` has to be found in people that training never
saw (every fourth person); of `person`, in a quarter of each person's pictures with open eyes and
a quarter of those with sunglasses, drawn with a fixed seed.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.reproduction.datasets import (
    Indices,
    LabelledImages,
    Pixels,
    TrainAndTest,
    existing,
    open_picture,
)
from chunking.input_error import InputError

FIELDS = ("person", "pose", "expression", "eyes")
EYES = ("open", "sunglasses")
SMALLER = ("_2", "_4")
HOLD_OUT_EVERY = 4

Names = Mapping[str, NDArray[np.str_]]


def load_faces(path: Path, task: str = "pose", side_px: int = 32) -> TrainAndTest:
    """Grey faces [N, side_px, side_px, 1] labelled by `task` (pose, expression or person).

    `path` is the folder of people or an npz. Raises InputError for a missing or damaged file, a
    picture whose name is not of the form, and a task of another name.
    """
    if task not in FIELDS[:3]:
        raise InputError(f"task {task}: not one of the faces' {', '.join(FIELDS[:3])}; take one")
    existing(path, "the CMU faces", "give their folder with --sets")
    images, names = _from_folder(path) if path.is_dir() else _from_npz(path)
    data = _labelled(images, names, task, side_px)
    held_out = _some_pictures(names) if task == "person" else _some_people(names)
    return TrainAndTest(data.take(np.flatnonzero(~held_out)), data.take(np.flatnonzero(held_out)))


def _labelled(images: list[Pixels], names: Names, task: str, side_px: int) -> LabelledImages:
    classes, labels = np.unique(names[task], return_inverse=True)
    fitted = [Image.fromarray(i).resize((side_px, side_px), Image.Resampling.BOX) for i in images]
    return LabelledImages(
        np.stack([np.asarray(picture) for picture in fitted])[..., None],
        labels.astype(np.int64),
        tuple(str(name) for name in classes),
        (names["eyes"] == EYES[1]).astype(np.int64),
        EYES,
    )


def _some_people(names: Names) -> NDArray[np.bool_]:
    """All pictures of every fourth person."""
    numbers: Indices = np.unique(names["person"], return_inverse=True)[1]
    return numbers % HOLD_OUT_EVERY == HOLD_OUT_EVERY - 1


def _some_pictures(names: Names) -> NDArray[np.bool_]:
    """A quarter of every person's pictures of each group.

    Drawn, because the files' order is regular: every fourth shows the same expression.
    """
    rng = np.random.default_rng(0)
    held_out = np.zeros(len(names["person"]), bool)
    for person in np.unique(names["person"]):
        for eyes in EYES:
            found = np.flatnonzero((names["person"] == person) & (names["eyes"] == eyes))
            held_out[rng.permutation(found)[: len(found) // HOLD_OUT_EVERY]] = True
    return held_out


def _from_folder(folder: Path) -> tuple[list[Pixels], Names]:
    paths = [p for p in sorted(folder.glob("*/*.pgm")) if not p.stem.endswith(SMALLER)]
    if not paths:
        raise InputError(f"{folder}: no <person>/*.pgm in it; unpack the CMU faces again")
    cells = [path.stem.split("_") for path in paths]
    for path, parts in zip(paths, cells, strict=True):
        if len(parts) != len(FIELDS) or parts[3] not in EYES:
            raise InputError(f"{path}: not named person_pose_expression_eyes; rename or remove it")
    table = np.array(cells)
    columns = {field: table[:, i] for i, field in enumerate(FIELDS)}
    return [np.asarray(open_picture(path).convert("L")) for path in paths], columns


def _from_npz(path: Path) -> tuple[list[Pixels], Names]:
    try:
        with np.load(path, allow_pickle=False) as file:
            images = file["images"]
            columns = {"person": file["user"], **{field: file[field] for field in FIELDS[1:]}}
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: no npz of images, user, pose, expression, eyes ({error}); fetch it again"
        ) from error
    lengths = {len(column) for column in columns.values()} | {len(images)}
    if images.dtype != np.uint8 or images.ndim != 3 or len(lengths) != 1:
        raise InputError(f"{path}: not u8 images [N, H, W] with N names each; fetch it again")
    return list(images), columns
