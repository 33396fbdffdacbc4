"""Packages with several tracks: signed, checked, played; what is damaged costs itself alone."""

import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from chunking.audio import copy_audio
from chunking.colour import Colour
from chunking.file_tracks import Beside, Text
from chunking.writer import VideoWriter
from player.package.hls import master_playlist
from player.package.index import read_index
from player.package.layout import CHAPTERS_PATH, INDEX_PATH, manifest_names, text_path
from player.package.package_error import PackageError
from player.package.streams import FORCED, VISUAL_IMPAIRED, Label, TextFile
from player.package.verify import verify_package
from player.package.webvtt import Cue, one_at_a_time, pack_webvtt, unpack_webvtt
from player.playback import PlayOptions, play_package
from player.session import open_package
from tests.player.conftest import write_film

ENGLISH = Label("en", flags=(VISUAL_IMPAIRED,))
GERMAN = Label("ger", "Die Zweite", True)
BRAZILIAN = Label("pt-BR", flags=(FORCED,))
WORDS = [Cue(100, 500, "<i>Hello</i> &amp;"), Cue(600, 900, "two\nlines")]
PARTS = [Cue(0, 400, "One"), Cue(400, 1300, "Two")]


@pytest.fixture(scope="module")
def made(tmp_path_factory, lr_frames, source_clip, _home):
    """Two sounds, subtitles, chapters."""
    folder = tmp_path_factory.mktemp("beside") / "film"
    labels = {"audio": ENGLISH, "audio-2": GERMAN}
    sounds = [
        replace(copy_audio(source_clip, folder, folder=name), label=label)
        for name, label in labels.items()
    ]
    (folder / "text").mkdir()
    (folder / text_path(1)).write_bytes(pack_webvtt(WORDS))
    (folder / CHAPTERS_PATH).write_bytes(pack_webvtt(PARTS))
    texts = [TextFile(folder / text_path(1), BRAZILIAN)]
    chapters = TextFile(folder / CHAPTERS_PATH)
    return write_film(folder, lr_frames, source_clip, sounds=sounds, texts=texts, chapters=chapters)


@pytest.fixture
def package(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "film"))


def test_every_track_is_signed_and_no_file_is_left_over(package):
    index = read_index(package).index
    assert [sound.label for sound in index.sounds] == [ENGLISH, GERMAN]
    assert [text.label for text in index.texts] == [BRAZILIAN]
    verification = verify_package(package)
    assert verification.ok, verification.faults
    known = {entry.file for entry in index.files} | {*manifest_names(2, 1), INDEX_PATH}
    there = (path for path in package.rglob("*") if path.is_file())
    assert {path.relative_to(package).as_posix() for path in there} == known


@pytest.mark.parametrize("name", ["video.m3u8", "audio.m3u8", "audio-2.m3u8", "text-1.m3u8"])
def test_a_playlist_that_was_changed_is_named(package, name):
    playlist = package / name
    playlist.write_text(playlist.read_text() + "\n")
    faults = [str(fault) for fault in verify_package(package).faults]
    assert faults == [f"{name}: is not the one that was signed"]


def test_the_playlist_offers_each_track_by_its_label(package):
    lines = (package / "master.m3u8").read_text().splitlines()
    assert [line for line in lines if line.startswith("#EXT-X-MEDIA")] == [
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="en",LANGUAGE="en",'
        'CHARACTERISTICS="public.accessibility.describes-video",DEFAULT=NO,AUTOSELECT=YES,URI="audio.m3u8"',
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="Die Zweite",LANGUAGE="de",DEFAULT=YES,'
        'AUTOSELECT=YES,URI="audio-2.m3u8"',
        '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="text",NAME="pt-BR",LANGUAGE="pt-BR",DEFAULT=NO,'
        'AUTOSELECT=YES,FORCED=YES,URI="text-1.m3u8"',
    ]
    assert lines[-2].endswith('AUDIO="audio",SUBTITLES="text"')
    assert lines[-2].count("mp4a") == 1  # players take one track at a time
    assert "text/1.vtt" in (package / "text-1.m3u8").read_text().splitlines()


def test_the_mpd_has_a_set_for_each_track(package):
    mpd = (package / "manifest.mpd").read_text()
    assert 'contentType="audio" mimeType="audio/mp4" lang="en"' in mpd
    assert 'contentType="audio" mimeType="audio/mp4" lang="de"' in mpd
    assert mpd.count('value="main"') == mpd.count('value="alternate"') == 1
    assert "<Label>Die Zweite</Label>" in mpd and "<BaseURL>text/1.vtt</BaseURL>" in mpd
    assert 'contentType="text" mimeType="text/vtt" lang="pt-BR"' in mpd
    # Roles by ISO/IEC 23009-1, 5.8.5.5; the blind's sound by TV-Anytime's list too.
    assert mpd.count('value="description"') == mpd.count('value="forced-subtitle"') == 1
    assert 'AudioPurposeCS:2007" value="1"' in mpd and 'value="subtitle"' not in mpd


def test_names_are_those_of_one_track_each_and_end_no_string(tmp_path, made, source_clip):
    index = read_index(made).index
    video = replace(copy_audio(source_clip, tmp_path), width=index.lr.width)
    labels = [Label(), Label("", 'a"\n"b'), Label("deu"), Label("deu")]
    playlist = master_playlist(video, [replace(video, label=label) for label in labels])
    names = [line.split('NAME="')[1].split('"')[0] for line in playlist.splitlines()[3:7]]
    assert names == ["audio", "a''b", "deu", "deu (4)"]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
def test_a_file_has_every_track_with_its_label(package, engine, tmp_path, suffix):
    out = tmp_path / f"hr{suffix}"
    result = play_package(open_package(package), engine, PlayOptions(out=out))
    assert (result["frames"], result["events"]) == (20, [])
    with av.open(str(out)) as container:
        languages = [s.metadata.get("language") for s in container.streams.audio]
        # MP4 has room for three letters, QuickTime for those that it knows.
        kept = {".mkv": ["en", "ger"], ".mp4": ["eng", "deu"], ".mov": ["eng", "ger"]}
        assert languages == kept[suffix]
        named = "title" if suffix == ".mkv" else "handler_name"
        assert container.streams.audio[1].metadata[named] == GERMAN.title
        flags = av.stream.Disposition
        blind, default = (s.disposition for s in container.streams.audio)
        assert default & flags.default and not blind & flags.default
        (text,) = container.streams.subtitles
        assert text.metadata["language"] == ("pt-BR" if suffix == ".mkv" else "por")
        if suffix != ".mov":  # which has no such flags
            assert blind & flags.visual_impaired and text.disposition & flags.forced
        codec = "subrip" if suffix == ".mkv" else "mov_text"
        assert text.codec_context.codec.canonical_name == codec
        chapters = [(c["metadata"]["title"], c["start"] * c["time_base"]) for c in
                    container.chapters()]  # fmt: skip
        assert chapters == [("One", 0), ("Two", pytest.approx(0.4))]
        packets = [p for p in container.demux(text) if p.pts is not None and p.size > 2]
        said = [p.decode()[0].dialogue.decode() for p in packets]
        hello = r"{\i1}Hello{\i0} &" if suffix == ".mkv" else "Hello &"
        assert said == [hello, "two\nlines"]
        assert [float(p.pts * p.time_base) for p in packets] == [0.1, 0.6]


@pytest.mark.parametrize(
    ("file", "kinds"),
    [
        ("audio-2/seg-00001.m4s", (1, 1, 2)),
        ("audio-2/init.mp4", (1, 1, 2)),
        ("audio/init.mp4", (1, 1, 2)),
        ("text/1.vtt", (2, 0, 2)),
        ("text/chapters.vtt", (2, 1, 0)),
    ],
)
def test_a_damaged_track_is_a_fault_and_costs_itself_alone(package, engine, tmp_path, file, kinds):
    path = package / file
    path.write_bytes(path.read_bytes()[:-1] + b"~")
    assert [fault.file for fault in verify_package(package).faults] == [file]
    out = tmp_path / "hr.mkv"
    result = play_package(open_package(package), engine, PlayOptions(out=out))
    assert result["frames"] == 20 and [e["what"] for e in result["events"]] == [file]
    with av.open(str(out)) as container:
        streams = container.streams
        found = len(streams.audio), len(streams.subtitles), len(container.chapters())
    assert found == kinds


def test_tracks_are_found_without_an_index_too(package, engine, tmp_path):
    (package / INDEX_PATH).unlink()
    out = tmp_path / "hr.mkv"
    play_package(open_package(package), engine, PlayOptions(out=out))
    with av.open(str(out)) as container:
        assert (len(container.streams.audio), len(container.streams.subtitles)) == (2, 1)


def test_cues_come_back():
    cues = [*WORDS, Cue(3_600_000 * 100, 3_600_000 * 100 + 1, "&lt;late&gt;")]
    assert unpack_webvtt(pack_webvtt(cues[::-1])) == cues
    assert (cues[0].plain, cues[0].tagged) == ("Hello &", "<i>Hello</i> &")
    # An empty line would end the cue, and what follows would be taken for times.
    assert unpack_webvtt(pack_webvtt([Cue(0, 1, "a\n\nb")])) == [Cue(0, 1, "a\nb")]


@pytest.mark.parametrize(
    "data",
    [b"", b"WEBVTT - \xff", b"#EXTM3U\n", b"WEBVTT\n\nno times\nword\n",
     b"WEBVTT\n\n00:00:02.000 --> 00:00:01.000\nx\n",
     b"WEBVTT\n\n00:00:02.000 --> 00:00:03.000\nx\n\n00:00:01.000 --> 00:00:03.000\nx\n",
     b"WEBVTT\n\n00:00:99.000 --> 00:01:00.000\nx\n", b"WEBVTT\n\n\n\n\n"],
)  # fmt: skip
def test_what_is_no_webvtt_is_refused(data):
    with pytest.raises(PackageError):
        unpack_webvtt(data)


def test_cues_that_overlap_are_shown_together():
    cues = [Cue(0, 400, "a"), Cue(100, 300, "b"), Cue(100, 200, "c"), Cue(500, 600, "d")]
    assert one_at_a_time(cues) == [
        Cue(0, 100, "a"), Cue(100, 200, "a\nb\nc"), Cue(200, 300, "a\nb"), Cue(300, 400, "a"),
        Cue(500, 600, "d"),
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_file_takes_cues_that_begin_together(tmp_path, suffix):
    out = tmp_path / f"hr{suffix}"
    text = Text([Cue(0, 400, "a"), Cue(0, 300, "b"), Cue(200, 500, "c")], Label("\ud800d\0e"))
    said: list[str] = []
    colour = Colour("bt709", False, "bt709", "bt709")
    with VideoWriter(
        out, (48, 64), Fraction(1, 30), colour, beside=Beside(texts=[text]), on_warning=said.append
    ) as writer:
        for pts in range(30):
            writer.write(np.zeros((48, 64, 3), np.uint8), pts)
    least = 2 if suffix == ".mp4" else 0  # of MP4, what stands between cues
    with av.open(str(out)) as container:
        read = [p for p in container.demux(subtitles=0) if p.pts is not None and p.size > least]
        words = {p.decode()[0].dialogue.decode().replace("\n", "") for p in read}
    wanted = {"a", "b", "c"} if suffix == ".mkv" else {"ab", "abc", "ac", "c"}
    assert not said and words == wanted
