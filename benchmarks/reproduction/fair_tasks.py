"""The tasks of the fair pruning experiment: two groups, one of them rare in training.

cifar     animals against vehicles; the rare images are blurred and of little contrast
faces     where a face looks, in people never seen; the rare ones wear sunglasses
spurious  animals against vehicles, these tinted cold and those warm; the rare ones the other way
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.reproduction.classify import Augmentation
from benchmarks.reproduction.datasets import LabelledImages, TrainAndTest
from benchmarks.reproduction.datasets_groups import degrade, degraded_minority, thin_out, tinted

ANIMALS = ("bird", "cat", "deer", "dog", "frog", "horse")
MINORITY, TEST_MINORITY, SUNGLASSES = 0.15, 0.5, 0.25
MISLED = 0.05
DEGRADED_TIMES = 3  # blur of 2.1 px in all, an eighth of the contrast


@dataclass(frozen=True)
class Ground:
    """A task's data: weights learn on `lower`, scores on `upper`, arms are judged on `test`."""

    name: str
    lower: LabelledImages
    upper: LabelledImages
    test: LabelledImages
    augmentation: Augmentation


def cifar_ground(data: TrainAndTest, held_out: float, seed: int) -> Ground:
    """Animals against vehicles; half of the test images are degraded, so that both groups count."""
    train, test = (_animals_or_vehicles(half) for half in (data.train, data.test))
    train = _degraded(train, MINORITY, seed)
    test = _degraded(test, TEST_MINORITY, 0)
    lower, upper = _parts(train, held_out, seed)
    return Ground("cifar", lower, upper, test, Augmentation())


def spurious_ground(data: TrainAndTest, held_out: float, seed: int) -> Ground:
    """Animals against vehicles, whose colour says which, but for MISLED of the training images and
    half of the test's: what a small network falls back on (Sagawa et al., ICLR 2020)."""
    train, test = (_animals_or_vehicles(half) for half in (data.train, data.test))
    train, test = tinted(train, MISLED, seed), tinted(test, TEST_MINORITY, 0)
    lower, upper = _parts(train, held_out, seed)
    return Ground("spurious", lower, upper, test, Augmentation())


def _animals_or_vehicles(data: LabelledImages) -> LabelledImages:
    animal = np.array([name in ANIMALS for name in data.classes])
    return replace(data, labels=animal[data.labels].astype(np.int64), classes=("vehicle", "animal"))


def _degraded(data: LabelledImages, share: float, seed: int) -> LabelledImages:
    """A minority degraded several times over: after once, pruning costs both groups the same."""
    data = degraded_minority(data, share, seed)
    images = data.images[np.arange(len(data))]
    for _ in range(DEGRADED_TIMES - 1):
        images[data.groups == 1] = degrade(images[data.groups == 1])
    return replace(data, images=images)


def faces_ground(data: TrainAndTest, held_out: float, seed: int) -> Ground:
    """A mirrored face looks the other way, so it is not mirrored."""
    train = thin_out(data.train, 1, SUNGLASSES, seed)
    lower, upper = _parts(train, held_out, seed)
    return Ground("faces", lower, upper, data.test, Augmentation(2, 0.0))


def _parts(data: LabelledImages, share: float, seed: int) -> tuple[LabelledImages, LabelledImages]:
    """All but a `share` of each group, and that share."""
    rng, out = np.random.default_rng(seed), np.zeros(len(data), bool)
    for group in range(len(data.group_names)):
        members = rng.permutation(np.flatnonzero(data.groups == group))
        out[members[: round(share * len(members))]] = True
    return data.take(np.flatnonzero(~out)), data.take(np.flatnonzero(out))


def digest(ground: Ground) -> str:
    """Of all images, labels and groups."""
    found = hashlib.sha256()
    for part in (ground.lower, ground.upper, ground.test):
        for values in (part.images[np.arange(len(part))], part.labels, part.groups):
            found.update(values.tobytes())
    return found.hexdigest()[:12]
