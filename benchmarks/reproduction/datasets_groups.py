"""Groups for fairness where a data set has none, or none that is rare."""

from dataclasses import replace

import cv2
import numpy as np

from benchmarks.reproduction.datasets import Indices, LabelledImages, Pixels

BLUR_PX = 1.2  # standard deviation
CONTRAST = 0.5


def degraded_minority(data: LabelledImages, share: float, seed: int) -> LabelledImages:
    """A `share` of every class becomes the group `degraded`: blurred, at half the contrast."""
    groups = np.zeros(len(data), np.int64)
    for label in range(len(data.classes)):
        groups[_some(np.flatnonzero(data.labels == label), share, seed + label)] = 1
    images = data.images[np.arange(len(data))].copy()
    images[groups == 1] = degrade(images[groups == 1])
    return replace(data, images=images, groups=groups, group_names=("clear", "degraded"))


def degrade(images: Pixels) -> Pixels:
    """Blurred, at half the contrast around mid-grey; [N, H, W, C] u8 -> the same."""
    blurred = [cv2.GaussianBlur(image, (0, 0), BLUR_PX).reshape(image.shape) for image in images]
    grey = np.array(blurred, np.float32).reshape(images.shape) - 128
    return np.rint(128 + CONTRAST * grey).astype(np.uint8)


def thin_out(data: LabelledImages, group: int, share: float, seed: int) -> LabelledImages:
    """All images of the other groups and a `share` of `group`'s: the group becomes a minority."""
    members = np.flatnonzero(data.groups == group)
    others = np.flatnonzero(data.groups != group)
    return data.take(np.sort(np.concatenate([others, _some(members, share, seed)])))


def _some(indices: Indices, share: float, seed: int) -> Indices:
    drawn = np.random.default_rng(seed).permutation(indices)
    return drawn[: round(share * len(indices))]
