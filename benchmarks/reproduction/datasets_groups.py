"""Groups for fairness where a data set has none, or none that is rare."""

from dataclasses import replace

import cv2
import numpy as np

from benchmarks.reproduction.datasets import Indices, LabelledImages, Pixels

BLUR_PX = 1.2  # standard deviation
CONTRAST = 0.5
TINT = (24, 0, -24)  # levels of red, green and blue: warm; the other way round: cold


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


def tinted(data: LabelledImages, misled: float, seed: int) -> LabelledImages:
    """Two classes whose colour tells them apart, but for a share `misled` of each: class 0 cold and
    class 1 warm, and the other way round in the group `misled`."""
    groups = np.zeros(len(data), np.int64)
    for label in range(2):
        groups[_some(np.flatnonzero(data.labels == label), misled, seed + label)] = 1
    warm = np.where(data.labels == groups, -1, 1)[:, None, None, None]
    images = data.images[np.arange(len(data))].astype(np.int64) + warm * np.array(TINT)
    pixels = images.clip(0, 255).astype(np.uint8)
    return replace(data, images=pixels, groups=groups, group_names=("as told", "misled"))


def thin_out(data: LabelledImages, group: int, share: float, seed: int) -> LabelledImages:
    """All images of the other groups and a `share` of `group`'s: the group becomes a minority."""
    members = np.flatnonzero(data.groups == group)
    others = np.flatnonzero(data.groups != group)
    return data.take(np.sort(np.concatenate([others, _some(members, share, seed)])))


def _some(indices: Indices, share: float, seed: int) -> Indices:
    drawn = np.random.default_rng(seed).permutation(indices)
    return drawn[: round(share * len(indices))]
