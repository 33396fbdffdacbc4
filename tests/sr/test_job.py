"""The job's folder: whatever is damaged in it is made again and said, never trusted."""

import os
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from chunking.input_error import InputError
from player.package.index import read_index
from player.package.verify import verify_package
from sr.encode import encode as encode_module
from sr.encode.encode import encode
from sr.encode.job import Job
from sr.encode.job_folder import open_job, run_job
from sr.encode.options import EncodeOptions
from sr.encode.report.make import _job
from sr.encode.report_file import read_report, said_of_film
from sr.progress import Progress
from sr.usage_error import UsageError


def run(film: Path, out: Path) -> list[str]:
    """Encodes, and returns the warnings."""
    said: list[str] = []
    options = EncodeOptions.of(
        film, out, scale=2, steps=4, lr_codec="lossless", threads=1, frames=4
    )
    with Progress() as progress:
        progress.warn = said.append  # type: ignore[method-assign]
        encode(options, progress)
    return said


PLAIN = {"scale": 2, "lr_codec": "h264", "method": "plain", "threads": 1}


def run_plain(film: Path, out: Path, restart: bool = False) -> list[str]:
    """As `run`, without a network."""
    said: list[str] = []
    with Progress() as progress:
        progress.warn = said.append  # type: ignore[method-assign]
        encode(EncodeOptions.of(film, out, **PLAIN), progress, restart)
    return said


def contents(package: Path) -> dict[str, bytes]:
    found = {p.relative_to(package).as_posix(): p for p in package.rglob("*") if p.is_file()}
    return {name: p.read_bytes() for name, p in found.items() if name != "report.json"}


def stop(*arguments, **named):
    raise KeyboardInterrupt


@pytest.fixture
def told_film(film, tmp_path) -> Path:
    """With sound and subtitles, which have labels."""
    path, lines = tmp_path / "told.mkv", tmp_path / "lines.srt"
    lines.write_text("1\n00:00:00,000 --> 00:00:00,300\nHello\n")
    with av.open(str(film)) as source, av.open(str(lines)) as read, av.open(str(path), "w") as out:
        video = out.add_stream_from_template(source.streams.video[0])
        texts = out.add_stream_from_template(read.streams.subtitles[0])
        texts.metadata["language"], sound = "deu", out.add_stream("aac", rate=48000)
        texts.disposition = Disposition.hearing_impaired
        for stream, of in ((video, source), (texts, read)):
            for packet in of.demux(of.streams[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    out.mux(packet)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 19200), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        out.mux([*sound.encode(frame), *sound.encode(None)])
    return path


def test_a_film_with_sound_and_subtitles_goes_on_as_any(told_film, tmp_path, monkeypatch):
    """Flags of tracks came back as a list, and no interrupted encode of such a film ended."""
    run_plain(told_film, tmp_path / "whole")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(encode_module, "write_package", stop)
        run_plain(told_film, tmp_path / "cut")
    run_plain(told_film, tmp_path / "cut")
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    index = read_index(tmp_path / "cut").index
    assert len(index.sounds) == len(index.texts) == 1 and index.texts[0].label.flags


def test_every_damaged_file_of_a_job_is_said_and_made_again(film, tmp_path, monkeypatch):
    run(film, tmp_path / "whole")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(encode_module, "write_package", stop)
        run(film, tmp_path / "cut")
    files = [p for p in (tmp_path / "cut").rglob("*") if p.is_file()]
    files = [p for p in files if p.name not in ("lock", "job.json")]
    assert {p.suffix for p in files} >= {".json", ".npz", ".npy", ".bin", ".ckpt", ".m4s", ".mp4"}
    for number, file in enumerate(files):
        package = tmp_path / f"{number}"
        shutil.copytree(tmp_path / "cut", package)
        damaged = package / file.relative_to(tmp_path / "cut")
        data = bytearray(damaged.read_bytes())
        data[len(data) // 2] ^= 4
        # Of many files of each kind: flipped, cut, empty by turns.
        damaged.write_bytes((data, data[: len(data) // 2], b"")[number % 3])
        said = run(film, package)
        assert any(file.name in line for line in said), (file.name, said)
        assert contents(package) == contents(tmp_path / "whole"), file.name


def test_what_a_killed_run_left_half_written_is_swept(film, tmp_path):
    options = EncodeOptions.of(film, tmp_path / "p", scale=2)
    with pytest.raises(KeyboardInterrupt):
        open_job(options, False, print).step("stream", stop)
    parts = [tmp_path / "p" / name for name in ("work/.stream.json.x.part", ".report.json.y.part")]
    for part in parts:
        part.write_bytes(b"half")
    open_job(options, False, print)
    assert not any(part.exists() for part in parts)


def test_a_job_that_is_refused_leaves_what_was_made_and_else_nothing(film, tmp_path):
    options = EncodeOptions.of(film, tmp_path / "p", scale=2)

    def refused(*steps: str) -> None:
        def make(job: Job) -> dict:
            for name in steps:
                job.step(name, dict)
            raise InputError("no")

        with pytest.raises(InputError):
            run_job(options, False, print, make)

    refused()
    assert not (tmp_path / "p").exists()
    (tmp_path / "p").mkdir()  # somebody's
    refused()
    assert [*(tmp_path / "p").iterdir()] == []
    refused("one")
    left = {path.name for path in (tmp_path / "p").rglob("*")}
    assert left == {"job.json", "work", "lock", "one.json"}


def test_a_step_is_done_once_and_again_where_its_file_is_gone(film, tmp_path):
    said: list[str] = []
    job = open_job(EncodeOptions.of(film, tmp_path / "p", scale=2), False, said.append)
    folder, runs = tmp_path / "p" / "video", []

    def make() -> dict[str, int]:
        folder.mkdir(exist_ok=True)
        (folder / "a").write_bytes(b"a")
        runs.append(1)
        return {"n": len(runs)}

    assert [job.step("s", make, [folder])["n"] for _ in range(3)] == [1, 1, 1]
    assert not said
    (folder / "a").unlink()
    assert job.step("s", make, [folder]) == {"n": 2}
    assert said == ["video/a is missing or damaged: the step s is done again"]


@pytest.mark.parametrize(("first", "second"), [(None, "deu"), ("deu", None)])
def test_other_sound_is_another_job(film, tmp_path, first, second):
    """Also where the option is left out, and so is not in the job's file."""
    open_job(EncodeOptions.of(film, tmp_path / "p", scale=2, audio=first), False, print)
    with pytest.raises(UsageError, match="holds another job"):
        open_job(EncodeOptions.of(film, tmp_path / "p", scale=2, audio=second), False, print)


def test_who_is_refused_leaves_nothing_behind(film, tmp_path):
    asked = {"scale": 2, "lr_codec": "h264", "method": "plain", "threads": 1}
    options = EncodeOptions.of(film, tmp_path / "p", **asked)
    with Progress() as progress:
        encode(options, progress)
    whole = {p: p.read_bytes() for p in (tmp_path / "p").rglob("*") if p.is_file()}
    with pytest.raises(UsageError, match="holds another job"):
        open_job(EncodeOptions.of(film, tmp_path / "p", **{**asked, "scale": 4}), False, print)
    assert whole == {p: p.read_bytes() for p in (tmp_path / "p").rglob("*") if p.is_file()}
    assert not (tmp_path / "p" / "work").exists()
    # Of a job on its way nothing is taken, neither its lock nor its work.
    job = open_job(EncodeOptions.of(film, tmp_path / "q", **asked), False, print)
    with pytest.raises(UsageError, match="another encode works"):
        open_job(EncodeOptions.of(film, tmp_path / "q", **asked), False, print)
    assert (job.work / "lock").exists()


def test_a_job_that_ends_leaves_the_lock_of_one_that_has_just_begun(film, tmp_path, monkeypatch):
    """Between the removal of the lock and that of its folder."""
    options = EncodeOptions.of(film, tmp_path / "p", scale=2)
    job, begun = open_job(options, False, print), list[Job]()
    (job.work / "kept").write_bytes(b"")
    rmdir = Path.rmdir

    def late(path: Path) -> None:
        begun.append(open_job(options, False, print))
        rmdir(path)

    monkeypatch.setattr(Path, "rmdir", late)
    job.close({})
    assert (tmp_path / "p" / "work" / "lock").exists() and len(begun) == 1


def test_what_was_said_of_a_film_is_said_again(film, tmp_path):
    """By the same command on a package that is done; of a report of before, what was lost."""
    path = tmp_path / "film.mkv"
    with av.open(str(film)) as source, av.open(str(path), "w") as out:
        video = out.add_stream_from_template(source.streams.video[0])
        out.add_stream("aac", rate=48000, layout="mono")  # which holds nothing
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                out.mux(packet)
    first, again = run(path, tmp_path / "p"), run(path, tmp_path / "p")
    assert first and set(again) == set(first)
    report = read_report(tmp_path / "p")
    assert report["warnings"] and set(report["warnings"]) <= set(first)
    assert said_of_film({"lost": ["audio 1: gone"]}) == ["audio 1: gone"]


def test_what_is_no_plain_file_is_waited_for_by_nobody(film, tmp_path):
    package = tmp_path / "p"
    run_plain(film, package)
    whole = contents(package)
    (package / "report.json").unlink()
    os.mkfifo(package / "report.json")
    assert "report.json is damaged: the package is made again" in run_plain(film, package)
    assert contents(package) == whole and (package / "report.json").is_file()
    (package / "job.json").unlink()
    os.mkfifo(package / "job.json")
    with pytest.raises(UsageError, match=r"job\.json is damaged"):
        run_plain(film, package)
    assert _job(package) == {}


def test_a_link_in_the_place_of_a_folder_is_removed_and_not_written_through(film, tmp_path):
    package, elsewhere = tmp_path / "p", tmp_path / "elsewhere"
    run_plain(film, package)
    whole = contents(package)
    (package / "video").rename(elsewhere)
    (elsewhere / "seg-00001.m4s").write_bytes(b"theirs")
    (package / "video").symlink_to(elsewhere)
    said = run_plain(film, package)
    assert "video is a symbolic link: it is removed, and the folder made again" in said
    assert contents(package) == whole and not (package / "video").is_symlink()
    assert (elsewhere / "seg-00001.m4s").read_bytes() == b"theirs"
    assert verify_package(package).ok


@pytest.mark.parametrize("name", ["report.json", "manifest.mpd", "job.json", "video/seg-00001.m4s"])
def test_a_folder_in_the_place_of_a_file_is_named(film, tmp_path, name):
    package = tmp_path / "p"
    run_plain(film, package)
    (package / name).unlink()
    (package / name).mkdir()
    with pytest.raises(UsageError, match=f"{name} is a folder in the place of a file: remove it"):
        run_plain(film, package)
    assert not (package / "work").exists()


def test_a_device_is_no_folder_for_a_package(film):
    with pytest.raises(UsageError, match="/dev/null is a file: give a new folder with -o"):
        run_plain(film, Path("/dev/null"))


def test_a_restart_leaves_what_is_not_of_an_encode(film, tmp_path):
    out = tmp_path / "p"
    run_plain(film, out)
    own = [out / name for name in ("notes.txt", "video/my.srt")]
    for path in own:
        path.write_text("mine")
    (out / "video/seg-00009.m4s").write_bytes(b"of an earlier encode")
    run_plain(film, out, restart=True)
    assert all(path.read_text() == "mine" for path in own)
    assert not (out / "video/seg-00009.m4s").exists() and verify_package(out).ok
