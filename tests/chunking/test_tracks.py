"""Every stream of a film is kept or said, and what is told beforehand is what is done."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO

import av
import numpy as np
import pytest
from PIL import Image

from chunking.input_error import InputError, NoSuchTrackError
from chunking.keep import Cut, keep_tracks
from chunking.opening import VideoFile
from chunking.probe import probe
from chunking.texts import ass_text
from chunking.tracks import plan_tracks
from player.package import webvtt
from player.package.streams import Label
from player.package.webvtt import Cue, unpack_webvtt

ASS_HEAD = b"""[Script Info]
ScriptType: v4.00+
[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, BackColour, Bold, Italic, Underline, Alignment
Style: Default,Arial,16,&Hffffff,&H0,0,0,0,2
"""
RATE, TICK = 48000, Fraction(1, 1000)
DEFAULT = av.stream.Disposition.default


@pytest.fixture
def film(tmp_path):
    """A second of a small and a large video, two sounds, three kinds of subtitles, chapters."""
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as out:
        videos = [add_video(out, 64, 48), add_video(out, 128, 96)]
        sounds = [add_sound(out, "aac", "eng"), add_sound(out, "pcm_s16le", "deu", DEFAULT)]
        texts = [add_text(out, codec) for codec in ("subrip", "ass", "hdmv_pgs_subtitle")]
        texts[0].metadata["language"], texts[0].metadata["title"] = "deu", 'Die "Worte"'
        texts[1].disposition = av.stream.Disposition.forced
        times = {"start": 0, "end": 500, "time_base": TICK}
        out.set_chapters([{"id": 1, **times, "metadata": {"title": "One & two"}}])
        for stream in videos:
            for picture in range(10):
                rgb = np.full((stream.height, stream.width, 3), 20 * picture, np.uint8)
                out.mux(stream.encode(av.VideoFrame.from_ndarray(rgb)))
            out.mux(stream.encode(None))
        for stream in sounds:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, RATE), "f4"), "fltp", "mono")
            frame.sample_rate, frame.pts = RATE, 0
            out.mux([*stream.encode(frame), *stream.encode(None)])
        say(out, texts[0], 100, 400, b"<b>Hello</b> & bye")
        say(out, texts[1], 600, 900, b"0,0,Default,,0,0,0,,{\\an8\\i1}Up{\\i0}\\Nthere")
        say(out, texts[2], 100, 400, b"\x80\0\0")
    return path


def add_video(out, width: int, height: int) -> av.VideoStream:
    stream = out.add_stream("libx264", rate=10)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.disposition = 0
    return stream


def add_sound(out, codec: str, language: str, disposition: int = 0) -> av.AudioStream:
    stream = out.add_stream(codec, rate=RATE, layout="mono")
    stream.metadata["language"], stream.disposition = language, disposition
    return stream


def add_text(out, codec: str):
    if codec == "hdmv_pgs_subtitle":
        stream = out.add_mux_stream(codec)
    else:
        stream = out.add_stream(codec)
        stream.codec_context.subtitle_header = ASS_HEAD
    stream.time_base, stream.disposition = TICK, 0
    return stream


def say(out, stream, start_ms: int, end_ms: int, data: bytes) -> None:
    packet = av.Packet(data)
    packet.stream, packet.time_base = stream, TICK
    packet.pts = packet.dts = start_ms
    packet.duration = end_ms - start_ms
    out.mux(packet)


def test_each_stream_is_named_with_what_becomes_of_it(film):
    told = {track.name: (track.fate, track.description) for track in plan_tracks(film)}
    assert told == {
        "video 1": ("dropped", "h264 64x48"),
        "video 2": ("encoded", "h264 128x96"),
        "audio 1": ("copied", "aac mono eng"),
        "audio 2": ("encoded again as AAC", "pcm_s16le 1 channels deu default"),
        "subtitles 1": ("made WebVTT", 'subrip deu "Die "Worte""'),
        "subtitles 2": ("made WebVTT", "ass forced"),
        "subtitles 3": ("dropped", "hdmv_pgs_subtitle"),
        "chapters 1": ("made WebVTT", "1 parts"),
    }


def test_what_is_told_is_done_and_what_is_dropped_is_said_once(film, tmp_path):
    said: list[str] = []
    kept = keep_tracks(film, tmp_path / "out", plan_tracks(film), Cut(), said.append)
    assert [s.label for s in kept.sounds] == [Label("eng"), Label("deu", "", True)]
    assert [s.init.parent.name for s in kept.sounds] == ["audio", "audio-2"]
    assert [t.label for t in kept.texts] == [Label("deu", 'Die "Worte"'), Label(flags=("forced",))]
    assert kept.lost == ("subtitles 3: subtitles that are pictures have no text",)
    cues = [unpack_webvtt(text.path.read_bytes()) for text in kept.texts]
    assert cues == [
        [Cue(100, 400, "<b>Hello</b> &amp; bye")],
        [Cue(600, 900, "<i>Up</i>\nthere")],
    ]
    assert unpack_webvtt(kept.chapters.path.read_bytes()) == [Cue(0, 500, "One &amp; two")]
    assert [line.split(" (")[0].split(":")[0] for line in said] == [
        "video 1", "subtitles 2", "subtitles 3", "audio 2",
    ]  # fmt: skip


@pytest.mark.parametrize(("limit", "value"), [("_MAX_CUES", 0), ("MAX_TEXT_BYTES", 40)])
def test_more_text_than_a_package_may_have_is_left_out_and_said(
    film, tmp_path, monkeypatch, limit, value
):
    monkeypatch.setattr(webvtt, limit, value)
    said: list[str] = []
    kept = keep_tracks(film, tmp_path / "out", plan_tracks(film), Cut(), said.append)
    assert kept.texts == () and kept.chapters is None
    left_out = [line for line in said if "more text than a package may have: left out" in line]
    assert [line.split(":")[0] for line in left_out] == ["subtitles 1", "subtitles 2", "chapters"]
    assert set(left_out[:2]) <= set(kept.lost)


def test_text_and_chapters_are_cut_and_moved_as_the_video_is(film, tmp_path):
    cut = Cut(end_s=0.5, early_s=Fraction(1, 4))
    kept = keep_tracks(film, tmp_path / "out", plan_tracks(film), cut, lambda said: None)
    (text,) = kept.texts  # the other one's words come later
    assert unpack_webvtt(text.path.read_bytes()) == [Cue(350, 650, "<b>Hello</b> &amp; bye")]
    assert unpack_webvtt(kept.chapters.path.read_bytes()) == [Cue(250, 500, "One &amp; two")]


@pytest.mark.parametrize(
    ("ending", "sound", "texts"),
    [
        ("mkv", "aac", ("subrip", "hdmv_pgs_subtitle")),
        ("mkv", "pcm_s16le", ("ass",)),
        ("ts", "ac3", ()),
        ("avi", "mp3", ()),
        ("mp4", "aac", ("mov_text",)),
    ],
)
def test_of_streams_that_hold_nothing_nothing_is_lost(tmp_path, ending, sound, texts):
    path, said = tmp_path / f"film.{ending}", list[str]()
    with av.open(str(path), "w") as out:
        video = add_video(out, 64, 48)
        add_sound(out, sound, "eng")
        for codec in texts:
            add_text(out, codec)
        out.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
        out.mux(video.encode(None))
    kept = keep_tracks(path, tmp_path / "out", plan_tracks(path), Cut(), said.append)
    assert (kept.sounds, kept.texts, kept.lost) == ((), (), ())
    told = [line for line in said if line.startswith("audio")]
    # MP4 has no such stream at all.
    assert len(told) == (ending != "mp4") and all("it holds no sound" in line for line in told)
    told = [line for line in said if "no text is in them" in line]
    assert len(told) == len(texts)


def kept_sounds(film, audio):
    return [t.number for t in plan_tracks(film, audio) if t.kind == "audio" and t.is_kept]


def test_a_timecode_is_named_and_missed_by_nobody(tmp_path):
    path, said = tmp_path / "camera.mov", []
    with av.open(str(path), "w") as out:
        stream = add_video(out, 64, 48)
        stream.metadata["timecode"] = "10:00:00:00"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
        out.mux(stream.encode(None))
    tracks = plan_tracks(path)
    assert [(t.name, t.codec, t.fate) for t in tracks[1:]] == [("data 1", "timecode", "dropped")]
    assert keep_tracks(path, tmp_path / "out", tracks, Cut(), said.append).lost == ()
    assert not said


@pytest.mark.parametrize(
    ("audio", "numbers"), [(None, [1, 2]), ("2", [2]), ("en", [1]), ("GER", [2]), ("none", [])]
)
def test_sound_is_chosen_by_number_or_language(film, tmp_path, audio, numbers):
    assert kept_sounds(film, audio) == numbers
    said: list[str] = []
    kept = keep_tracks(film, tmp_path / "out", plan_tracks(film, audio), Cut(), said.append)
    assert len(kept.sounds) == len(numbers)
    # What nobody wanted is neither lost nor a warning.
    assert not any("audio" in line for line in kept.lost)
    assert not any("--audio" in line for line in said)
    labels = [Label("eng"), Label("deu", "", True)]
    assert [sound.label for sound in kept.sounds] == [labels[n - 1] for n in numbers]


@pytest.mark.parametrize("audio", ["3", "0", "fra", ""])
def test_sound_that_is_not_there_is_refused_with_what_is(film, audio):
    with pytest.raises(NoSuchTrackError, match=r"there is 1 \(eng\), 2 \(deu\)"):
        plan_tracks(film, audio)


def test_the_largest_video_is_taken_and_another_where_it_is_asked_for(film):
    assert (probe(film).width, probe(VideoFile(film, 1)).width) == (128, 64)
    with pytest.raises(NoSuchTrackError, match="there is 1 to 2"):
        probe(VideoFile(film, 3))


def test_a_default_video_goes_before_a_larger_one_and_a_cover_is_none(tmp_path):
    path, cover = tmp_path / "film.mkv", BytesIO()
    Image.new("RGB", (256, 96)).save(cover, "JPEG")
    with av.open(str(path), "w") as out:
        out.add_attachment("cover.jpg", "image/jpeg", cover.getvalue())
        streams = [add_video(out, 128, 96), add_video(out, 64, 48)]
        streams[1].disposition = DEFAULT
        for stream in streams:
            rgb = np.zeros((stream.height, stream.width, 3), np.uint8)
            out.mux([*stream.encode(av.VideoFrame.from_ndarray(rgb)), *stream.encode(None)])
    assert probe(path).width == 64
    kinds = [(t.name, t.fate) for t in plan_tracks(path)]
    assert kinds == [("video 1", "dropped"), ("video 2", "encoded"), ("picture 1", "dropped")]
    with pytest.raises(NoSuchTrackError):
        probe(VideoFile(path, 3))


def test_one_sound_alone_keeps_its_language_and_is_the_default_unsaid(film, tmp_path):
    """Packages of one sound without a language are byte for byte those of before."""
    alone = [track for track in plan_tracks(film) if track.name != "audio 2"]
    kept = keep_tracks(film, tmp_path / "out", alone, Cut(), lambda said: None)
    assert [sound.label for sound in kept.sounds] == [Label("eng")]


def test_a_codec_without_a_decoder_is_lost_and_the_other_sound_is_kept(tmp_path):
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as out:
        video, sounds = add_video(out, 64, 48), [add_sound(out, c, "eng") for c in ("ac3", "aac")]
        rgb = np.zeros((48, 64, 3), np.uint8)
        out.mux([*video.encode(av.VideoFrame.from_ndarray(rgb)), *video.encode(None)])
        for stream in sounds:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, RATE), "f4"), "fltp", "mono")
            frame.sample_rate, frame.pts = RATE, 0
            out.mux([*stream.encode(frame), *stream.encode(None)])
    path.write_bytes(path.read_bytes().replace(b"ac-3", b"ac-4"))
    tracks = plan_tracks(path)
    assert [(t.name, t.fate) for t in tracks[1:]] == [("audio 1", "dropped"), ("audio 2", "copied")]
    said: list[str] = []
    kept = keep_tracks(path, tmp_path / "out", tracks, Cut(), said.append)
    (sound,) = kept.sounds
    assert sound.init.parent.name == "audio"
    assert len(kept.lost) == len(said) == 1 and kept.lost[0].startswith("audio 1: FFmpeg has no")


@pytest.mark.parametrize(
    ("text", "cue"),
    [
        (r"{\b1}Bold{\r} plain", "<b>Bold</b> plain"),
        (r"{\b1\i1}both", "<b><i>both</i></b>"),
        (r"{\bord2}a\hb & <c>", "a b &amp; &lt;c&gt;"),
        (r"one\N\Ntwo, three", "one\ntwo, three"),
        (r"{\p1}m 0 0 l 1 1", ""),
    ],
)
def test_of_ass_the_words_are_kept(text, cue):
    assert ass_text(f"0,0,Default,,0,0,0,,{text}".encode()) == cue


def test_a_film_without_video_is_refused(tmp_path):
    path = tmp_path / "song.mka"
    with av.open(str(path), "w", format="matroska") as out:
        stream = add_sound(out, "aac", "eng")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, RATE), "f4"), "fltp", "mono")
        frame.sample_rate = RATE
        out.mux([*stream.encode(frame), *stream.encode(None)])
    with pytest.raises(InputError, match="no video"):
        plan_tracks(path)


@pytest.mark.parametrize(
    ("text", "cue"),
    [
        ("{laughs} Hello {all}", "{laughs} Hello {all}"),
        (r"{\i1}{laughs}{\i0} Hi", "<i>{laughs}</i> Hi"),
        (r"\{laughs\} Hi", "{laughs} Hi"),
    ],
)
def test_words_in_braces_are_words_where_the_film_has_no_ass(text, cue):
    assert ass_text(f"0,0,Default,,0,0,0,,{text}".encode(), is_ass=False) == cue


def test_a_comment_of_ass_is_no_word():
    assert ass_text(rb"0,0,Default,,0,0,0,,{a note}Hi \{you\}") == "Hi {you}"
