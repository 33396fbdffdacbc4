"""Files appear whole or not at all."""

import os
import stat

import pytest

from player.package.artefact import read_sealed, write_bytes, write_sealed, write_text
from player.package.package_error import PackageError


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "file"
    write_bytes(path, b"old", mode=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    write_text(path, "néw")
    assert path.read_bytes() == "néw".encode()
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["n" * 250, "ü" * 125, "\U0001f3ac" * 60, "no\udcffutf8"])
def test_a_name_may_be_as_long_as_names_are(tmp_path, name):
    """The temporary one beside it is no longer: a name has 255 bytes."""
    write_bytes(tmp_path / name, b"new")
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("step", ["fsync", "replace", "fchmod"])
def test_a_failure_at_any_step_leaves_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"player.package.artefact.os.{step}", fail)
    with pytest.raises(OSError, match="No space"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("data", [b"", b"x", b"seal\n" * 100])
def test_a_sealed_file_gives_back_what_was_written(tmp_path, data):
    write_sealed(tmp_path / "f", data)
    assert read_sealed(tmp_path / "f") == data


@pytest.mark.parametrize("at", [0, 3, -1, -30])
def test_a_flipped_bit_or_a_cut_breaks_the_seal(tmp_path, at):
    path = tmp_path / "f"
    write_sealed(path, b"numbers")
    whole = bytearray(path.read_bytes())
    flipped = bytearray(whole)
    flipped[at] ^= 1
    for damaged in (flipped, whole[:at], b""):
        path.write_bytes(damaged)
        with pytest.raises(PackageError, match="damaged"):
            read_sealed(path)


def test_a_folder_in_its_place_is_named_and_not_the_temporary_file(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        write_bytes(tmp_path / "a", b"x")
    assert caught.value.filename == str(tmp_path / "a") and [*tmp_path.iterdir()] == [
        tmp_path / "a"
    ]
