"""A hostile package: nothing outside it is read, nothing waits, no memory runs out."""

import json
import os
import resource
import shutil
import socket
import sys
import zlib
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256 as real_sha256

import av
import numpy as np
import pytest

from chunking.audio import copy_audio
from chunking.stream import write_lr_stream
from chunking.video import Frame, probe, read_frames
from player.package import entries as entries_module
from player.package import limits
from player.package.entries import SegmentEntry, SoundEntry, file_entry
from player.package.files import read_plain
from player.package.index import parse_index, read_index, write_index
from player.package.index_packing import pack_index
from player.package.layout import AUDIO, INDEX_PATH, PLAIN_INDEX_PATH, VIDEO
from player.package.package_error import PackageError
from player.package.route_maps import unpack_routes
from player.package.signature import signing_key
from player.package.verify import verify_package
from player.playback import PlayOptions, play_package
from player.session import NotAPackageError, open_package
from player.upscale import upscale
from tests.player.conftest import LR, PTS
from tests.player.indexes import sign_again, source_of, with_field

FILES = [INDEX_PATH, "sr/weights-000.bin", "sr/routes-00001.bin", "video/init.mp4",
         "video/seg-00002.m4s"]  # fmt: skip


def pipe(path, secret) -> None:
    os.mkfifo(path)


def link(path, secret) -> None:
    path.symlink_to(secret)


def device(path, secret) -> None:
    path.symlink_to("/dev/zero")


def folder(path, secret) -> None:
    path.mkdir()


def holes(path, secret) -> None:
    with path.open("wb") as file:
        file.truncate(200 << 30)


def bound_socket(path, secret) -> None:
    os.chdir(path.parent)  # the path of a socket is at most 108 bytes
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path.name)


@pytest.fixture
def secret(package_dir, tmp_path):
    """A file outside the package, which is what the index says of a segment."""
    return shutil.copytree(package_dir, tmp_path / "outside")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("put", [pipe, link, device, folder, holes, bound_socket])
def test_only_plain_files_of_the_package_are_read(
    package_dir, engine, generic_folder, secret, monkeypatch, name, put
):
    monkeypatch.chdir(package_dir)  # and back, behind the test
    (package_dir / name).unlink()
    put(package_dir / name, secret / name)
    with pytest.raises(PackageError, match=r"plain file|symbolic link|cannot be read|bytes"):
        read_plain(package_dir, name, 1 << 20)
    assert not verify_package(package_dir).ok
    try:
        frames = len(list(upscale(open_package(package_dir), engine)))
    except PackageError:
        frames = 0
    lost = {"video/init.mp4": 20, "video/seg-00002.m4s": 6}
    assert frames == 20 - lost.get(name, 0)


@pytest.mark.parametrize("kind", ["sr", "video"])
def test_a_folder_that_is_a_link_is_not_followed(package_dir, engine, secret, kind):
    shutil.rmtree(package_dir / kind)
    (package_dir / kind).symlink_to(secret / kind)
    assert not verify_package(package_dir).ok
    with pytest.raises(PackageError, match=r"symbolic link|cannot be read"):
        read_plain(package_dir, f"{kind}/{'index.bin' if kind == 'sr' else 'init.mp4'}", 1 << 20)


def test_what_is_hashed_is_what_is_shown(package_dir, engine, expected_hr, monkeypatch):
    """Files are exchanged at the very moment when they have been hashed."""

    class Exchanging:
        def sha256(self, data: bytes):
            for path in (*package_dir.glob("video/*"), *package_dir.glob("sr/[rw]*")):
                if path.read_bytes() == data:
                    path.write_bytes(data[::-1])
            return real_sha256(data)

    monkeypatch.setattr(entries_module, "hashlib", Exchanging())
    for number, frame in enumerate(upscale(open_package(package_dir), engine)):
        np.testing.assert_array_equal(frame.rgb, expected_hr(number))
    assert number == 19


LEADS = {
    "ffconcat": "ffconcat version 1.0\nfile '{}'\n",
    "playlist": "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{}\n#EXT-X-ENDLIST\n",
    "session": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "manifest": '<?xml version="1.0"?><MPD><Period><AdaptationSet><Representation>'
    "<BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>",
}


@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("signed", [True, False])
def test_segments_are_opened_as_mp4_alone(
    package_dir, engine, source_clip, monkeypatch, lead, signed
):
    """Neither other files are read, nor sockets opened."""
    text = LEADS[lead].format(source_clip).encode()
    for path in (package_dir / VIDEO).iterdir():
        path.write_bytes(text if path.name == "init.mp4" else b"\n")
    if signed:
        sign_again(package_dir)
    else:
        (package_dir / INDEX_PATH).unlink()
    monkeypatch.setattr(socket, "socket", None)
    with pytest.raises(NotAPackageError, match="no frame"):
        list(upscale(open_package(package_dir), engine))


@pytest.fixture
def with_other_frames(package_dir, source_clip, tmp_path):
    """Puts an LR stream of frames of another size into the package, and signs it."""

    def put(width: int, height: int, codec: str) -> None:
        frames = [Frame(np.zeros((height, width, 3), np.uint8), t, i) for i, t in enumerate(PTS)]
        info = probe(source_clip)
        made = write_lr_stream(frames, tmp_path / "other", info, codec, segment_s=0.35)
        for file in made.files:
            shutil.copy(file, package_dir / VIDEO / file.name)
        sign_again(package_dir)

    return put


@pytest.mark.parametrize("codec", ["h264", "av1"])
@pytest.mark.parametrize("size", [(1024, 1024), (LR[0] + 2, LR[1])])
def test_frames_of_another_size_than_the_index_says_are_not_shown(
    package_dir, engine, with_other_frames, codec, size
):
    with_other_frames(*size, codec)
    events = []
    with pytest.raises(NotAPackageError, match="no frame"):
        list(upscale(open_package(package_dir), engine, on_event=events.append))
    assert len(events) == 4 and all(e.kind == "video" for e in events)


def test_without_a_signature_frames_are_at_most_what_a_package_may_have(
    package_dir, engine, with_other_frames, monkeypatch
):
    with_other_frames(512, 512, "h264")
    (package_dir / INDEX_PATH).unlink()
    assert len(list(upscale(open_package(package_dir), engine))) == 20
    monkeypatch.setattr("chunking.opening.MAX_LR_PIXELS", 128 * 128)
    monkeypatch.setattr("chunking.opening.MAX_LR_SIDE_PX", 128)
    with pytest.raises(NotAPackageError, match="no frame"):
        list(upscale(open_package(package_dir), engine))


def test_a_file_named_many_times_is_refused(old_index):
    """60,000 entries of one file would have it hashed as often."""
    first = old_index["segments"][0]
    many = [first | {"start": i, "frames": 1} for i in range(60_000)]
    source = with_field(with_field(old_index, "segments", many), "frames", 60_000)
    with pytest.raises(PackageError, match="named twice"):
        parse_index(source | {"routes": []})


@pytest.mark.parametrize(
    "data",
    [
        b'{"schema":"pocketsr.index/2","x":[' + b"[]," * 3_500_000 + b"0]}",
        b'{"a":' * 100_000 + b"0" + b"}" * 100_000,
        b'{"schema":' + b"[" * 1_000_000,
    ],
)
def test_an_index_that_is_too_long_or_too_deep_is_refused(package_dir, data):
    (package_dir / INDEX_PATH).write_bytes(pack_index(data))
    with pytest.raises(PackageError, match=r"more than 4194304 bytes|not JSON"):
        read_index(package_dir)
    assert not verify_package(package_dir).ok
    (package_dir / INDEX_PATH).unlink()
    (package_dir / PLAIN_INDEX_PATH).write_bytes(data)
    with pytest.raises(PackageError, match=r"bytes, not at most 4194304|not JSON"):
        read_index(package_dir)


def test_no_depth_of_json_stops_a_player(package_dir):
    """What is just not too deep to be parsed may be too deep for its signature to be looked at."""
    text = json.dumps(source_of(package_dir))
    for depth in range(800, 1000, 3):
        deep = text[:-1] + ',"x":' + "[" * depth + "]" * depth + "}"
        (package_dir / INDEX_PATH).write_bytes(pack_index(deep.encode()))
        assert open_package(package_dir).signer is None
        assert not verify_package(package_dir).ok


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units there")
def test_a_route_map_that_unfolds_is_refused_before(package_dir, engine):
    """261 kB that inflate to 268 M cells, of a segment that says it has them."""
    frames, rows, columns = 65_535, 64, 64
    cells = zlib.compressobj(9)
    zeros = bytes(1 << 20)
    packed = b"".join(cells.compress(zeros) for _ in range(frames * rows * columns >> 20))
    header = (
        b"PSRR" + bytes([1]) + b"".join(n.to_bytes(2, "little") for n in (frames, rows, columns))
    )
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for shape in (None, (frames, rows, columns), (5, 3, 3)):
        with pytest.raises(PackageError, match=r"outside the limits|not of"):
            unpack_routes(header + packed + cells.flush(zlib.Z_SYNC_FLUSH), shape)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 50 << 10


def test_a_map_of_another_shape_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(limits, "MAX_ROUTE_CELLS", 1 << 30)
    blob = b"PSRR" + bytes([1, 0, 1, 9, 0, 9, 0]) + b"never looked at"
    with pytest.raises(PackageError, match="not of"):
        unpack_routes(blob, (5, 9, 9))


@pytest.fixture
def with_sound(package_dir, source_clip):
    """The package with the film's sound, in two segments or more, and signed."""
    audio = copy_audio(source_clip, package_dir, segment_s=0.5)
    assert audio is not None and len(audio.segments) > 1
    index = read_index(package_dir).index
    segments = tuple(
        SegmentEntry(
            **vars(file_entry(package_dir, s.path)),
            start=s.start_ticks, duration=s.duration_ticks, frames=s.frames,
        )
        for s in audio.segments
    )  # fmt: skip
    init = file_entry(package_dir, audio.init)
    base = Fraction(1, audio.timescale)
    changed = replace(index, sounds=(SoundEntry(init, segments, base),))
    write_index(package_dir, changed, signing_key())
    return package_dir


def swap(folder) -> None:
    one, two = (folder / f"seg-0000{i}.m4s" for i in (1, 2))
    first = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(first)


def cut(folder) -> None:
    path = folder / "init.mp4"
    path.write_bytes(path.read_bytes()[:200])


def opus(folder) -> None:
    """Sound in another codec than the segments are in."""
    with av.open(str(folder / "init.mp4"), "w", format="mp4") as out:
        stream = out.add_stream("libopus", rate=48000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 9600), "f4"), "flt", "mono")
        silence.sample_rate, silence.pts = 48000, 0
        out.mux(stream.encode(silence))
        out.mux(stream.encode(None))


DAMAGED_SOUND = {
    "init missing": lambda folder: (folder / "init.mp4").unlink(),
    "init empty": lambda folder: (folder / "init.mp4").write_bytes(b""),
    "init cut": cut,
    "another codec": opus,
    "swapped": swap,
    "repeated": lambda f: shutil.copy(f / "seg-00001.m4s", f / "seg-00002.m4s"),
    "noise": lambda f: (f / "seg-00002.m4s").write_bytes(os.urandom(9000)),
    "longer": lambda f: (f / "seg-00001.m4s").open("ab").write(bytes(5000)),
    "no segment": lambda f: [path.unlink() for path in f.glob("seg*")],
}


@pytest.mark.parametrize("damage", DAMAGED_SOUND)
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_damaged_sound_never_stops_the_video(
    with_sound, engine, generic_folder, tmp_path, damage, signed, suffix
):
    if not signed:
        (with_sound / INDEX_PATH).unlink()
    DAMAGED_SOUND[damage](with_sound / AUDIO)
    out = tmp_path / f"film{suffix}"
    result = play_package(open_package(with_sound), engine, PlayOptions(out=out))
    assert result["frames"] == 20 and len(list(read_frames(out))) == 20
    said = [e for e in result["events"] if "audio" in e["what"]]
    # What decodes without a word, because nobody signed what it should be, is played.
    assert said or (not signed and damage in ("longer", "noise", "no segment"))


@pytest.mark.parametrize("start", [1 << 61, -(1 << 61), 1 << 40, -(1 << 40)])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_times_that_no_film_has_are_not_written(package_dir, engine, tmp_path, start, suffix):
    index = read_index(package_dir).index
    moved = tuple(replace(s, start=s.start + start) for s in index.segments)
    write_index(package_dir, replace(index, segments=moved), signing_key())
    out = tmp_path / f"hr{suffix}"
    made = play_package(open_package(package_dir), engine, PlayOptions(out=out))
    assert made["frames"] == len(list(read_frames(out))) == len(PTS)
