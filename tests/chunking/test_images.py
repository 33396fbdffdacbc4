"""Films of numbered images: the same frames, in order, and one line for what is wrong with them."""

import struct
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from chunking.audio import copy_audio
from chunking.images import ImageSequence, film_sha256, find_images
from chunking.input_error import InputError
from chunking.probe import probe
from chunking.video import read_frames

PICTURES = [np.full((48, 64, 3), 20 * i + 10, np.uint8) for i in range(5)]


def written(folder: Path, *names: str) -> Path:
    """The folder with the pictures as images, RGB."""
    folder.mkdir(exist_ok=True)
    for name, picture in zip(names, PICTURES, strict=False):
        assert cv2.imwrite(str(folder / name), picture[..., ::-1])
    return folder


def sequence(path: Path, rate: Fraction = Fraction(24)) -> ImageSequence:
    return ImageSequence(path, rate, find_images(path))


@pytest.mark.parametrize("ending", ["png", "jpg", "jpeg", "tif", "tiff", "PNG"])
@pytest.mark.parametrize("named", ["folder", "pattern"])
def test_images_are_a_film(tmp_path, ending, named):
    folder = written(tmp_path / "f", *(f"a-{i:03d}.{ending}" for i in range(8, 12)))
    (folder / "notes.txt").write_text("no image")
    (folder / f".a-1.{ending}").write_text("nor this")
    film = sequence(folder if named == "folder" else folder / f"a-%03d.{ending}")
    info = probe(film)
    assert (info.width, info.height, info.frame_rate, info.frames_hint) == (64, 48, 24, 4)
    assert info.duration_s == pytest.approx(4 / 24) and not info.warnings
    frames = list(read_frames(film))
    assert [(f.index, f.pts * info.time_base) for f in frames] == [
        (i, Fraction(i, 24)) for i in range(4)
    ]
    for frame, picture in zip(frames, PICTURES, strict=False):
        assert np.abs(frame.rgb.astype(int) - picture).max() <= (3 if "j" in ending else 0)
    assert len(list(read_frames(film, 2))) == 2
    assert copy_audio(film, tmp_path / "out") is None


def test_numbers_are_counted_as_numbers(tmp_path):
    folder = written(tmp_path / "f", "9.png", "10.png", "11.png")
    for path in (folder, folder / "%d.png"):
        assert [p.name for p in find_images(path)] == ["9.png", "10.png", "11.png"]
    assert find_images(written(tmp_path / "g", "a1b2.png") / "a1b%d.png")


def test_times_are_those_of_the_rate(tmp_path):
    film = sequence(written(tmp_path / "f", "1.png", "2.png"), Fraction(24000, 1001))
    info = probe(film)
    assert [f.pts * info.time_base for f in read_frames(film)] == [0, Fraction(1001, 24000)]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["1.png", "2.png", "4.png"], r"number 3 is missing, 2\.png is followed by 4\.png"),
        (["1.png", "2.jpg"], r"not numbered alike \(1\.png, 2\.jpg\)"),
        (["a1.png", "b2.png"], "not numbered alike"),
        (["a.png"], "not numbered alike"),
        (["1.png", "01.png"], "not numbered alike"),
    ],
)
def test_a_folder_that_is_no_sequence_is_said(tmp_path, names, message):
    with pytest.raises(InputError, match=message):
        find_images(written(tmp_path / "f", *names))


def test_what_is_not_images_is_none(tmp_path):
    folder = written(tmp_path / "f", "1.png", "2.png")
    (tmp_path / "100%d.mp4").write_bytes(b"a film of that name")
    for path in (tmp_path, tmp_path / "100%d.mp4", folder / "1.png", tmp_path / "gone" / "%d.png"):
        assert find_images(path) == ()
    for pattern in ("%d.jpg", "%05d.png", "x%d.png"):
        with pytest.raises(InputError, match="has such a name: check the pattern"):
            find_images(folder / pattern)


def test_images_of_another_size_or_kind_are_said_by_name(tmp_path):
    folder = written(tmp_path / "f", "1.png", "2.png", "3.png")
    film = sequence(folder)
    cv2.imwrite(str(folder / "2.png"), PICTURES[0][:40])
    with pytest.raises(InputError, match=r"2\.png has 64x40 px, .*1\.png 64x48"):
        list(read_frames(film))
    (folder / "2.png").write_bytes(b"GIF89a")
    with pytest.raises(InputError, match=r"2\.png is no PNG, JPEG or TIFF"):
        list(read_frames(film))
    (folder / "2.png").unlink()
    (folder / "2.png").mkdir()
    with pytest.raises(InputError, match=r"2\.png is no plain file"):
        list(read_frames(film))


@pytest.mark.parametrize("ending", ["png", "jpg", "tif"])
@pytest.mark.parametrize("left", [0.1, 0.5, 0.9])
def test_an_image_that_is_cut_off_is_said(tmp_path, ending, left):
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3)).astype(np.uint8)
    path = tmp_path / f"1.{ending}"
    cv2.imwrite(str(path), noise)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * left)])
    with pytest.raises(InputError, match=r"1\.\w+ is damaged or cut off"):
        list(read_frames(sequence(tmp_path)))


def test_a_flipped_bit_of_png_is_found(tmp_path):
    path = written(tmp_path, "1.png") / "1.png"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    path.write_bytes(damaged)
    with pytest.raises(InputError, match="damaged"):
        list(read_frames(sequence(tmp_path)))


@pytest.mark.parametrize("kind", ["grey", "16 bit", "opaque", "alpha"])
def test_other_kinds_of_png(tmp_path, kind):
    picture = {
        "grey": PICTURES[3][..., 0],
        "16 bit": PICTURES[3].astype(np.uint16) * 257,
        "opaque": np.dstack([PICTURES[3], np.full((48, 64), 255, np.uint8)]),
        "alpha": np.dstack([PICTURES[3], np.full((48, 64), 254, np.uint8)]),
    }[kind]
    cv2.imwrite(str(tmp_path / "1.png"), picture)
    film = sequence(tmp_path)
    (frame,) = read_frames(film)
    assert np.abs(frame.rgb.astype(int) - PICTURES[3]).max() <= 1
    said = {"16 bit": "served in 8 bit", "alpha": "alpha channel is dropped"}.get(kind)
    warnings = probe(film).warnings
    assert len(warnings) == (said is not None) and all(said in warning for warning in warnings)


def with_orientation(jpeg: bytes, number: int) -> bytes:
    """A photograph as cameras write it: EXIF says how it is to be turned."""
    entry = struct.pack("<HHIHH", 0x112, 3, 1, number, 0)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + bytes(4)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


@pytest.mark.parametrize("number", range(1, 9))
def test_photographs_stand_upright(tmp_path, number):
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:16, :24] = 255
    path = tmp_path / "1.jpg"
    cv2.imwrite(str(path), picture)
    path.write_bytes(with_orientation(path.read_bytes(), number))
    wanted = cv2.imread(str(path))  # which turns it
    (frame,) = read_frames(sequence(tmp_path))
    assert frame.rgb.shape == wanted.shape
    assert np.abs(frame.rgb.astype(int) - wanted).max() <= 8


def test_the_film_is_all_of_its_images_and_their_rate(tmp_path):
    folder = written(tmp_path / "f", "1.png", "2.png", "3.png")
    sums = {film_sha256(sequence(folder)), film_sha256(sequence(folder, Fraction(25)))}
    moved = folder.rename(tmp_path / "g")
    assert film_sha256(sequence(moved)) in sums  # whatever it is called
    cv2.imwrite(str(moved / "3.png"), PICTURES[4])
    sums.add(film_sha256(sequence(moved)))
    (moved / "3.png").unlink()
    sums.add(film_sha256(sequence(moved)))
    assert len(sums) == 4
