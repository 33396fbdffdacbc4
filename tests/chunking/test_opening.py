"""What FFmpeg may open: a film's own container, and of a package's bytes MP4 alone."""

import os
import shutil
import socket
from pathlib import Path

import av
import numpy as np
import pytest

from chunking.audio import copy_audio
from chunking.encoders import same_scheduling
from chunking.input_error import InputError
from chunking.opening import Mp4, open_source
from chunking.video import probe, read_frames

LEADS = {
    "film.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{}\n#EXT-X-ENDLIST\n",
    "film.ffconcat": "ffconcat version 1.0\nfile '{}'\n",
    "film.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "film.mpd": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period/></MPD>',
}


@pytest.mark.parametrize("name", LEADS)
@pytest.mark.parametrize("called", ["as it is", "film.mp4"])
def test_a_film_that_leads_to_other_files_is_refused(
    make_clip, moving_frames, tmp_path, monkeypatch, name, called
):
    clip = make_clip(moving_frames(3), "other.mp4")
    lead = tmp_path / (name if called == "as it is" else called)
    lead.write_text(LEADS[name].format(clip.name))
    monkeypatch.setattr(socket, "socket", None)
    for use in (probe, lambda film: list(read_frames(film))):
        with pytest.raises(InputError, match="a playlist, which leads to other files"):
            use(lead)
    said: list[str] = []
    assert copy_audio(lead, tmp_path / "out", said.append) is None
    assert "playlist" in said[0]


@pytest.mark.parametrize("source", ["http://example.org/film.mp4", "rtsp://h/x", "HTTPS://h/f.mkv"])
def test_a_url_is_refused_clearly(source):
    with pytest.raises(InputError, match="is a URL: fetch the film, and give its file"):
        probe(source)


@pytest.mark.timeout(20)
def test_pipes_and_devices_are_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "film.mp4")
    reading, writing = os.pipe()
    for source in (tmp_path / "film.mp4", "/dev/zero", f"/dev/fd/{reading}"):
        with pytest.raises(InputError, match="write the film to a file first"):
            probe(source)
        said: list[str] = []
        assert copy_audio(Path(source), tmp_path / "out", said.append) is None and said
    os.close(reading)
    os.close(writing)


def test_standard_input_is_refused_clearly():
    with pytest.raises(InputError, match="standard input, which can be read once"):
        probe("-")


@pytest.mark.parametrize("source", ["testsrc2=duration=1.lavfi", "/dev/video0", "C:film.mp4"])
def test_what_is_no_file_is_no_device_either(source):
    with pytest.raises(InputError, match="does not exist"):
        probe(source)


@pytest.mark.parametrize(
    "name",
    [
        "12:30.mp4",
        "http:film.mp4",
        "a 'b' %d#?.mp4",
        "pipe:0",
        "-.mp4",
        "n" * 250,
        "no\udcffutf8.mp4",
    ],
)
def test_a_name_is_a_name(make_clip, moving_frames, tmp_path, monkeypatch, name):
    clip = make_clip(moving_frames(3))
    named = shutil.copy(clip, tmp_path / name)
    assert len(list(read_frames(named))) == 3
    monkeypatch.chdir(tmp_path)
    assert len(list(read_frames(name))) == 3


@pytest.mark.parametrize("name", ["clip.mkv", "clip.ts", "clip.avi", "clip.h264"])
def test_bytes_of_a_package_are_mp4_and_nothing_else(make_clip, moving_frames, name):
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    clip = make_clip(moving_frames(3), name, codec=codec)
    assert len(list(read_frames(clip))) == 3
    with pytest.raises(InputError, match="not a video"):
        open_source(Mp4("part", clip.read_bytes()))


def test_codecs_that_no_package_has_do_not_decode(make_clip, moving_frames):
    """FFmpeg has some hundred of them, and a package needs three."""
    clip = make_clip(moving_frames(3), "clip.mp4", codec="mpeg4")
    assert probe(clip).codec == "mpeg4"
    with pytest.raises(InputError):
        probe(Mp4("part", clip.read_bytes()))


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1"])
def test_frames_are_of_the_size_that_they_must_have(make_clip, moving_frames, codec):
    with same_scheduling():
        data = make_clip(moving_frames(3, 96, 128), "clip.mp4", codec=codec).read_bytes()
    assert probe(Mp4("part", data, (96, 128))).width == 128
    for size in ((96, 126), (94, 128), (128, 96)):
        with pytest.raises(InputError, match="part has frames of 128x96 px"):
            probe(Mp4("part", data, size))


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1"])
def test_larger_frames_are_not_even_decoded(make_clip, codec):
    """Whatever the container says of their size: here it has the one that is asked for."""
    # Of two frames x265 leaves the times of decoding to chance.
    pictures = [np.zeros((512, 512, 3), np.uint8)] * 3
    with same_scheduling():
        data = make_clip(pictures, "clip.mp4", codec=codec).read_bytes()
    with open_source(Mp4("part", data, (512, 512))) as container:
        assert len(list(container.decode(video=0))) == 3
    small, large = (48).to_bytes(2, "big") * 2, (512).to_bytes(2, "big") * 2
    assert data.count(large) == 1  # in the sample entry
    with (
        open_source(Mp4("part", data.replace(large, small), (48, 48))) as container,
        pytest.raises(av.FFmpegError),
    ):
        list(container.decode(video=0))


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_tags_that_are_not_utf_8_are_no_damage(make_clip, moving_frames, tmp_path, ending):
    """As old files have them. No muxer of ours writes such a tag, so its bytes are put in."""
    clip, film = make_clip(moving_frames(3), "plain.mp4"), tmp_path / f"film.{ending}"
    with av.open(clip) as source, av.open(film, "w") as out:
        out.metadata["title"] = "Cafe!"
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    data = film.read_bytes()
    assert data.count(b"Cafe!") == 1
    film.write_bytes(data.replace(b"Cafe!", b"Caf\xe9!"))
    assert probe(film).width and len(list(read_frames(film))) == 3
