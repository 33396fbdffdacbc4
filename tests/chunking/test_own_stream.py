"""A stream that is there already becomes a package's, packet by packet, if it is of the film."""

from __future__ import annotations

import errno
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from chunking.input_error import InputError
from chunking.mpd import JoinedFiles, video_files
from chunking.opening import Mp4
from chunking.own_stream import _videos, find_stream, take_stream
from chunking.stream import read_stream
from chunking.video import probe, read_frames

FRAMES, RATE = 40, 10


@pytest.fixture
def film(make_clip, moving_frames):
    times = [1000 * i // RATE for i in range(FRAMES)]
    pictures = moving_frames(FRAMES, 96, 128)
    return make_clip(pictures, "film.mp4", time_base=Fraction(1, 1000), pts=times)


@pytest.fixture
def rung(tmp_path, moving_frames):
    """Half of the film's size, with a key frame every 10 frames, times beginning at `first`."""

    def make(name="rung.mp4", codec="libx264", first=0, frames=FRAMES, options=None, step=1):
        path = tmp_path / name
        with av.open(str(path), "w") as out:
            stream = out.add_stream(codec, rate=RATE, options=options or {})
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.codec_context.gop_size = 10
            for i, picture in enumerate(moving_frames(FRAMES, 96, 128)[:frames]):
                frame = av.VideoFrame.from_ndarray(picture[::2, ::2].copy(), "rgb24")
                frame.pts, frame.time_base = first + step * i, Fraction(1, RATE)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        return path

    return make


def taken(path, film, out, segment_s=1.0):
    info, own = probe(film), find_stream(path, probe(film))
    return take_stream(own, out, info, [f.pts for f in read_frames(film)], segment_s)


def payloads(source) -> list[bytes]:
    with av.open(str(source)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1"])
def test_its_packets_are_what_they_were_and_lie_where_the_films_frames_do(
    rung, film, tmp_path, codec
):
    options = {
        "libx265": {"x265-params": "log-level=none:no-open-gop=1"},
        "libsvtav1": {"preset": "12", "svtav1-params": "keyint=10"},
    }
    # In a thread of its own: SVT-AV1, opened by root, leaves the one that calls it in real time.
    with ThreadPoolExecutor(1) as pool:
        path = pool.submit(rung, codec=codec, options=options.get(codec, {})).result()
    files = taken(path, film, tmp_path / "out")
    joined = tmp_path / "joined.mp4"
    joined.write_bytes(b"".join(part.read_bytes() for part in files.files))
    assert payloads(joined) == payloads(path)
    assert [segment.frames for segment in files.segments] == [10, 10, 10, 10]
    assert all(
        a.start_ticks + a.duration_ticks == b.start_ticks for a, b in pairwise(files.segments)
    )
    assert files.end_s == Fraction(FRAMES, RATE)
    shown = list(read_stream(files.init, [s.path for s in files.segments]))
    times = [frame.pts * Fraction(1, files.timescale) for frame in shown]
    assert times == [frame.pts * Fraction(1, 1000) for frame in read_frames(film)]
    decoded = [frame.rgb for frame in read_frames(path)]
    assert all(np.array_equal(a.rgb, b) for a, b in zip(shown, decoded, strict=True))


def test_each_segment_decodes_alone(rung, film, tmp_path):
    files = taken(rung(), film, tmp_path / "out", segment_s=1.5)
    assert [segment.frames for segment in files.segments] == [20, 20]  # at key frames alone
    for segment in files.segments:
        alone = Mp4("alone", files.init.read_bytes() + segment.path.read_bytes(), (48, 64))
        assert len(list(read_frames(alone))) == segment.frames


def test_it_is_not_cut_where_frames_before_need_the_key_frame(rung, film, tmp_path):
    """Open groups of pictures, as x265 has them by itself."""
    options = {"x265-params": "log-level=none:open-gop=1:bframes=3:scenecut=0"}
    path = rung("open.mp4", "libx265", options=options)
    files = taken(path, film, tmp_path / "out")
    assert len(files.segments) == 1 and files.frames == FRAMES
    assert len(list(read_stream(files.init, [files.segments[0].path]))) == FRAMES


@pytest.mark.parametrize("name", ["rung.ts", "rung.mkv", "late.mp4"])
def test_times_begin_where_the_films_do(rung, film, tmp_path, name):
    files = taken(rung(name, first=57), film, tmp_path / "out")
    assert (files.start_s, files.frames) == (0, FRAMES)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"frames": 39}, "has 39 frames, the film has 40"),
        ({"step": 2}, "shows frame 1 0.200 s after its first, the film 0.100 s"),
        ({"codec": "mpeg4"}, r"has mpeg4 64x48: to a film of 128x96 px fits"),
    ],
)
def test_what_is_not_of_the_film_is_said(rung, film, tmp_path, made, message):
    with pytest.raises(InputError, match=message):
        taken(rung(**made), film, tmp_path / "out")


def test_sizes_that_fit_are_named(make_clip, moving_frames, film):
    odd = make_clip(moving_frames(4, 50, 70), "odd.mp4")
    with pytest.raises(InputError, match=r"h264 70x50: .* 64x48 \(x2\), .* 128x96 \(x1\)"):
        find_stream(odd, probe(film))


def hls(path: Path, folder: Path) -> Path:
    """A master playlist over two rungs, of which one has the film's own size."""
    for name, source in (("small", path[0]), ("large", path[1])):
        with (
            av.open(str(source)) as read,
            av.open(
                str(folder / f"{name}.m3u8"),
                "w",
                format="hls",
                options={"hls_time": "1", "hls_list_size": "0"},
            ) as out,
        ):
            stream = out.add_stream_from_template(read.streams.video[0])
            for packet in read.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    out.mux(packet)
    master = folder / "master.m3u8"
    lines = [
        f"#EXT-X-STREAM-INF:BANDWIDTH={i}00000\n{n}.m3u8" for i, n in ((2, "large"), (1, "small"))
    ]
    master.write_text("\n".join(["#EXTM3U", *lines, ""]))
    return master


def test_of_a_ladder_the_largest_that_is_smaller_than_the_film_is_taken(rung, film, tmp_path):
    (tmp_path / "hls").mkdir()
    master = hls((rung(), film), tmp_path / "hls")
    own = find_stream(master, probe(film))
    assert (own.scale, own.size, own.others) == (2, (48, 64), ((96, 128),))
    files = taken(master, film, tmp_path / "out")
    assert files.frames == FRAMES and len(list(read_stream(files.init, files.files[1:]))) == FRAMES


def test_a_playlist_whose_files_are_missing_is_said(tmp_path, film):
    lost = tmp_path / "lost.m3u8"
    lost.write_text("#EXTM3U\n#EXTINF:1,\nno.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(InputError, match="cannot be read, or a file of it"):
        find_stream(lost, probe(film))


def mpd(folder: Path, inside: str, base: str = "") -> Path:
    path = folder / "film.mpd"
    path.write_text(
        '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" mediaPresentationDuration="PT1M4.5S">'
        f'{base}<Period><AdaptationSet mimeType="video/mp4">{inside}</AdaptationSet>'
        '<AdaptationSet mimeType="audio/mp4"><Representation id="a"/></AdaptationSet>'
        "</Period></MPD>"
    )
    return path


@pytest.mark.parametrize(
    ("inside", "base", "files"),
    [
        ('<Representation id="v" bandwidth="7"><SegmentTemplate initialization="'
         '$RepresentationID$/i.mp4" media="$Bandwidth$-$Number%03d$.m4s" '
         'startNumber="5" duration="20"/></Representation>', "",
         ["v/i.mp4", "7-005.m4s", "7-006.m4s", "7-007.m4s", "7-008.m4s"]),
        ('<SegmentTemplate initialization="i" media="$Time$$$"><SegmentTimeline><S t="9" d="2" '
         'r="1"/><S d="3"/></SegmentTimeline></SegmentTemplate><Representation/>',
         "<BaseURL>sub/</BaseURL>", ["sub/i", "sub/9$", "sub/11$", "sub/13$"]),
        ('<Representation><SegmentList><Initialization sourceURL="i"/><SegmentURL media="a"/>'
         '<SegmentURL media="b"/></SegmentList></Representation>', "", ["i", "a", "b"]),
        ("<Representation><BaseURL>whole.mp4</BaseURL></Representation>", "", ["whole.mp4"]),
    ],
)  # fmt: skip
def test_a_manifest_names_its_files(tmp_path, inside, base, files):
    assert video_files(mpd(tmp_path, inside, base)) == [[tmp_path / name for name in files]]


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ('<Representation><SegmentTemplate initialization="$Number$" duration="9"/>'
         '</Representation>', "damaged"),
        ('<Representation><SegmentTemplate media="m" duration="0"/></Representation>', "damaged"),
        ('<Representation><SegmentTemplate media="$Number$"><SegmentTimeline>'
         '<S d="1" r="99999999"/></SegmentTimeline></SegmentTemplate></Representation>',
         "too many"),
        ("<Representation><BaseURL>https://a/b.mp4</BaseURL></Representation>", "fetch its files"),
    ],
)  # fmt: skip
def test_manifests_that_lead_nowhere_are_refused(tmp_path, inside, message):
    with pytest.raises(InputError, match=message):
        video_files(mpd(tmp_path, inside))


def test_a_width_that_nobody_writes_is_no_width(tmp_path):
    inside = '<Representation><SegmentTemplate media="$Number%0999999999d$" duration="40"/>'
    (files,) = video_files(mpd(tmp_path, inside + "</Representation>"))
    assert files[1].name == "$Number%0999999999d$"


def test_a_folder_in_the_place_of_a_file_is_said(tmp_path, film):
    (tmp_path / "video").mkdir()
    manifest = mpd(tmp_path, "<Representation><BaseURL>video</BaseURL></Representation>")
    with pytest.raises(InputError, match="video is no file"):
        find_stream(manifest, probe(film))


def test_a_manifest_of_a_file_is_taken_as_that_file(rung, film, tmp_path):
    rung("whole.mp4")
    manifest = mpd(tmp_path, "<Representation><BaseURL>whole.mp4</BaseURL></Representation>")
    assert taken(manifest, film, tmp_path / "out").frames == FRAMES


def test_joined_files_read_as_one(tmp_path):
    data = bytes(range(251)) * 4
    cuts = [0, 1, 100, 100, 777, len(data)]
    paths = []
    for i, (a, b) in enumerate(pairwise(cuts)):
        paths.append(tmp_path / f"{i}")
        paths[-1].write_bytes(data[a:b])
    joined, rng = JoinedFiles(paths), np.random.default_rng(0)
    for at in rng.integers(0, len(data) + 5, 50).tolist():
        assert joined.seek(at) == at
        found = b""
        while part := joined.read(64):
            found += part
        assert found == data[at:]
    assert joined.seek(-3, 2) == len(data) - 3 and joined.read() == data[-3:]


def test_a_full_disk_is_no_fault_of_the_stream(rung):
    """What fails behind the opening keeps its own error."""
    with pytest.raises(OSError, match="No space") as caught, _videos(rung()):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.errno == errno.ENOSPC
