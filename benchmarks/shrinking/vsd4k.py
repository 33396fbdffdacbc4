"""Clips in the layout of VSD4K (CaFM, ICCV 2021): numbered pictures, HR and bicubic LR.

    game_15s_1/DIV2K_train_HR/00001.png
    game_15s_1/DIV2K_train_LR_bicubic/X4/00001_x4.png

Behind the n frames of a clip lie n / 10 more for tests, out of the same film: they are left out.
"""

from pathlib import Path

import cv2

from benchmarks.reproduction.datasets import existing
from chunking.input_error import InputError
from sr.training.data import FramePair, Image

HR_FOLDER, LR_FOLDER = "DIV2K_train_HR", "DIV2K_train_LR_bicubic"
_WITH_TESTS = 11  # of ten frames one more


def is_vsd4k(path: Path) -> bool:
    """Whether it is a folder, and no film."""
    return path.is_dir()


def frame_files(clip: Path, scale: int) -> list[tuple[Path, Path]]:
    """LR and HR of each frame, in order. Raises InputError where one is missing."""
    hr_folder = existing(
        clip / HR_FOLDER,
        "a clip in VSD4K's layout",
        f"give a film, or a folder that holds {HR_FOLDER} and {LR_FOLDER}/X{scale}",
    )
    pictures = sorted(hr_folder.glob("*.png"))
    lr_folder = existing(
        clip / LR_FOLDER / f"X{scale}",
        f"the clip's bicubic LR of scale {scale}",
        f"it holds 00001_x{scale}.png and so on, one for each picture of {HR_FOLDER}",
    )
    if not pictures:
        raise InputError(f"{hr_folder}: no picture; it holds 00001.png and so on")
    if len(pictures) % _WITH_TESTS == 0:
        pictures = pictures[: len(pictures) // _WITH_TESTS * (_WITH_TESTS - 1)]
    wanted = [(lr_folder / f"{hr.stem}_x{scale}.png", hr) for hr in pictures]
    for lr, _ in wanted:
        existing(lr, "a frame's LR", "fetch the clip again")
    return wanted


def read_pair(files: tuple[Path, Path], scale: int) -> FramePair:
    """A frame. Raises InputError where its two sides do not fit."""
    lr, hr = (_read(file) for file in files)
    height, width = (side * scale for side in lr.shape[:2])
    if hr.shape[:2] != (height, width):
        raise InputError(
            f"{files[0]}: its picture is not a {scale}th of {files[1].name}, "
            f"{hr.shape[1]}x{hr.shape[0]} px"
        )
    return FramePair(lr, hr)


def _read(file: Path) -> Image:
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if picture is None:
        raise InputError(f"{file}: cannot be decoded; fetch it again")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype("uint8", copy=False)
