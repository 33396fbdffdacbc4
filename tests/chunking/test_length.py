"""A film is as long as its pictures are shown, whatever its container and its sound tell."""

from fractions import Fraction

import av
import numpy as np
import pytest

from chunking.damage import stated_end
from chunking.probe import open_video, probe
from chunking.video import read_frames

RATE, SOUND_RATE = 10, 44100


def make_film(path, late: int, sound_s: int):
    """A second of film whose first picture is shown `late` pictures after zero; with sound."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("mpeg4" if path.suffix == ".avi" else "libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        packets = []
        for number in range(RATE):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * number, np.uint8))
            frame.pts, frame.time_base = late + number, Fraction(1, RATE)
            packets += video.encode(frame)
        packets += video.encode(None)
        if sound_s:
            sound = out.add_stream("aac", rate=SOUND_RATE, layout="mono")
            silence = np.zeros((1, SOUND_RATE * sound_s), "f4")
            frame = av.AudioFrame.from_ndarray(silence, "fltp", "mono")
            frame.sample_rate, frame.pts = SOUND_RATE, 0
            packets += [*sound.encode(frame), *sound.encode(None)]
        out.mux(sorted(packets, key=lambda packet: packet.dts * packet.time_base))
    return path


def shown_s(path) -> float:
    """As an encode sees it."""
    frames, info = list(read_frames(path)), probe(path)
    last = frames[-1].duration or round(1 / (info.frame_rate * info.time_base))
    return float((frames[-1].pts + last - frames[0].pts) * info.time_base)


@pytest.mark.parametrize("sound_s", [0, 3, 20])
@pytest.mark.parametrize("late", [0, 129])
@pytest.mark.parametrize("ending", ["mkv", "mp4", "ts", "flv"])
def test_a_film_lasts_from_its_first_picture_to_its_last(tmp_path, ending, late, sound_s):
    path = make_film(tmp_path / f"film.{ending}", late, sound_s)
    assert probe(path).duration_s == pytest.approx(1, abs=0.001)
    assert shown_s(path) == pytest.approx(1, abs=0.001)


def test_a_film_of_unknown_length_is_read_to_its_end(tmp_path):
    path = tmp_path / "film.mkv"
    make_film(path, 129, 3)
    data = path.read_bytes()
    segments_length, tag = b"\x44\x89\x88", b"DURATION"
    assert segments_length in data and tag in data
    path.write_bytes(data.replace(segments_length, b"\x44\x8a\x88", 1).replace(tag, b"X" * 8))
    assert probe(path).duration_s == pytest.approx(1, abs=0.001)


def test_the_length_of_the_longest_stream_is_not_stated_of_another(tmp_path):
    """FFmpeg fills it in where a video begins too late for it to be found beforehand."""
    path = make_film(tmp_path / "film.mkv", 129, 20)
    with open_video(path) as (container, stream):
        assert stated_end(path, container, stream).seconds == pytest.approx(13.9)


def test_of_a_cut_film_what_is_there_counts(tmp_path):
    path = make_film(tmp_path / "film.ts", 0, 0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 188 // 2 * 188])
    assert 0 < probe(path).duration_s < 1


def test_a_pause_is_no_part_of_what_comes_last(make_clip, moving_frames):
    """With B frames MP4 gives the pause to a picture behind it, which is near the end."""
    times = [0, 33, 66, 100, 133, 166, 3200, 3233, 3266, 3300, 3333, 3366]
    path = make_clip(moving_frames(12), "pause.mp4", time_base=Fraction(1, 1000), pts=times, bf="3")
    assert probe(path).duration_s == pytest.approx(3.4, abs=0.04)
