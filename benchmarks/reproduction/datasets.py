"""Labelled images, and what all loaders of them share.

Published forms: CIFAR-10 (datasets_cifar.py), ImageNet folders, CelebA and the CMU faces
(datasets_pictures.py). All give u8 images [N, H, W, C]; those that do not fit in memory are
decoded when they are asked for. A group is what fairness is measured over.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from chunking.input_error import InputError

Pixels = NDArray[np.uint8]
Indices = NDArray[np.int64]


class ImageSource(Protocol):
    """u8 images [N, H, W, C]: an array, or files decoded when they are indexed."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: Indices, /) -> Pixels: ...


@dataclass(frozen=True)
class LabelledImages:
    """`images` [N, H, W, C] u8, `labels` [N] into `classes`, `groups` [N] into `group_names`."""

    images: ImageSource
    labels: Indices
    classes: tuple[str, ...]
    groups: Indices
    group_names: tuple[str, ...] = ("all",)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Indices) -> "LabelledImages":
        """Only these images, in this order; decodes them."""
        return replace(
            self,
            images=self.images[indices],
            labels=self.labels[indices],
            groups=self.groups[indices],
        )


@dataclass(frozen=True)
class TrainAndTest:
    """The two halves of a data set, with the same classes and groups."""

    train: LabelledImages
    test: LabelledImages


@dataclass(frozen=True)
class PictureFiles:
    """Picture files as an image source: decoded when indexed, [N, side, side, 3].

    `fit` turns a decoded picture into one of side x side pixels, always the same way.
    """

    paths: tuple[Path, ...]
    fit: Callable[[Image.Image], Image.Image]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, indices: Indices, /) -> Pixels:
        return np.stack([self._decode(self.paths[int(i)]) for i in indices])

    def _decode(self, path: Path) -> Pixels:
        return np.asarray(self.fit(open_picture(path).convert("RGB")))


@dataclass(frozen=True)
class CentreCrop:
    """Resize so that the centre's `share` of the shorter side becomes `side_px`; crop to it.

    0.875 is the 224 out of 256 that ImageNet is judged with.
    """

    side_px: int
    share: float = 0.875

    def __call__(self, picture: Image.Image) -> Image.Image:
        crop = min(picture.size) * self.share
        left, top = ((extent - crop) / 2 for extent in picture.size)
        size, box = (self.side_px, self.side_px), (left, top, left + crop, top + crop)
        return picture.resize(size, Image.Resampling.BILINEAR, box, reducing_gap=2.0)


def open_picture(path: Path) -> Image.Image:
    """The decoded picture. Raises InputError for a file that is damaged or no picture."""
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise InputError(f"{path}: cannot be decoded ({error}); fetch it again") from error


def ungrouped(
    images: ImageSource, labels: Sequence[int] | Indices, classes: Sequence[str]
) -> LabelledImages:
    """Labelled images that are one group."""
    labels = np.asarray(labels, np.int64)
    return LabelledImages(images, labels, tuple(classes), np.zeros_like(labels))


def existing(path: Path, what: str, remedy: str) -> Path:
    """`path`, if it is there; else InputError: what is missing, where, and `remedy`."""
    if not path.exists():
        raise InputError(f"{path}: {what} is missing; {remedy}")
    return path


def check_labels(labels: Indices, classes: int, path: Path) -> None:
    """Raises InputError for a label that is not one of the classes."""
    bad = labels[(labels < 0) | (labels >= classes)]
    if bad.size:
        raise InputError(
            f"{path}: label {int(bad[0])} is not one of the {classes} classes; fetch it again"
        )
