"""`encode --lr-from`: the user's own stream, untouched, with a network beside it."""

import json
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.same_bytes import drifting_pictures, write_film
from player.package.verify import verify_package
from tests.sr.test_cli import pocketsr, refused

FRAMES = 16


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return write_film(
        tmp_path_factory.mktemp("film") / "film.mp4", drifting_pictures(FRAMES, 96, 128)
    )


def rung(path: Path, pictures) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30, options={"crf": "30"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(64, 48)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Path:
    return rung(tmp_path_factory.mktemp("rung") / "rung.mp4", drifting_pictures(FRAMES, 96, 128))


def test_a_network_is_added_to_a_stream_that_stays_as_it_is(film, own, tmp_path):
    out = tmp_path / "p"
    done = pocketsr("encode", film, "--lr-from", own, "-o", out, "--steps", "4", "--json")
    report = json.loads(done.stdout)
    assert (report["scale"], report["frames"]) == (2, FRAMES)
    assert report["made"]["bytes"] > report["stream"]["bytes"]
    assert "plain" not in report  # nothing was encoded to hold it against
    assert verify_package(out).ok
    joined = b"".join(p.read_bytes() for p in sorted((out / "video").iterdir()))
    with av.open(str(own)) as source:
        packets = [bytes(packet) for packet in source.demux(video=0) if packet.size]
    assert all(packet in joined for packet in packets)
    assert json.loads((out / "job.json").read_text())["lr_from"] == own.name
    # The same command on what is done; another stream is another job.
    assert pocketsr("encode", film, "--lr-from", own, "-o", out, "--steps", "4").returncode == 0
    other = rung(tmp_path / own.name, [p // 2 for p in drifting_pictures(FRAMES, 96, 128)])
    assert "lr_from" in refused(2, "encode", film, "--lr-from", other, "-o", out, "--steps", "4")


def test_streams_of_another_film_are_refused(film, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (FRAMES, 96, 128, 3), dtype=np.uint8)
    other = rung(tmp_path / "other.mp4", noise)
    line = refused(3, "encode", film, "--lr-from", other, "-o", tmp_path / "p")
    assert "does not show this film: its pictures correlate by" in line
    short = rung(tmp_path / "short.mp4", drifting_pictures(FRAMES - 1, 96, 128))
    line = refused(3, "encode", film, "--lr-from", short, "-o", tmp_path / "q")
    assert f"has {FRAMES - 1} frames, the film has {FRAMES}" in line
    # The folders are free for the next command.
    assert not (tmp_path / "p").exists() and not (tmp_path / "q").exists()


@pytest.mark.parametrize("option", ["--scale 2", "--lr-crf 30", "--frames 3", "--like-crf 20"])
def test_what_would_make_another_stream_is_refused(film, own, tmp_path, option):
    line = refused(2, "encode", film, "--lr-from", own, "-o", tmp_path / "p", *option.split())
    assert f"leave out {option.split()[0]}" in line
