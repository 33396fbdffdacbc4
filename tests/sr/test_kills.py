"""A kill or a full disk at any moment loses nothing: the same command ends with the same bytes."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from chunking.input_error import InputError
from player.package.package_error import PackageError
from sr.encode import encode as encode_module
from sr.encode.job import JobError
from sr.encode.job_folder import open_job
from sr.encode.options import EncodeOptions
from sr.encode.report_file import read_report
from sr.usage_error import UsageError
from tests.attack.faulty_disk import Killed, faulty_disk
from tests.attack.kills import (
    PLAIN,
    TRAINED,
    contents,
    kill_at_moments,
    run,
    stop_at_each_change,
)

KILLS = 30


@pytest.mark.parametrize("kill", [False, True], ids=["fail", "kill"])
def test_a_stop_at_some_changes_of_the_disk_loses_nothing(film, tmp_path, kill):
    stops, findings = stop_at_each_change(film, tmp_path, PLAIN, kill, step=7, first=int(kill))
    assert stops > 7 and not findings


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("asked", [PLAIN, TRAINED], ids=["plain", "trained"])
@pytest.mark.parametrize("kill", [False, True], ids=["fail", "kill"])
def test_a_stop_at_any_change_of_the_disk_loses_nothing(film, tmp_path, kill, asked):
    stops, findings = stop_at_each_change(film, tmp_path, asked, kill)
    assert stops > 50 and not findings


def test_the_first_changes_make_no_folder_that_nobody_can_use(film, tmp_path):
    for at in range(12):  # between making the folder, its lock and job.json
        out = tmp_path / f"{at}"
        with faulty_disk(at, kill=True), pytest.raises(Killed):
            run(film, out, PLAIN)
        assert run(film, out, PLAIN) == []


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone"])
def test_every_damaged_file_of_a_finished_package_is_made_again(film, tmp_path, damage):
    run(film, tmp_path / "whole", PLAIN)
    whole = contents(tmp_path / "whole")
    for name in [*whole, "report.json"]:
        out = tmp_path / "damaged"
        shutil.copytree(tmp_path / "whole", out)
        data = bytearray((out / name).read_bytes())
        data[len(data) // 2] ^= 4
        damaged = {"flip": data, "cut": data[: len(data) // 2], "empty": b""}
        (out / name).unlink() if damage == "gone" else (out / name).write_bytes(damaged[damage])
        # Without its report a job is only not at its end yet.
        is_unsaid = (name, damage) == ("report.json", "gone")
        check_mended(film, out, name, whole, is_unsaid)
        shutil.rmtree(out)


def check_mended(film, out, name, whole, is_unsaid):
    """The same command says what was wrong and makes it again; or refuses another job's folder."""
    try:
        said = run(film, out, PLAIN)
    except UsageError as error:
        assert (name == "job.json" and "--restart" in str(error)) or "holds no encode job" in str(
            error
        )
        return
    names = [Path(name).name, *(["playlist"] if name.endswith(".m3u8") else [])]
    assert is_unsaid or any(n in line for line in said for n in names), (name, said)
    assert contents(out) == whole, name
    assert read_report(out) is not None


def test_a_film_that_changes_under_the_encode_is_not_signed(film, tmp_path, monkeypatch):
    def write_streams(work):
        made = streams(work)
        with film.open("ab") as file:
            file.write(b"more")
        return made

    streams = encode_module.write_streams
    monkeypatch.setattr(encode_module, "write_streams", write_streams)
    with pytest.raises(InputError, match="was changed while it was encoded"):
        run(film, tmp_path / "p", PLAIN)
    assert not (tmp_path / "p/sr/index.bin").exists()


def test_a_segment_that_changes_under_the_encode_is_not_signed(film, tmp_path, monkeypatch):
    def write_streams(work):
        made = streams(work)
        with (work.options.out / "video/seg-00001.m4s").open("r+b") as file:
            file.write(b"other")
        return made

    streams = encode_module.write_streams
    with (
        monkeypatch.context() as patched,
        pytest.raises(JobError, match="was changed while the encode ran"),
    ):
        patched.setattr(encode_module, "write_streams", write_streams)
        run(film, tmp_path / "p", PLAIN)
    assert not (tmp_path / "p/sr/index.bin").exists()
    said = run(film, tmp_path / "p", PLAIN)
    assert said and all("seg-00001.m4s" in line for line in said)
    run(film, tmp_path / "whole", PLAIN)
    assert contents(tmp_path / "p") == contents(tmp_path / "whole")


def test_a_signing_key_that_is_none_is_said_before_any_work(film, tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    (tmp_path / "home/signing.key").write_bytes(b"short")
    monkeypatch.setattr(encode_module, "write_streams", None)
    with pytest.raises(PackageError, match="not a signing key"):
        run(film, tmp_path / "p", PLAIN)


def test_a_restart_waits_for_no_one_and_touches_nothing_of_a_running_job(film, tmp_path):
    options = EncodeOptions.of(film, tmp_path / "p", **PLAIN)
    job = open_job(options, False, print)
    (job.out / "video").mkdir()
    with pytest.raises(UsageError, match="another encode works"):
        open_job(options, True, print)
    assert (job.out / "video").exists()


def test_a_lock_that_was_removed_with_its_job_guards_nothing(film, tmp_path):
    options = EncodeOptions.of(film, tmp_path / "p", **PLAIN)
    ended = open_job(options, False, print)  # its file is held, and gone
    shutil.rmtree(ended.work)
    job = open_job(options, False, print)
    with pytest.raises(UsageError, match="another encode works"):
        open_job(options, False, print)
    del job


def test_content_groups_that_changed_are_another_job(film, tmp_path):
    boxes = tmp_path / "boxes.json"
    asked = {"scale": 2, "groups": boxes, "protect": "face"}
    boxes.write_text("{}")
    job = open_job(EncodeOptions.of(film, tmp_path / "p", **asked), False, print)
    boxes.write_text('{"boxes": []}')
    del job
    with pytest.raises(UsageError, match="groups_sha256"):
        open_job(EncodeOptions.of(film, tmp_path / "p", **asked), False, print)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_sigkill_at_seeded_moments_loses_nothing(film, tmp_path):
    assert kill_at_moments(film, tmp_path, KILLS, seed=14)[1] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_full_disk_is_said_and_the_same_command_goes_on(film, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", small], check=False)
    if mounted.returncode:
        pytest.skip("no tmpfs may be mounted here")
    try:
        with pytest.raises(OSError, match="No space"):
            run(film, small / "p", PLAIN)
        subprocess.run(["mount", "-o", "remount,size=16m", small], check=True)
        assert run(film, small / "p", PLAIN) == []
        run(film, tmp_path / "whole", PLAIN)
        assert contents(small / "p") == contents(tmp_path / "whole")
    finally:
        subprocess.run(["umount", small], check=True)
