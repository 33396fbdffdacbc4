"""Folders of paired frames in the three forms, and what is wrong with others."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.reproduction.flames.pairs import (
    FrameLabel,
    cut_patches,
    find_pairs,
    match,
    read_labels,
    read_pair,
    stretch,
)
from chunking.input_error import InputError


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def rgb(fire: bool, side: int = 16) -> np.ndarray:
    frame = np.full((side, side, 3), (70, 110, 60), np.uint8)
    if fire:
        frame[: side // 4, : side // 4] = (250, 150, 40)
    return frame


def heat(side: int = 16) -> np.ndarray:
    return np.arange(side * side, dtype=np.uint8).reshape(side, side)


@pytest.fixture
def flame2(tmp_path) -> Path:
    for number in (2, 10):
        write(tmp_path / "254p RGB Images" / f"254p RGB Frame ({number}).png", rgb(number == 2))
        write(tmp_path / "254p Thermal Images" / f"254p Thermal Frame ({number}).png", heat())
    labels = "First\tLast\tLabel\n1\t5\tYN\n6\t12\tNY\n"
    (tmp_path / "#10) Frame Pair Labels.txt").write_text(labels)
    return tmp_path


def test_flame2_by_number_with_labels_of_ranges(flame2):
    first, second = find_pairs(flame2)
    assert "(2)" in first.rgb.name and "(2)" in first.thermal.name
    assert (first.label, second.label) == (FrameLabel(True, False), FrameLabel(False, True))


def test_flame3_by_folder_with_degrees(tmp_path):
    degrees = np.linspace(10, 400, 64, dtype=np.float32).reshape(8, 8)
    for name in ("Fire", "No Fire"):
        write(tmp_path / name / "RGB" / "Corrected FOV" / "00001.JPG", rgb(name == "Fire"))
        write(tmp_path / name / "Thermal" / "Celsius TIFF" / "00001.TIFF", degrees)
    fire, none = find_pairs(tmp_path)
    assert fire.label == FrameLabel(True) and none.label == FrameLabel(False)
    colours, warmth = read_pair(fire)
    assert colours.shape == (8, 8, 3), "RGB at the size of thermal"
    np.testing.assert_allclose(warmth, degrees)


def test_plain_folders_without_labels(tmp_path):
    write(tmp_path / "rgb" / "a7.png", rgb(False))
    write(tmp_path / "thermal" / "b7.png", heat())
    (pair,) = find_pairs(tmp_path)
    assert pair.label is None


def test_patches_know_their_flame_from_rgb_and_are_stretched(flame2):
    patches = cut_patches(find_pairs(flame2), 8)
    assert patches.rgb.shape == (8, 8, 8, 3) and patches.thermal.shape == (8, 8, 8)
    assert patches.fire.tolist() == [True] + [False] * 7
    assert patches.thermal.min(axis=(1, 2)).tolist() == [0] * 8
    assert patches.thermal.max(axis=(1, 2)).tolist() == [255] * 8


def test_stretching_has_no_absolute_reference():
    warm = heat(4).astype(np.float32)
    np.testing.assert_array_equal(stretch(warm), stretch(30 + 2 * warm))
    assert stretch(np.full((2, 2), 9, np.float32)).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("3\t4\tNN", "frame 3 is labelled twice"),
        ("9\t8\tYN", "line 2: not first frame, last frame"),
        ("9\t9\tmaybe", "line 2: not first frame, last frame"),
    ],
)
def test_labels_that_contradict_or_have_no_form(tmp_path, line, said):
    file = tmp_path / "labels.txt"
    file.write_text(f"1\t5\tYN\n{line}\n")
    with pytest.raises(InputError, match=said):
        read_labels(file)


def test_the_same_label_twice_is_none_too_many(tmp_path):
    file = tmp_path / "labels.txt"
    file.write_text("1 5 Y N\n5 6 Y N\n")
    assert sorted(read_labels(file)) == [1, 2, 3, 4, 5, 6]


def test_a_frame_without_label(flame2):
    (flame2 / "#10) Frame Pair Labels.txt").write_text("1\t5\tYN\n")
    with pytest.raises(InputError, match="no label of frame 10"):
        find_pairs(flame2)


def test_frames_without_partner_number_or_sense(tmp_path):
    write(tmp_path / "rgb" / "1.png", rgb(False))
    write(tmp_path / "rgb" / "2.png", rgb(False))
    write(tmp_path / "thermal" / "1.png", heat())
    with pytest.raises(InputError, match=r"2\.png: no partner in .*thermal"):
        match(tmp_path / "rgb", tmp_path / "thermal")
    write(tmp_path / "thermal" / "frame-2.png", heat())
    write(tmp_path / "thermal" / "other-2.png", heat())
    with pytest.raises(InputError, match=r"other-2\.png: the same number as frame-2\.png"):
        match(tmp_path / "rgb", tmp_path / "thermal")
    (tmp_path / "thermal" / "other-2.png").rename(tmp_path / "thermal" / "none.png")
    with pytest.raises(InputError, match=r"none\.png: no number"):
        match(tmp_path / "rgb", tmp_path / "thermal")


def test_folders_of_no_known_form(tmp_path):
    with pytest.raises(InputError, match="neither rgb and thermal"):
        find_pairs(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        find_pairs(tmp_path / "missing")
    (tmp_path / "rgb").mkdir()
    (tmp_path / "thermal").mkdir()
    with pytest.raises(InputError, match="no images"):
        find_pairs(tmp_path)


def test_broken_frames_and_frames_smaller_than_a_patch(flame2):
    pairs = find_pairs(flame2)
    with pytest.raises(InputError, match="no patch of 32 px"):
        cut_patches(pairs, 32)
    pairs[0].thermal.write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be decoded"):
        cut_patches(pairs, 8)
