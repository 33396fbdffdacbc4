"""Content groups that a user names: a folder of masks, or a list of boxes for each frame.

Masks: one grey PNG for each frame of the film, in the order of their names, of any size with the
film's aspect. A pixel's value is its group, 0 the rest; where 255 is the only other value, it is 1.
A file `names.txt` among them may name the groups 1, 2, ..., one a line.

Boxes: a JSON file, in pixels of `size` (width, height); frames without boxes have empty lists:

    {"groups": ["face"], "size": [1280, 720],
     "frames": [[{"group": "face", "x": 500, "y": 80, "width": 210, "height": 260}], [], ...]}

A patch belongs to the group that covers most of it, if that is `LEAST_COVER` at least, else to the
rest.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from chunking.grid import Grid, sum_cells
from chunking.input_error import InputError

LEAST_COVER = 0.25
MOST_KEPT = 1024  # masks: 130 MB of LR frames of 480x270
MOST_GROUPS = 16
REST = "rest"
NAMES_FILE = "names.txt"
ASPECT_TOLERANCE = 0.05
SAME_PLACE = 0.5  # of the smaller of two boxes: what lies in both is one thing with two labels

Mask = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class ContentGroups:
    """`labels` [T, gh, gw]: the group of each fine patch; `names` of the groups."""

    labels: Labels
    names: tuple[str, ...]


def groups_from_masks(
    folder: Path,
    lr_size: tuple[int, int],
    cell_px: tuple[int, int],
    frames: Sequence[int],
    kept: dict[int, Mask] | None = None,
) -> ContentGroups:
    """Groups of the film's `frames` (by number), for LR frames of `lr_size` (height, width).

    `kept` holds masks by frame from one call to the next, so that no file is decoded twice.
    Raises InputError for a missing folder, too few masks, and a mask that cannot be decoded, is of
    another shape than the film, or has a value without a name.
    """
    paths = sorted(folder.glob("*.png"))
    if len(paths) <= max(frames):
        raise InputError(
            f"{folder}: {len(paths)} masks (*.png) for {max(frames) + 1} frames; give one for each"
        )
    kept = {} if kept is None else kept
    masks = []
    for frame in frames:
        mask = kept[frame] if frame in kept else _read_mask(paths[frame], lr_size)
        # The frames to learn from are asked for first, and again; the rest only by the route map.
        if len(kept) < MOST_KEPT:
            kept[frame] = mask
        masks.append(mask)
    names = _mask_names(folder, max(1, *(int(mask.max()) for mask in masks)))
    return ContentGroups(_patch_labels(masks, len(names), Grid(*lr_size, *cell_px)), names)


def groups_from_boxes(
    file: Path, lr_size: tuple[int, int], cell_px: tuple[int, int], frames: Sequence[int]
) -> ContentGroups:
    """Groups of the film's `frames` (by number), for LR frames of `lr_size` (height, width).

    Raises InputError for a missing file and for one that is not of the form above.
    """
    description = _read_boxes(file, max(frames) + 1)
    names = (REST, *description["groups"])
    width, height = description["size"]
    per_px = (lr_size[0] / height, lr_size[1] / width)
    masks = []
    for frame in frames:
        masks.append(
            _boxes_mask(
                description["frames"][frame], names, per_px, lr_size, f"{file}: frame {frame}"
            )
        )
    return ContentGroups(_patch_labels(masks, len(names), Grid(*lr_size, *cell_px)), names)


def _boxes_mask(
    boxes: Sequence[Any],
    names: Sequence[str],
    per_px: tuple[float, float],
    lr_size: tuple[int, int],
    where: str,
) -> Mask:
    """[h, w] u8: the group of each LR pixel; of two boxes the later lies above."""
    mask = np.zeros(lr_size, np.uint8)
    for number, box in enumerate(boxes):
        slices, name = _box_slices(box, per_px, where), box.get("group")
        if name not in names[1:]:
            raise InputError(
                f"{where}: group {name} is none of {', '.join(names[1:])}; add it to groups"
            )
        for earlier in boxes[:number]:
            if earlier["group"] != box["group"] and _overlap(earlier, box) > SAME_PLACE:
                also = earlier["group"]
                raise InputError(f"{where}: {box} is labelled {also} as well; give it one group")
        mask[slices] = names.index(name)
    return mask


def _overlap(first: Any, second: Any) -> float:
    """The area that lies in both boxes, over the smaller one's."""
    area = 1.0
    for at, extent in (("x", "width"), ("y", "height")):
        ends = [float(box[at]) + float(box[extent]) for box in (first, second)]
        area *= max(0.0, min(ends) - max(float(first[at]), float(second[at])))
    smaller = min(float(b["width"]) * float(b["height"]) for b in (first, second))
    return area / smaller if smaller > 0 else 0.0


def _mask_names(folder: Path, groups: int) -> tuple[str, ...]:
    """The rest's name and those of groups 1, 2, ...: the folder's own, or numbers."""
    try:
        own = (folder / NAMES_FILE).read_text(encoding="utf-8").split("\n")
    except OSError:
        return (REST, *(f"group {i}" for i in range(1, groups + 1)))
    names = [name.strip() for name in own if name.strip()]
    if len(names) < groups:
        raise InputError(
            f"{folder / NAMES_FILE}: {len(names)} names, but masks have the value {groups}; "
            "write one name a line"
        )
    return (REST, *names)


def _patch_labels(masks: Sequence[Mask], count: int, grid: Grid) -> Labels:
    """The group of most cover of each patch, from masks of the LR frame's size."""
    labels = []
    for mask in masks:
        covers = [sum_cells(mask == group, grid) / grid.pixels() for group in range(1, count)]
        most = np.argmax(covers, axis=0)
        labels.append(np.where(np.max(covers, axis=0) >= LEAST_COVER, most + 1, 0))
    return np.stack(labels).astype(np.int64)


def _read_mask(path: Path, lr_size: tuple[int, int]) -> Mask:
    """[h, w] u8: the group of each LR pixel."""
    try:
        with Image.open(path) as picture:
            mask = np.asarray(picture.convert("L"))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise InputError(f"{path}: no PNG that can be decoded ({error}); write it again") from error
    height, width = mask.shape
    if abs(width * lr_size[0] / (height * lr_size[1]) - 1) > ASPECT_TOLERANCE:
        raise InputError(
            f"{path}: {width}x{height} px is not the film's shape "
            f"({lr_size[1]}x{lr_size[0]} in LR); make masks of the film's own frames"
        )
    values = np.unique(mask)
    if set(values.tolist()) <= {0, 255}:
        mask = (mask > 0).astype(np.uint8)
    elif values[-1] >= MOST_GROUPS:
        raise InputError(
            f"{path}: the value {values[-1]} is no group; write 0 and 255, or labels below "
            f"{MOST_GROUPS}"
        )
    small: Mask = cv2.resize(mask, lr_size[::-1], interpolation=cv2.INTER_NEAREST).astype(np.uint8)
    return small


def _read_boxes(file: Path, least_frames: int) -> dict[str, Any]:
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{file}: cannot be read ({error.strerror}); give a file of boxes"
        ) from error
    except ValueError as error:
        raise InputError(f"{file}: not JSON ({error}); write it again") from error
    problem = _form_problem(description, least_frames)
    if problem:
        raise InputError(f"{file}: {problem}")
    return dict(description)


def _form_problem(description: Any, least_frames: int) -> str | None:
    """What is wrong with the outer form, and what to do."""
    if not isinstance(description, dict):
        return 'not {"groups", "size", "frames"}; see sr/shrink/content_groups.py for the form'
    groups, size, frames = (description.get(k) for k in ("groups", "size", "frames"))
    if not isinstance(groups, list) or not 1 <= len(groups) < MOST_GROUPS:
        return "groups is no list of names; name the groups of the boxes"
    if not isinstance(size, list) or len(size) != 2 or not all(_positive(v) for v in size):
        return "size is not [width, height]; give the film's, which boxes are measured in"
    if not isinstance(frames, list) or len(frames) < least_frames:
        got = len(frames) if isinstance(frames, list) else 0
        return f"boxes for {got} frames of {least_frames}; give a list, may be empty, for each"
    return None


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _box_slices(box: Any, per_px: tuple[float, float], where: str) -> tuple[slice, slice]:
    """Rows and columns of the LR frame."""
    try:
        x, y, width, height = (float(box[key]) for key in ("x", "y", "width", "height"))
    except (TypeError, KeyError, ValueError) as error:
        raise InputError(f"{where}: a box needs x, y, width, height; got {box}") from error
    down, across = per_px
    rows = slice(max(0, round(y * down)), max(0, round((y + height) * down)))
    return rows, slice(max(0, round(x * across)), max(0, round((x + width) * across)))
