"""Playing into nothing, into a file, and against a hash."""

import hashlib
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from chunking.audio import copy_audio
from chunking.video import probe, read_frames
from player.package.package_error import PackageError
from player.playback import HashSink, OutputError, PlayOptions, play, play_package
from player.session import open_package
from player.upscale import UpscaledFrame, upscale
from tests.player import conftest
from tests.player.conftest import write_film


@pytest.fixture
def film(made_package):
    return open_package(made_package)


@pytest.fixture
def film_hash(expected_hr):
    sha256 = hashlib.sha256()
    for number in range(20):
        sha256.update(expected_hr(number).tobytes())
    return sha256.hexdigest()


def test_playing_into_nothing_tells_the_rate(film, engine):
    result = play_package(film, engine)
    assert result["frames"] == 20 and result["events"] == [] and result["sha256"] is None
    assert result["fps"]["upscale_p50"] >= result["fps"]["upscale_p95"] > 0
    assert 0 < result["fps"]["pipeline"] == pytest.approx(20 / result["seconds"])


def test_the_rate_is_that_of_the_slow_frames():
    picture = np.zeros((1, 1, 3), np.uint8)
    patches = np.zeros((0, 6), np.int32)
    seconds = [0.01] * 90 + [0.1] * 10
    frames = [UpscaledFrame(picture, 0, 0, picture, patches, None, s) for s in seconds]
    rate = play(frames).fps
    assert (rate.upscale_p50, rate.upscale_p95) == pytest.approx((100, 10))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_hash_is_over_all_pixels_in_order(film, engine, film_hash, threads):
    options = PlayOptions(verify=film_hash.upper(), threads=threads)
    assert play_package(film, engine, options)["sha256"] == film_hash


def test_another_hash_is_an_error(film, engine, film_hash):
    with pytest.raises(PackageError, match=film_hash) as caught:
        play_package(film, engine, PlayOptions(verify="0" * 64))
    assert caught.value.exit_code == 5


def test_one_changed_pixel_changes_the_hash(film, engine, film_hash):
    hashed = HashSink()
    for frame in upscale(film, engine):
        frame.rgb[0, 0, 0] ^= frame.index == 7
        hashed(frame)
    assert hashed.hex != film_hash


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_file_has_the_frames_at_their_times(film, engine, expected_hr, tmp_path, suffix):
    out = tmp_path / f"hr{suffix}"
    result = play_package(film, engine, PlayOptions(out=out))
    assert result["out"] == str(out)
    info, frames = probe(out), list(read_frames(out))
    times = [40 * i + 7 * (i % 3) for i in range(20)]
    if suffix == ".mp4":
        assert info.time_base == Fraction(1, 600) and [f.pts for f in frames] == times
    near_s = 0 if suffix == ".mp4" else 0.001  # Matroska counts milliseconds
    for frame, ticks in zip(frames, times, strict=True):
        assert abs(frame.pts * info.time_base - Fraction(ticks, 600)) <= near_s
    error = np.mean(np.abs(frames[4].rgb.astype(int) - expected_hr(4)))
    assert (info.width, info.height) == (94, 70)
    assert error < 40  # noise through 4:2:0, but the right picture: another frame is 60 off


@pytest.mark.parametrize(("suffix", "codec"), [(".mkv", "ffv1"), (".mp4", "h264")])
def test_a_lossless_file_has_every_pixel(film, engine, expected_hr, tmp_path, suffix, codec):
    out = tmp_path / f"hr{suffix}"
    play_package(film, engine, PlayOptions(out=out, out_crf=None))
    assert probe(out).codec == codec
    for number, frame in enumerate(read_frames(out)):
        np.testing.assert_array_equal(frame.rgb, expected_hr(number))
    assert number == 19


def test_sound_is_copied_packet_by_packet(package_dir, engine, source_clip, tmp_path):
    copy_audio(source_clip, package_dir)
    (package_dir / "sr/index.bin").unlink()  # unsigned: the sound is found by its folder
    out = tmp_path / "hr.mp4"
    play_package(open_package(package_dir), engine, PlayOptions(out=out))
    assert packets(out)[5:30] == packets(source_clip)[5:30]


def test_sound_that_a_format_does_not_hold_becomes_aac_and_that_is_said(
    package_dir, engine, tmp_path
):
    source = tmp_path / "opus.mkv"
    with av.open(str(source), "w") as film:
        stream = film.add_stream("libopus", rate=48000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 48000), "f4"), "fltp", "mono")
        silence.sample_rate, silence.pts = 48000, 0
        film.mux(stream.encode(silence))
        film.mux(stream.encode(None))
    assert copy_audio(source, package_dir)
    (package_dir / "sr/index.bin").unlink()
    for suffix, codec in ((".mp4", "opus"), (".mov", "aac")):
        out = tmp_path / f"hr{suffix}"
        result = play_package(open_package(package_dir), engine, PlayOptions(out=out))
        with av.open(str(out)) as container:
            assert container.streams.audio[0].codec_context.name == codec
        said = [e["action"] for e in result["events"] if e["kind"] == "audio"]
        assert said == (["it is encoded as AAC"] if codec == "aac" else [])


def packets(path):
    """Size and time of the audio's packets that are not priming."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        found = [p for p in container.demux(stream) if p.pts is not None and p.pts >= 0]
        return [(bytes(p), p.pts * p.time_base) for p in found]


def test_a_format_that_cannot_be_written_is_refused(
    film, engine, package_dir, source_clip, tmp_path
):
    with pytest.raises(OutputError, match="cannot write this format"):
        play_package(film, engine, PlayOptions(out=tmp_path / "hr.gif"))
    copy_audio(source_clip, package_dir)  # with sound as well
    (package_dir / "sr/index.bin").unlink()
    with pytest.raises(OutputError, match="cannot write this format"):
        play_package(open_package(package_dir), engine, PlayOptions(out=tmp_path / "hr.gif"))


def test_a_failure_in_the_middle_leaves_no_file(film, engine, tmp_path):
    out = tmp_path / "hr.mp4"
    with pytest.raises(PackageError):
        play_package(film, engine, PlayOptions(out=out, verify="0" * 64))
    assert not list(tmp_path.glob("*.part"))


def test_a_film_that_begins_hours_in_is_no_longer_for_that(
    lr_frames, source_clip, engine, tmp_path, monkeypatch
):
    """A recording of a broadcast: its times are the station's."""
    monkeypatch.setattr(conftest, "PTS", [600 * 50_000 + pts for pts in conftest.PTS])
    package = open_package(write_film(tmp_path / "film", lr_frames, source_clip))
    assert package.index.segments[0].start == 600 * 50_000
    out = tmp_path / "hr.mp4"
    play_package(package, engine, PlayOptions(out=out))
    times = [float(frame.pts * probe(out).time_base) for frame in read_frames(out)]
    assert times == pytest.approx([(pts - conftest.PTS[0]) / 600 for pts in conftest.PTS])


@pytest.mark.parametrize(("limit", "length"), [(None, 2.0), (20, 2.0), (10, 26 / 600)])
def test_the_last_frame_lasts_as_long_as_in_the_film(
    lr_frames, source_clip, engine, tmp_path, limit, length
):
    """Of 1,200 ticks; that of a part is not the film's."""
    package = open_package(write_film(tmp_path / "film", lr_frames, source_clip, last_ticks=1200))
    out = tmp_path / "hr.mp4"
    play_package(package, engine, PlayOptions(out=out, limit=limit))
    *_, last = read_frames(out)
    assert float(last.duration * probe(out).time_base) == pytest.approx(length, abs=0.02)


@pytest.mark.parametrize(
    "name", ["12:30.mp4", "pipe:1.mov", "-.mkv", "n" * 250 + ".mp4", "no\udcffutf8.mp4"]
)
def test_a_file_has_the_name_that_was_asked_for(film, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)  # where a colon could be a protocol's
    play_package(film, None, PlayOptions(out=Path(name), limit=2))
    assert os.listdir() == [name]
    assert len(list(read_frames(name))) == 2


def test_a_place_that_is_none_is_refused_before_any_work(package_dir, tmp_path):
    film, init = open_package(package_dir), package_dir / "video/init.mp4"
    before = init.read_bytes()
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "link").symlink_to(package_dir)
    for out, message in {
        init: "lies inside the package",
        tmp_path / "link" / "hr.mp4": "lies inside the package",
        tmp_path / "gone" / "hr.mp4": "gone does not exist: make that folder",
        tmp_path / "folder.mp4": "is a folder",
    }.items():
        with pytest.raises(OutputError, match=message) as caught:
            play_package(film, None, PlayOptions(out=out))
        assert caught.value.exit_code == 2
    assert init.read_bytes() == before


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, which nobody may write")
def test_a_place_that_may_not_be_written_is_named(film):
    with pytest.raises(OSError, match=r"No such file or directory: '/proc/hr\.mp4'"):
        play_package(film, None, PlayOptions(out=Path("/proc/hr.mp4")))
