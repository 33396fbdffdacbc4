"""Loaders against tiny folders of the published forms, written here byte for byte."""

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.reproduction.datasets import CentreCrop, ungrouped
from benchmarks.reproduction.datasets_cifar import CLASSES, load_cifar10, load_cifar10_npz
from benchmarks.reproduction.datasets_faces import load_faces
from benchmarks.reproduction.datasets_groups import degrade, degraded_minority, thin_out
from benchmarks.reproduction.datasets_pictures import load_celeba, load_imagenet
from chunking.input_error import InputError

BATCHES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


def images(count: int, seed: int, side: int = 32, planes: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, side, side, planes), np.uint8)


def labels(count: int, seed: int) -> list[int]:
    return np.random.default_rng([seed, 1]).integers(0, 10, count).tolist()


def planes_of(batch: np.ndarray) -> bytes:
    """Red, green and blue planes of each image, written out pixel by pixel."""
    return bytes(
        int(image[y, x, plane])
        for image in batch
        for plane in range(3)
        for y in range(32)
        for x in range(32)
    )


def python2_batch(batch: np.ndarray, targets: list[int]) -> bytes:
    """The bytes that Python 2's cPickle wrote for {'labels': [...], 'data': array}."""

    def text(value: str) -> bytes:
        return b"U" + bytes([len(value)]) + value.encode()

    dtype = b"cnumpy\ndtype\n" + text("u1") + b"K\x00K\x01\x87R"
    dtype += b"(K\x03" + text("|") + b"NNN" + b"J\xff\xff\xff\xff" * 2 + b"K\x00tb"
    data = planes_of(batch)
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text("b") + b"\x87R"
    )
    array += b"(K\x01K" + bytes([len(batch)]) + b"M\x00\x0c\x86" + dtype + b"\x89"
    array += b"T" + struct.pack("<i", len(data)) + data + b"tb"
    numbers = b"](" + b"".join(b"K" + bytes([t]) for t in targets) + b"e"
    return b"\x80\x02}(" + text("labels") + numbers + text("data") + array + b"u."


def write_python_form(folder: Path) -> None:
    folder.mkdir(parents=True)
    for i, name in enumerate(BATCHES):
        (folder / name).write_bytes(python2_batch(images(3, i), labels(3, i)))


def write_binary_form(folder: Path) -> None:
    folder.mkdir(parents=True)
    for i, name in enumerate(BATCHES):
        records = zip(labels(3, i), images(3, i), strict=True)
        data = b"".join(bytes([label]) + planes_of(image[None]) for label, image in records)
        (folder / f"{name}.bin").write_bytes(data)


@pytest.mark.parametrize(
    ("write", "name"),
    [(write_python_form, "cifar-10-batches-py"), (write_binary_form, "cifar-10-batches-bin")],
)
@pytest.mark.parametrize("at", ["parent", "itself"])
def test_both_published_forms_of_cifar_give_all_images_in_their_order(tmp_path, write, name, at):
    write(tmp_path / name)
    data = load_cifar10(tmp_path if at == "parent" else tmp_path / name)
    expected = np.concatenate([images(3, i) for i in range(5)])
    assert np.array_equal(data.train.images, expected)
    assert data.train.labels.tolist() == [n for i in range(5) for n in labels(3, i)]
    assert np.array_equal(data.test.images, images(3, 5))
    assert data.test.labels.tolist() == labels(3, 5)
    assert data.train.classes == CLASSES and len(CLASSES) == 10


class Runs:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("touched"),))


def test_a_pickle_that_names_code_is_refused_and_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_python_form(tmp_path / "sets")
    (tmp_path / "sets" / "data_batch_2").write_bytes(pickle.dumps(Runs()))
    one_line(lambda: load_cifar10(tmp_path / "sets"), "data_batch_2", "is not an array")
    assert not (tmp_path / "touched").exists()


def one_line(load, *words: str) -> None:
    """The error is one line that has all the words."""
    with pytest.raises(InputError) as caught:
        load()
    message = str(caught.value)
    assert "\n" not in message and ";" in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize("keep", [0, 1, 4000, 9000])
def test_a_cut_python_batch_is_named(tmp_path, keep):
    write_python_form(tmp_path / "sets")
    path = tmp_path / "sets" / "data_batch_4"
    path.write_bytes(path.read_bytes()[:keep])
    one_line(lambda: load_cifar10(tmp_path / "sets"), "data_batch_4", "unpack")


def test_damaged_binary_batches_are_named(tmp_path):
    write_binary_form(tmp_path / "sets")
    path = tmp_path / "sets" / "data_batch_1.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    one_line(lambda: load_cifar10(tmp_path / "sets"), "data_batch_1.bin", "no whole images")
    path.write_bytes(b"\x0a" + whole[1:])
    one_line(lambda: load_cifar10(tmp_path / "sets"), "data_batch_1.bin", "label 10")
    path.unlink()
    one_line(lambda: load_cifar10(tmp_path / "sets"), "data_batch_1.bin", "missing")
    one_line(lambda: load_cifar10(tmp_path), "no test_batch")


def test_a_python_batch_of_another_content_is_named(tmp_path):
    write_python_form(tmp_path / "sets")
    path = tmp_path / "sets" / "test_batch"
    path.write_bytes(pickle.dumps({b"data": [1, 2], b"labels": [0, 1]}))
    one_line(lambda: load_cifar10(tmp_path / "sets"), "test_batch", "data is not u8")
    path.write_bytes(python2_batch(images(3, 0), [1, 2]))
    one_line(lambda: load_cifar10(tmp_path / "sets"), "test_batch", "3 images, 2 labels")


def write_npz(path: Path, **changes: object) -> None:
    parts = {
        "x_train": images(4, 0),
        "y_train": np.array([0, 1, 1, 0], np.uint8),
        "x_test": images(2, 1),
        "y_test": np.array([1, 0], np.uint8),
        "classes": np.array(["cat", "dog"]),
    }
    parts.update(changes)
    np.savez(path, **{name: part for name, part in parts.items() if part is not None})


def test_the_npz_subset(tmp_path):
    path = tmp_path / "subset.npz"
    write_npz(path)
    data = load_cifar10_npz(path)
    assert np.array_equal(data.train.images, images(4, 0)) and data.train.classes == ("cat", "dog")
    assert data.test.labels.tolist() == [1, 0] and data.test.labels.dtype == np.int64


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"y_test": None}, "y_test"),
        ({"y_test": np.array([0, 2])}, "label 2"),
        ({"y_train": np.array([0])}, "4 images, 1 labels"),
        ({"x_train": images(4, 0).astype(float)}, "float64"),
        ({"x_train": np.array([None])}, "x_train"),
    ],
)
def test_a_malformed_npz_is_named(tmp_path, changes, word):
    path = tmp_path / "subset.npz"
    write_npz(path, **changes)
    one_line(lambda: load_cifar10_npz(path), "subset.npz", word)


def test_a_file_that_is_no_npz_and_a_missing_one(tmp_path):
    (tmp_path / "subset.npz").write_text("hello")
    one_line(lambda: load_cifar10_npz(tmp_path / "subset.npz"), "subset.npz", "fetch")
    one_line(lambda: load_cifar10_npz(tmp_path / "no.npz"), "no.npz", "--sets")


def picture(path: Path, size: tuple[int, int], colour: tuple[int, int, int], mode="RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).convert(mode).save(path, "JPEG", quality=95)


def write_imagenet(folder: Path) -> None:
    for half, count in (("train", 3), ("val", 1)):
        for wnid, colour in (("n02", (200, 0, 0)), ("n01", (0, 0, 200))):
            for i in range(count):
                picture(folder / half / wnid / f"{wnid}_{i}.JPEG", (60 + 20 * i, 50), colour)
    picture(folder / "train" / "n01" / "n01_0.JPEG", (60, 50), (9, 9, 9), mode="L")


def test_imagenet_folders_are_labelled_by_their_sorted_names_and_decoded_when_asked(tmp_path):
    write_imagenet(tmp_path)
    data = load_imagenet(tmp_path, side_px=16)
    assert data.train.classes == ("n01", "n02")
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1] and data.test.labels.tolist() == [0, 1]
    decoded = data.train.images[np.array([5, 0, 1])]
    assert decoded.shape == (3, 16, 16, 3) and decoded.dtype == np.uint8
    assert decoded.mean((1, 2)).argmax(1).tolist()[::2] == [0, 2]
    assert np.abs(decoded[1].astype(int) - 9).max() <= 2
    assert load_imagenet(tmp_path, classes=["n02"]).test.labels.tolist() == [0]


def test_a_damaged_picture_is_named_only_when_it_is_asked_for(tmp_path):
    write_imagenet(tmp_path)
    bad = tmp_path / "train" / "n02" / "n02_1.JPEG"
    bad.write_bytes(bad.read_bytes()[:300])
    data = load_imagenet(tmp_path, side_px=16)
    data.train.images[np.array([0, 3])]
    one_line(lambda: data.train.images[np.array([4])], "n02_1.JPEG", "cannot be decoded")


def test_imagenet_folders_that_lack_something_are_named(tmp_path):
    one_line(lambda: load_imagenet(tmp_path), "train", "missing")
    write_imagenet(tmp_path)
    for path in (tmp_path / "val" / "n01").iterdir():
        path.unlink()
    one_line(lambda: load_imagenet(tmp_path), "n01", "no JPEG")


def test_the_centre_crop_takes_the_middle_and_keeps_the_aspect():
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (100, 200, 3))
    row = np.asarray(CentreCrop(10, share=1.0)(Image.fromarray(ramp.copy())))[5, :, 0]
    assert np.abs(row - (50 + 10 * np.arange(10) + 4.5)).max() <= 1.5
    narrow = np.asarray(CentreCrop(10, share=0.5)(Image.fromarray(ramp.copy())))[5, :, 0]
    assert np.abs(narrow - (75 + 5 * np.arange(10) + 2)).max() <= 1.5


CELEBA = {"000001.jpg": (1, -1, 1), "000002.jpg": (-1, 1, 1), "000003.jpg": (1, 1, -1)}


def write_celeba(folder: Path, attributes: str | None = None, partition: str | None = None) -> None:
    lines = [f"{n}  {' '.join(f'{v:2d}' for v in values)}" for n, values in CELEBA.items()]
    text = "\n".join(["3", "Bald Blond_Hair Male ", *lines, ""])
    parts = "000001.jpg 0\n000002.jpg 0\n000003.jpg 2\n"
    (folder / "img_align_celeba").mkdir(parents=True, exist_ok=True)
    (folder / "list_attr_celeba.txt").write_text(attributes or text)
    (folder / "list_eval_partition.txt").write_text(partition or parts)
    for i, name in enumerate(CELEBA):
        picture(folder / "img_align_celeba" / name, (178, 218), (80 * i, 80 * i, 80 * i))


def test_celeba_gives_the_two_attributes_and_the_partition(tmp_path):
    write_celeba(tmp_path)
    data = load_celeba(tmp_path, side_px=20)
    assert data.train.labels.tolist() == [0, 1] and data.train.groups.tolist() == [1, 1]
    assert data.test.labels.tolist() == [1] and data.test.groups.tolist() == [0]
    assert data.train.classes == ("no Blond_Hair", "Blond_Hair")
    assert data.train.group_names == ("no Male", "Male")
    decoded = data.test.images[np.array([0])]
    assert decoded.shape == (1, 20, 20, 3) and np.abs(decoded.astype(int) - 160).max() <= 2
    other = load_celeba(tmp_path, label="Bald", group="Blond_Hair")
    assert other.train.labels.tolist() == [1, 0] and other.train.groups.tolist() == [0, 1]


def test_malformed_lists_of_celeba_are_named(tmp_path):
    write_celeba(tmp_path)
    one_line(lambda: load_celeba(tmp_path, label="Hat"), "list_attr_celeba.txt", "Hat", "Bald")
    write_celeba(tmp_path, attributes="1\nBald Blond_Hair Male\n000001.jpg 1 1\n")
    one_line(lambda: load_celeba(tmp_path), "list_attr_celeba.txt, line 3")
    write_celeba(tmp_path, attributes="1\nBald Blond_Hair Male\n000001.jpg 1 0 1\n")
    one_line(lambda: load_celeba(tmp_path), "list_attr_celeba.txt, line 3")
    write_celeba(tmp_path, partition="000001.jpg 0\n000002.jpg\n")
    one_line(lambda: load_celeba(tmp_path), "list_eval_partition.txt, line 2")
    write_celeba(tmp_path, partition="000001.jpg 0\n")
    one_line(lambda: load_celeba(tmp_path), "an empty half")
    (tmp_path / "list_attr_celeba.txt").unlink()
    one_line(lambda: load_celeba(tmp_path), "list_attr_celeba.txt", "missing")


PEOPLE = ("an2i", "at33", "bpm", "ch4f")
POSES, MOODS = ("left", "straight"), ("angry", "happy")


def face(number: int) -> np.ndarray:
    return np.full((120, 128), 10 * number % 256, np.uint8)


def face_names() -> list[tuple[str, str, str, str]]:
    return [
        (person, pose, mood, eyes)
        for person in PEOPLE
        for pose in POSES
        for mood in MOODS
        for eyes in ("open", "sunglasses")
    ]


def write_faces(folder: Path) -> None:
    for number, cells in enumerate(face_names()):
        path = folder / cells[0] / f"{'_'.join(cells)}.pgm"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(face(number)).save(path)
        Image.fromarray(face(number)[::2, ::2]).save(path.with_stem(path.stem + "_2"))


def test_faces_are_read_from_their_names_and_held_out_by_person(tmp_path):
    write_faces(tmp_path / "faces")
    data = load_faces(tmp_path / "faces", "pose")
    assert (len(data.train), len(data.test)) == (24, 8)
    assert data.test.classes == POSES and data.test.group_names == ("open", "sunglasses")
    assert data.test.labels.tolist() == [0] * 4 + [1] * 4
    assert data.test.groups.tolist() == [0, 1] * 4
    pixels = np.asarray(data.test.images)
    assert pixels.shape == (8, 32, 32, 1)
    assert pixels[:, 7, 7, 0].tolist() == [10 * n % 256 for n in range(24, 32)]


def test_the_task_person_is_judged_on_people_that_training_saw(tmp_path):
    write_faces(tmp_path / "faces")
    data = load_faces(tmp_path / "faces", "person")
    assert data.test.classes == PEOPLE
    assert np.bincount(data.train.labels).tolist() == [6] * 4
    of_test = list(zip(data.test.labels.tolist(), data.test.groups.tolist(), strict=True))
    assert sorted(of_test) == [(person, eyes) for person in range(4) for eyes in (0, 1)]
    seen = np.concatenate([np.asarray(half.images) for half in (data.train, data.test)])
    assert sorted(seen[:, 0, 0, 0].tolist()) == sorted(10 * n % 256 for n in range(32))


def test_the_faces_npz_equals_the_folder(tmp_path):
    write_faces(tmp_path / "faces")
    names = np.array(face_names())
    columns = dict(zip(("user", "pose", "expression", "eyes"), names.T, strict=True))
    pictures = np.stack([face(n) for n in range(len(names))])
    np.savez(tmp_path / "faces.npz", images=pictures, **columns)
    for task in ("pose", "expression", "person"):
        a, b = load_faces(tmp_path / "faces", task), load_faces(tmp_path / "faces.npz", task)
        for x, y in ((a.train, b.train), (a.test, b.test)):
            assert np.array_equal(x.images, y.images) and np.array_equal(x.labels, y.labels)
            assert np.array_equal(x.groups, y.groups) and x.classes == y.classes


def test_malformed_faces_are_named(tmp_path):
    one_line(lambda: load_faces(tmp_path / "faces"), "faces", "missing")
    one_line(lambda: load_faces(tmp_path), "no <person>/*.pgm")
    one_line(lambda: load_faces(tmp_path, "age"), "age", "person, pose, expression")
    write_faces(tmp_path)
    (tmp_path / "an2i" / "an2i_left_open.pgm").write_bytes(b"P5 1 1 255 a")
    one_line(lambda: load_faces(tmp_path), "an2i_left_open.pgm", "person_pose_expression_eyes")
    np.savez(tmp_path / "faces.npz", images=np.zeros((2, 4, 4), np.uint8))
    one_line(lambda: load_faces(tmp_path / "faces.npz"), "faces.npz", "user")


def test_a_degraded_minority_is_a_share_of_every_class_and_has_less_detail():
    data = ungrouped(images(200, 0), np.repeat([0, 1, 2, 3], 50), tuple("abcd"))
    made = degraded_minority(data, 0.2, seed=3)
    assert [int(made.groups[made.labels == c].sum()) for c in range(4)] == [10] * 4
    changed = (np.asarray(made.images) != data.images).any((1, 2, 3))
    assert np.array_equal(changed, made.groups == 1)
    assert np.asarray(made.images)[changed].std() < 0.25 * np.asarray(data.images).std()
    again = degraded_minority(data, 0.2, seed=3)
    assert np.array_equal(again.groups, made.groups) and np.array_equal(again.images, made.images)
    assert not np.array_equal(degraded_minority(data, 0.2, seed=4).groups, made.groups)


def test_degrading_keeps_grey_and_halves_flat_contrast():
    flat = np.full((2, 8, 8, 3), 28, np.uint8)
    assert (degrade(flat) == 78).all()
    assert degrade(flat[..., :1]).shape == (2, 8, 8, 1)


def test_thinning_out_takes_from_one_group_only():
    data = degraded_minority(ungrouped(images(40, 0), [0] * 40, ("a",)), 0.5, seed=0)
    thin = thin_out(data, 1, 0.25, seed=1)
    assert np.bincount(thin.groups).tolist() == [20, 5]
    kept = {image.tobytes() for image in np.asarray(thin.images)}
    assert kept < {image.tobytes() for image in np.asarray(data.images)} and len(kept) == 25
