"""CIFAR-10 (Krizhevsky 2009): python and binary batches as published, and a subset in an npz.

The subset (10,000 and 2,000 images) comes from re-encoded JPEGs, so its pixels are not exactly
the published ones: a report of results on it has to say so.
"""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reproduction.datasets import (
    LabelledImages,
    Pixels,
    TrainAndTest,
    check_labels,
    existing,
    ungrouped,
)
from chunking.input_error import InputError

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
PLANES, SIDE_PX = 3, 32
PIXELS = PLANES * SIDE_PX * SIDE_PX
TRAIN_BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
AS_PUBLISHED = "unpack the published archive of CIFAR-10 again"

_Batch = tuple[Pixels, Any]


def load_cifar10(folder: Path) -> TrainAndTest:
    """Both halves out of `folder`: cifar-10-batches-py, cifar-10-batches-bin, or a folder with one.

    Raises InputError for a folder of neither form, a missing batch and a damaged one.
    """
    for place in (folder, folder / "cifar-10-batches-py", folder / "cifar-10-batches-bin"):
        for suffix, read in (("", _python_batch), (".bin", _binary_batch)):
            if (place / f"test_batch{suffix}").exists():
                return TrainAndTest(
                    _half([place / f"{name}{suffix}" for name in TRAIN_BATCHES], read),
                    _half([place / f"test_batch{suffix}"], read),
                )
    raise InputError(f"{folder}: no test_batch or test_batch.bin in it; {AS_PUBLISHED}")


def load_cifar10_npz(path: Path) -> TrainAndTest:
    """A subset: x_train, x_test u8 [N, 32, 32, 3], y_train, y_test, classes. Raises InputError."""
    existing(path, "the CIFAR-10 subset", "give its folder with --sets")
    try:
        with np.load(path, allow_pickle=False) as file:
            classes = tuple(str(name) for name in file["classes"])
            halves = [(file[f"x_{half}"], file[f"y_{half}"]) for half in ("train", "test")]
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: no npz of x_train, y_train, x_test, y_test, classes ({error}); fetch it again"
        ) from error
    train, test = (_checked(images, labels, classes, path) for images, labels in halves)
    return TrainAndTest(train, test)


def _half(paths: list[Path], read: Callable[[Path], _Batch]) -> LabelledImages:
    batches = [read(existing(path, "a batch of CIFAR-10", AS_PUBLISHED)) for path in paths]
    parts = [
        _checked(_interleaved(planes), labels, CLASSES, path)
        for (planes, labels), path in zip(batches, paths, strict=True)
    ]
    images = np.concatenate([np.asarray(part.images) for part in parts])
    return ungrouped(images, np.concatenate([part.labels for part in parts]), CLASSES)


def _interleaved(planes: Pixels) -> Pixels:
    """[N, 3072], a red, a green and a blue plane after one another -> [N, 32, 32, 3]."""
    return planes.reshape(-1, PLANES, SIDE_PX, SIDE_PX).transpose(0, 2, 3, 1)


def _checked(images: Pixels, labels: Any, classes: tuple[str, ...], path: Path) -> LabelledImages:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != PLANES:
        raise InputError(
            f"{path}: images are {images.dtype} {list(images.shape)}, not u8 [N, H, W, 3]; "
            "fetch it again"
        )
    if len(images) != len(labels):
        raise InputError(f"{path}: {len(images)} images, {len(labels)} labels; fetch it again")
    data = ungrouped(images, labels, classes)
    check_labels(data.labels, len(classes), path)
    return data


def _binary_batch(path: Path) -> _Batch:
    """Records of one byte of label and 3072 of pixels."""
    data = np.fromfile(path, np.uint8)
    if data.size == 0 or data.size % (1 + PIXELS):
        raise InputError(f"{path}: {data.size} bytes are no whole images; {AS_PUBLISHED}")
    records = data.reshape(-1, 1 + PIXELS)
    return records[:, 1:], records[:, 0]


def _python_batch(path: Path) -> _Batch:
    """A pickled dictionary of `data` [N, 3072] u8 and a list of `labels`."""
    try:
        batch = _ArraysOnly(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        data, labels = batch[b"data"], batch[b"labels"]
    except Exception as error:  # a damaged pickle raises nearly anything
        raise InputError(f"{path}: no batch of CIFAR-10 ({error}); {AS_PUBLISHED}") from error
    integers = isinstance(labels, list) and all(type(label) is int for label in labels)
    whole = isinstance(data, np.ndarray) and data.dtype == np.uint8 and data.shape[1:] == (PIXELS,)
    if not (integers and whole):
        raise InputError(f"{path}: data is not u8 [N, {PIXELS}] with labels; {AS_PUBLISHED}")
    return data, labels


class _ArraysOnly(pickle.Unpickler):
    """Makes numpy arrays and plain Python values; a pickle that names anything else is refused.

    The published batches were written by Python 2 under numpy's old module names.
    """

    def find_class(self, module: str, name: str) -> Any:
        rebuild = np.empty(0).__reduce__()[0]
        allowed = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("numpy.core.multiarray", "_reconstruct"): rebuild,
            ("numpy._core.multiarray", "_reconstruct"): rebuild,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not an array")
        return allowed[module, name]
