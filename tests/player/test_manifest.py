"""The manifests, read back by other people's programs."""

import json
import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from player.package.dash import dash_manifest
from player.package.hls import master_playlist, media_playlist
from player.package.manifest import write_manifests
from player.package.package_error import PackageError
from player.package.streams import Segment, StreamFiles

NAMESPACE = {"": "urn:mpeg:dash:schema:mpd:2011"}


@pytest.fixture
def video(tmp_path):
    return make_stream(tmp_path, "video", [(3000, 1200), (4200, 1200), (5400, 1200), (7000, 700)])


def make_stream(folder: Path, kind: str, spans: list[tuple[int, int]]) -> StreamFiles:
    (folder / kind).mkdir()
    (folder / kind / "init.mp4").write_bytes(b"init")
    segments = []
    for number, (start, duration) in enumerate(spans, start=1):
        path = folder / kind / f"seg-{number:05d}.m4s"
        path.write_bytes(bytes(1000))
        segments.append(Segment(path, start, duration, 60))
    size = (480, 270) if kind == "video" else (0, 0)
    codec = "av01.0.01M.08" if kind == "video" else "mp4a.40.2"
    init = folder / kind / "init.mp4"
    return StreamFiles(init, tuple(segments), 600, codec, *size, 9000)


def test_the_timeline_tells_gaps_and_repeats(video):
    mpd = ET.fromstring(dash_manifest(video))
    template = mpd.find(".//SegmentTemplate", NAMESPACE)
    assert template.attrib == {
        "timescale": "600",
        "startNumber": "1",
        "presentationTimeOffset": "3000",
        "initialization": "video/init.mp4",
        "media": "video/seg-$Number%05d$.m4s",
    }
    entries = [s.attrib for s in template.findall(".//S", NAMESPACE)]
    assert entries == [{"t": "3000", "d": "1200", "r": "2"}, {"t": "7000", "d": "700"}]
    assert mpd.get("mediaPresentationDuration") == "PT7.833333S"


def test_the_video_says_what_it_is(video):
    mpd = ET.fromstring(dash_manifest(video))
    (kind,) = mpd.findall(".//AdaptationSet", NAMESPACE)
    assert (kind.get("mimeType"), kind.get("startWithSAP")) == ("video/mp4", "1")
    representation = kind.find("Representation", NAMESPACE)
    wanted = {"codecs": "av01.0.01M.08", "width": "480", "height": "270", "bandwidth": "9000"}
    assert wanted.items() <= representation.attrib.items()


@pytest.mark.parametrize(
    ("frames", "ticks", "timescale", "rate"),
    [
        (240, 240 * 1001, 24000, Fraction(24000, 1001)),
        (50, 600, 600, Fraction(50)),
        (1, 0, 600, Fraction(600)),
    ],
)
def test_the_frame_rate_is_a_fraction(video, frames, ticks, timescale, rate):
    segment = replace(video.segments[0], frames=frames, duration_ticks=ticks)
    assert replace(video, segments=(segment,), timescale=timescale).frame_rate == rate


def test_sound_has_a_set_and_a_playlist_of_its_own(video, tmp_path):
    audio = make_stream(tmp_path, "audio", [(0, 1200)])
    mpd = ET.fromstring(dash_manifest(video, [audio]))
    kinds = [s.get("contentType") for s in mpd.findall(".//AdaptationSet", NAMESPACE)]
    assert kinds == ["video", "audio"]
    master = master_playlist(video, [audio])
    assert 'CODECS="av01.0.01M.08,mp4a.40.2"' in master
    assert 'AUDIO="audio"' in master and 'URI="audio.m3u8"' in master
    assert "BANDWIDTH=18000," in master and "RESOLUTION=480x270" in master


def test_sound_and_picture_keep_their_distance(video, tmp_path):
    audio = make_stream(tmp_path, "audio", [(600, 1200)])  # one second in, the picture at five
    mpd = ET.fromstring(dash_manifest(video, [audio]))
    templates = mpd.findall(".//SegmentTemplate", NAMESPACE)
    assert [t.get("presentationTimeOffset") for t in templates] == ["600", "600"]
    assert mpd.get("mediaPresentationDuration") == "PT11.833333S"


def test_the_playlist_counts_every_segment_with_its_length(video):
    lines = media_playlist("video", video.lengths_s).splitlines()
    assert lines[0] == "#EXTM3U" and lines[-1] == "#EXT-X-ENDLIST"
    assert '#EXT-X-MAP:URI="video/init.mp4"' in lines
    assert "#EXT-X-TARGETDURATION:2" in lines
    at = lines.index("#EXTINF:1.166667,")
    assert lines[at + 1] == "video/seg-00004.m4s"
    assert sum(line.endswith(".m4s") for line in lines) == 4


def test_a_segment_of_another_name_is_refused(video, tmp_path):
    first = replace(video.segments[0], path=tmp_path / "video" / "one.m4s")
    with pytest.raises(PackageError, match="not named"):
        write_manifests(tmp_path, replace(video, segments=(first,)))


def test_mpegdash_reads_the_manifest(made_package):
    parser = pytest.importorskip("mpegdash.parser", reason="pip install mpegdash").MPEGDASHParser
    mpd = parser.parse(str(made_package / "manifest.mpd"))
    (kind,) = mpd.periods[0].adaptation_sets
    representation = kind.representations[0]
    assert (representation.width, representation.height) == (48, 36)
    timeline = representation.segment_templates[0].segment_timelines[0]
    count = sum(1 + (s.r or 0) for s in timeline.Ss)
    assert count == len(list((made_package / "video").glob("seg-*.m4s")))


@pytest.mark.skipif(not shutil.which("ffprobe"), reason="ffprobe missing: `make tools`")
@pytest.mark.parametrize("name", ["manifest.mpd", "master.m3u8"])
def test_ffprobe_counts_every_frame(made_package, name):
    command = ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-of", "json"]
    command += ["-allowed_extensions", "ALL"] if name.endswith("m3u8") else []
    name = f"{made_package.name}/{name}"  # relative, which FFmpeg's DASH reader stumbles over
    result = subprocess.run(
        [*command, name], capture_output=True, text=True, cwd=made_package.parent
    )
    if "Invalid data" in result.stderr and name.endswith("mpd"):
        pytest.skip("this ffprobe is built without libxml2, which its DASH reader needs")
    assert result.returncode == 0, result.stderr
    (stream,) = json.loads(result.stdout)["streams"]
    assert (stream["width"], stream["height"]) == (48, 36)
    assert int(stream["nb_read_frames"]) == 20


@pytest.mark.parametrize(
    ("transfer", "name"), [("smpte2084", "PQ"), ("arib-std-b67", "HLG"), ("bt709", "SDR")]
)
def test_hls_says_what_the_screen_has_to_show(video, transfer, name):
    assert f",VIDEO-RANGE={name}\n" in master_playlist(replace(video, transfer=transfer))


def test_pixels_that_are_not_square(video):
    wide = replace(video, sample_aspect_ratio=Fraction(64, 45))
    mpd = ET.fromstring(dash_manifest(wide))
    representation = mpd.find(".//Representation", NAMESPACE)
    assert [representation.get(name) for name in ("width", "height", "sar")] == [
        "480", "270", "64:45",
    ]  # fmt: skip
    assert "RESOLUTION=683x270" in master_playlist(wide)
    square = ET.fromstring(dash_manifest(video)).find(".//Representation", NAMESPACE)
    assert square.get("sar") is None


def test_the_usual_rate_is_the_films_where_it_is_known(video):
    paused = replace(video, usual_rate=Fraction(30000, 1001))
    assert 'frameRate="30000/1001"' in dash_manifest(paused)
    assert "FRAME-RATE=29.970" in master_playlist(paused)


@pytest.mark.parametrize(("ticks", "length"), [(600, "PT7.833333S"), (60000, "PT100S")])
def test_a_film_lasts_as_long_as_its_longest_stream(video, tmp_path, ticks, length):
    audio = make_stream(tmp_path, "audio", [(3000, ticks)])
    mpd = ET.fromstring(dash_manifest(video, [audio]))
    assert mpd.get("mediaPresentationDuration") == length
