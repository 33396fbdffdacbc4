"""Sound as films really have it: kept where it can be, and else left out with a word."""

from __future__ import annotations

import stat
from fractions import Fraction

import av
import numpy as np
import pytest

from chunking import aac, audio
from chunking.audio import copy_audio, sound_as_aac
from chunking.input_error import InputError
from chunking.isobmff import SegmentSplitter
from chunking.opening import Mp4, open_source
from chunking.video import probe, read_frames

SECONDS = 2


@pytest.fixture
def film(tmp_path, moving_frames):
    """Writes a film of two seconds with a tone, whose sound begins `start_s` later."""

    def make(name: str, codec: str, rate: int = 48000, layout: str = "mono", start_s: float = 0.0):
        path = tmp_path / name
        with av.open(str(path), "w") as out:
            video = out.add_stream("libx264", rate=30)
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            sound = out.add_stream(codec, rate=rate, layout=layout)
            for picture in moving_frames(30 * SECONDS):
                out.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            out.mux(video.encode(None))
            tone = np.sin(np.arange(SECONDS * rate) * 440 * 2 * np.pi / rate)
            samples = np.tile(tone.astype(np.float32) / 4, (sound.layout.nb_channels, 1))
            for at in range(0, len(tone), 4800):
                part = np.ascontiguousarray(samples[:, at : at + 4800])
                frame = av.AudioFrame.from_ndarray(part, "fltp", layout)
                frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = at + round(start_s * rate)
                out.mux(sound.encode(frame))
            out.mux(sound.encode(None))
        return path

    return make


@pytest.fixture
def copied(tmp_path):
    """(what was said, the segments as one MP4 or None)."""

    def copy(source, **options):
        said: list[str] = []
        files = copy_audio(source, tmp_path / "out", said.append, **options)
        if files is None:
            return said, None
        data = b"".join(path.read_bytes() for path in files.files)
        return said, Mp4("copied", data)

    return copy


def played(sound: Mp4) -> tuple[float, float]:
    """Start and end, in seconds, of what decodes."""
    with open_source(sound) as container:
        frames = list(container.decode(audio=0))
        return frames[0].time, frames[-1].time + frames[-1].samples / frames[-1].sample_rate


def test_aac_of_a_transport_stream_is_copied(film, copied):
    """There each packet has a header of its own, which MP4 has once."""
    source = film("a.ts", "aac")
    said, sound = copied(source)
    assert not said
    start, end = played(sound)
    assert end - start == pytest.approx(SECONDS, abs=0.06)
    with open_source(sound) as container, av.open(str(source)) as original:
        ours = [bytes(p) for p in container.demux(audio=0) if p.dts is not None]
        theirs = [bytes(p)[7:] for p in original.demux(audio=0) if p.dts is not None]
    assert ours == theirs


def test_a_codec_that_ffmpeg_does_not_know_is_left_out_and_said(film, copied):
    source = film("a.mp4", "ac3")
    source.write_bytes(source.read_bytes().replace(b"ac-3", b"ac-4"))
    (said,), sound = copied(source)
    assert sound is None and "left out" in said and "no decoder" in said


def test_one_damaged_packet_costs_itself_alone(film, copied):
    """A packet of the transport stream is missing, as after a moment of bad reception."""
    source = film("a.ts", "mp2")
    whole = played(copied(source)[1])
    packets = [source.read_bytes()[at : at + 188] for at in range(0, source.stat().st_size, 188)]
    places = [i for i, p in enumerate(packets) if int.from_bytes(p[1:3]) & 0x5FFF == 0x101]
    del packets[places[len(places) // 2]]  # within the sound's, where no frame begins
    source.write_bytes(b"".join(packets))
    said, sound = copied(source)
    assert "packets of it do not decode" in said[-1]
    # Silence in its place: what follows is where it was.
    assert played(sound) == pytest.approx(whole, abs=0.03)


@pytest.mark.parametrize(
    ("codec", "rate", "layout", "becomes"),
    [
        ("pcm_s16le", 37800, "stereo", "stereo"),
        ("pcm_s16le", 192000, "mono", "mono"),
        ("pcm_s16le", 48000, "5.1(side)", "5.1"),
        ("pcm_s16le", 48000, "5.1", "5.1"),
        ("pcm_s16le", 48000, "quad", "4.0"),
        ("pcm_s24le", 8000, "6.1", "stereo"),
    ],
)
def test_any_rate_and_layout_becomes_aac(film, copied, codec, rate, layout, becomes):
    said, sound = copied(film("a.mov", codec, rate, layout))
    start, end = played(sound)
    assert end - start == pytest.approx(SECONDS, abs=0.06)
    with open_source(sound) as container:
        assert container.streams.audio[0].layout.nb_channels == av.AudioLayout(becomes).nb_channels
    same = layout.removesuffix("(side)") == becomes
    assert len(said) == (1 if same else 2) and (same or f"({layout}) become {becomes}" in said[1])


def test_channels_in_an_order_of_their_own_become_those_of_a_layout_with_a_name(tmp_path, copied):
    """QuickTime's MPEG_7_1_C: the sides before the back, which PyAV frees twice."""
    source = tmp_path / "a.mov"
    tone = np.zeros((48000, 8), "i2")
    tone[:, 4] = 8000 * np.sin(np.arange(48000) / 17)
    with av.open(str(source), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=48000, layout="7.1")
        frame = av.AudioFrame.from_ndarray(tone.reshape(1, -1), "s16", "7.1")
        frame.sample_rate, frame.pts = 48000, 0
        out.mux([*stream.encode(frame), *stream.encode(None)])
    data = source.read_bytes()
    at = data.index(b"chan") + 8
    source.write_bytes(data[:at] + bytes.fromhex("0080000800000000") + data[at + 8 :])
    said, sound = copied(source)
    assert len(said) == 1 and "encoded again" in said[0]
    with open_source(sound) as container:
        (stream,) = container.streams.audio
        assert stream.layout.name == "7.1"
        packed = av.AudioResampler("flt")  # PyAV 18.1 reads beyond eight planes
        frames = [f for frame in container.decode(stream) for f in packed.resample(frame)]
        energy = sum(np.square(f.to_ndarray().reshape(-1, 8)).sum(axis=0) for f in frames)
    # In that file the fifth place is the left side's; in AAC's 7.1 it is the seventh.
    assert np.argmax(energy) == ["FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"].index("SL")


def put_in_place_of_python(monkeypatch, tmp_path, text: str) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setattr(aac.sys, "executable", str(program))


@pytest.mark.parametrize(
    ("program", "reason"),
    [("kill -ABRT $$", "its decoder fails"), ("exec sleep 60", "hangs"), ("exit 1", "fails")],
)
def test_a_decoder_that_ends_its_process_costs_the_sound_alone(
    film, copied, tmp_path, monkeypatch, program, reason
):
    source = film("a.mov", "pcm_s16le")
    monkeypatch.setattr("chunking.audio._LEAST_S", 0)
    put_in_place_of_python(monkeypatch, tmp_path, program)
    said, sound = copied(source)
    assert sound is None and "left out" in said[-1] and reason in said[-1]


def test_sound_that_begins_behind_the_cut_is_none_and_that_is_said(film, copied):
    source = film("a.mkv", "ac3", start_s=1.0)
    (said,), sound = copied(source, end_s=0.5)
    assert sound is None and "does not begin before its 0.50 s are over" in said
    said, sound = copied(source)
    assert not said and played(sound)[0] == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("codec", ["ac3", "mp2", "aac"])
def test_times_that_begin_again_follow_those_before(film, copied, codec):
    """Two recordings in one file, as a receiver writes them when the programme changes."""
    one = film("one.ts", codec)
    both = one.with_name("both.ts")
    both.write_bytes(one.read_bytes() * 2)
    said, sound = copied(both)
    assert sum("begin again" in line for line in said) == 1
    start, end = played(sound)
    assert end - start == pytest.approx(2 * SECONDS, abs=0.15)
    told: list[str] = []
    info, frames = probe(both), list(read_frames(both, on_warning=told.append))
    assert sum("begin again" in line for line in told) == 1
    assert len(frames) == 2 * 30 * SECONDS
    length = float((frames[-1].pts - frames[0].pts) * info.time_base)
    assert length == pytest.approx(2 * SECONDS - 1 / 30, abs=0.1)


def test_sound_is_moved_as_the_pictures_are(film, copied):
    source = film("a.mkv", "ac3")
    here, moved = played(copied(source)[1]), played(copied(source, early_s=Fraction(1, 2))[1])
    assert moved[1] - here[1] == pytest.approx(0.5, abs=0.001)


def test_sound_of_a_package_is_opened_as_mp4_in_the_other_process_too(film):
    opus, other = film("a.mp4", "libopus"), film("a.mkv", "libopus")
    with open_source(Mp4("aac", sound_as_aac(opus.read_bytes()))) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
    with pytest.raises(InputError, match="not a video"):
        sound_as_aac(other.read_bytes())


@pytest.mark.parametrize("into_s", [0.5, 1.5])
def test_sound_and_picture_stay_together_where_a_transport_streams_clock_wraps(
    film, copied, into_s
):
    """It counts 33 bits, 26.5 hours; FFmpeg lets such a film begin before zero."""
    plain = film("plain.ts", "ac3")
    wrapped = plain.with_name("wrapped.ts")
    begins_s = 2**33 / 90000 - into_s
    with (
        av.open(str(plain)) as source,
        av.open(str(wrapped), "w", options={"output_ts_offset": str(begins_s)}) as target,
    ):
        copies = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
    apart = []
    for path in (plain, wrapped):
        info, said = probe(path), list[str]()
        *_, last = read_frames(path, on_warning=said.append)
        _, sound = copied(path, early_s=info.early_s)
        apart.append(played(sound)[1] - float(last.pts * info.time_base))
        assert (info.early_s > 0) == (path == wrapped)
    assert apart[1] == pytest.approx(apart[0], abs=0.001)


def overwrite(path, numbers) -> None:
    """The packets of the sound of these numbers, but for their first bytes."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(audio=0) if p.dts is not None]
    data = bytearray(path.read_bytes())
    for n in numbers:
        data[packets[n].pos + 8 : packets[n].pos + packets[n].size] = bytes(
            255 - i % 200 for i in range(packets[n].size - 8)
        )
    path.write_bytes(data)


@pytest.mark.parametrize("codec", ["aac", "ac3", "eac3", "flac", "libmp3lame", "libopus"])
def test_whole_sound_is_copied_without_a_word(film, copied, codec):
    said, sound = copied(film("whole.mkv", codec))
    assert not said and played(sound)[1] == pytest.approx(SECONDS, abs=0.06)


@pytest.mark.parametrize("codec", ["aac", "ac3", "eac3", "flac"])
def test_damage_in_sound_that_is_copied_is_said_and_left_out(film, copied, codec):
    """Of these FFmpeg's decoders see any damage: by checksums, or as no bits of AAC follow."""
    path = film("damaged.mp4", codec)
    overwrite(path, [9, 10, 14])
    said, sound = copied(path)
    assert said == ["3 packets of it do not decode: they are left out"]
    with open_source(sound) as container:
        assert all(packet.decode() is not None for packet in container.demux(audio=0))


def test_damage_behind_the_cut_is_nobodys(film, copied):
    path = film("damaged.mp4", "ac3")
    overwrite(path, [50])
    assert copied(path, end_s=1.0)[0] == []


def test_a_decoder_that_fails_leaves_the_sound_as_it_is(film, copied, monkeypatch):
    def fails(*arguments):
        raise InputError("its decoder hangs")

    monkeypatch.setattr(audio, "check_sound", fails)
    said, sound = copied(film("whole.mp4", "aac"))
    assert said == ["it is copied, damaged or not: its decoder hangs"]
    assert played(sound)[1] == pytest.approx(SECONDS, abs=0.06)


def changing(path, forms) -> None:
    """A second of a tone in each of `forms` (rate, layout), one stream, as broadcasts have it."""
    parts = []
    for n, (rate, layout) in enumerate(forms):
        part = path.with_name(f"{n}.aac")
        with av.open(str(part), "w", format="adts") as out:
            sound = out.add_stream("aac", rate=rate, layout=layout)
            tone = np.sin(np.arange(rate) * 440 * 2 * np.pi / rate).astype(np.float32) / 4
            samples = np.tile(tone, (sound.layout.nb_channels, 1))
            frame = av.AudioFrame.from_ndarray(samples, "fltp", layout)
            frame.sample_rate, frame.pts = rate, 0
            out.mux([*sound.encode(frame), *sound.encode(None)])
        parts.append(part)
    with av.open(str(path), "w", format="mpegts") as out:
        stream, base, at = None, Fraction(1, 90000), 0
        for part, (rate, _) in zip(parts, forms, strict=True):
            with av.open(str(part)) as source:
                stream = stream or out.add_stream_from_template(source.streams.audio[0])
                for packet in source.demux(audio=0):
                    if packet.size:
                        packet.stream, packet.time_base = stream, base
                        packet.pts = packet.dts = at
                        packet.duration = 1024 * 90000 // rate
                        at += packet.duration
                        out.mux(packet)


@pytest.mark.parametrize(
    "forms",
    [((48000, "stereo"), (48000, "5.1")), ((48000, "5.1"), (48000, "stereo")),
     ((48000, "mono"), (32000, "mono")), ((48000, "stereo"), (44100, "mono"), (48000, "stereo"))],
)  # fmt: skip
def test_sound_that_changes_its_rate_or_channels_is_one_sound(tmp_path, copied, forms):
    """MP4 describes it once: copied, all behind the first change was lost."""
    path = tmp_path / "changing.ts"
    changing(path, forms)
    said, sound = copied(path)
    assert any("its rate or channels change: it is encoded again as AAC" in line for line in said)
    with open_source(sound) as container:
        frames = list(container.decode(audio=0))
    assert {(f.sample_rate, f.layout.name) for f in frames} == {forms[0]}
    loud = [f for f in frames if np.abs(f.to_ndarray()).max() > 0.05]
    seconds = sum(f.samples for f in loud) / forms[0][0]
    assert seconds == pytest.approx(len(forms), abs=0.15)
    times = [f.time for f in frames]
    assert times == sorted(times)


@pytest.mark.parametrize("place", [0, 4, 5])
@pytest.mark.parametrize("name", ["headers.mkv", "headers.mp4"])
def test_a_damaged_header_of_ac3_costs_its_packet_alone(film, copied, name, place):
    path = film(name, "ac3")
    with av.open(str(path)) as container:
        packets = [bytes(p) for p in container.demux(audio=0) if p.size]
    data = bytearray(path.read_bytes())
    data[data.index(packets[30]) + place] ^= 0xFF
    path.write_bytes(data)
    said, sound = copied(path)
    assert len(said) == 1 and "1 packets of it" in said[0] and "left out" in said[0]
    assert played(sound)[1] == pytest.approx(SECONDS, abs=0.06)


def test_a_muxer_that_writes_no_boxes_is_an_error_and_no_hang():
    with pytest.raises(ValueError, match="no MP4"):
        SegmentSplitter(print).write(bytes(8))


def test_a_first_packet_that_begins_before_zero_is_kept_if_it_ends_behind(film, copied):
    """The encoder of AC-3 is 256 samples late: FFmpeg's MP4 begins its first packet by so much
    before zero."""
    path = film("late.mp4", "ac3")
    said, sound = copied(path)
    assert not said and played(sound)[0] == 0
    with open_source(path) as container, open_source(sound) as kept:
        counts = [sum(1 for p in c.demux(audio=0) if p.size) for c in (container, kept)]
    assert counts[0] == counts[1]
