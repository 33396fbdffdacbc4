"""`manifest.mpd` (DASH) and `master.m3u8` (HLS) over the same CMAF segments.

    video/init.mp4  video/seg-00001.m4s ...  <--- manifest.mpd
    audio/init.mp4  audio/seg-00001.m4s ...  <--- master.m3u8 -> video.m3u8, audio.m3u8

Both stay plain, so that every player accepts them and shows the LR video; only `sr/index.json`
knows of the network. DASH: ISO/IEC 23009-1, live profile with a SegmentTimeline, which is exact
for variable frame rates. HLS: RFC 8216.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby
from pathlib import Path

from player.package.atomic import write_text
from player.package.errors import PackageError
from player.package.streams import SegmentFile, Stream

MPD_NAME, MASTER_NAME = "manifest.mpd", "master.m3u8"
_MPD_NAMESPACE = "urn:mpeg:dash:schema:mpd:2011"
_LIVE_PROFILE = "urn:mpeg:dash:profile:isoff-live:2011"


def write_manifests(package: Path, video: Stream, audio: Stream | None) -> None:
    """Write both manifests into the folder `package`, the masters last.

    Raises PackageError where a segment's name is not as the templates say, OSError.
    """
    streams = {"video": video} | ({"audio": audio} if audio else {})
    for kind, stream in streams.items():
        _check_names(package, kind, stream)
        write_text(package / f"{kind}.m3u8", media_playlist(kind, stream))
    write_text(package / MASTER_NAME, master_playlist(video, audio))
    write_text(package / MPD_NAME, dash_manifest(video, audio))


def _check_names(package: Path, kind: str, stream: Stream) -> None:
    wanted = [f"{kind}/init.mp4", *(_segment_name(kind, i + 1) for i in _numbers(stream))]
    found = [stream.init, *(s.path for s in stream.segments)]
    if [p.relative_to(package).as_posix() for p in found] != wanted:
        raise PackageError(f"{kind}: segments are not named {wanted[0]}, {wanted[1]}, ...")


def _numbers(stream: Stream) -> range:
    return range(len(stream.segments))


def _segment_name(kind: str, number: int) -> str:
    return f"{kind}/seg-{number:05d}.m4s"


def dash_manifest(video: Stream, audio: Stream | None) -> str:
    """The MPD of a finished film, as text. Its time starts where the earlier stream does."""
    origin_s = min(_start_s(s) for s in (video, audio) if s)
    ET.register_namespace("", _MPD_NAMESPACE)
    mpd = ET.Element(
        f"{{{_MPD_NAMESPACE}}}MPD",
        type="static",
        profiles=_LIVE_PROFILE,
        minBufferTime="PT2S",
        mediaPresentationDuration=_iso_duration(_end_s(video) - origin_s),
    )
    # Means nothing new, but FFmpeg reads an MPD by a relative path only if it has one.
    ET.SubElement(mpd, "BaseURL").text = "./"
    period = ET.SubElement(mpd, "Period", id="0", start="PT0S")
    _add_video(period, video, origin_s)
    if audio:
        _add_audio(period, audio, origin_s)
    ET.indent(mpd)
    return ET.tostring(mpd, encoding="unicode", xml_declaration=True) + "\n"


def _add_video(period: ET.Element, video: Stream, origin_s: Fraction) -> None:
    kind = _add_set(period, "video")
    representation = ET.SubElement(
        kind,
        "Representation",
        id="video",
        codecs=video.codec_string,
        bandwidth=str(video.bandwidth_bps),
        width=str(video.width),
        height=str(video.height),
        frameRate=_ratio_text(frame_rate(video)),
    )
    _add_template(representation, "video", video, origin_s)


def _add_audio(period: ET.Element, audio: Stream, origin_s: Fraction) -> None:
    kind = _add_set(period, "audio")
    representation = ET.SubElement(
        kind,
        "Representation",
        id="audio",
        codecs=audio.codec_string,
        bandwidth=str(audio.bandwidth_bps),
    )
    _add_template(representation, "audio", audio, origin_s)


def _add_set(period: ET.Element, kind: str) -> ET.Element:
    return ET.SubElement(
        period,
        "AdaptationSet",
        contentType=kind,
        mimeType=f"{kind}/mp4",
        segmentAlignment="true",
        startWithSAP="1",
    )


def _add_template(
    representation: ET.Element, kind: str, stream: Stream, origin_s: Fraction
) -> None:
    template = ET.SubElement(
        representation,
        "SegmentTemplate",
        timescale=str(stream.timescale),
        startNumber="1",
        presentationTimeOffset=str(round(origin_s * stream.timescale)),
        initialization=f"{kind}/init.mp4",
        media=f"{kind}/seg-$Number%05d$.m4s",
    )
    timeline = ET.SubElement(template, "SegmentTimeline")
    at = None
    for duration, same in _equal_runs(stream.segments):
        first = same[0].start_ticks
        start = {} if first == at else {"t": str(first)}
        repeat = {"r": str(len(same) - 1)} if len(same) > 1 else {}
        ET.SubElement(timeline, "S", start | {"d": str(duration)} | repeat)
        at = first + duration * len(same)


def _equal_runs(segments: Sequence[SegmentFile]) -> list[tuple[int, list[SegmentFile]]]:
    """Runs of segments that follow each other without a gap and last equally long."""
    runs: list[tuple[int, list[SegmentFile]]] = []
    for duration, group in groupby(segments, key=lambda s: s.duration_ticks):
        for segment in group:
            last = runs[-1][1] if runs and runs[-1][0] == duration else []
            if last and last[-1].start_ticks + duration == segment.start_ticks:
                last.append(segment)
            else:
                runs.append((duration, [segment]))
    return runs


def media_playlist(kind: str, stream: Stream) -> str:
    """The HLS playlist of one stream's segments."""
    lengths = [Fraction(s.duration_ticks, stream.timescale) for s in stream.segments]
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{max(1, max(round(n) for n in lengths))}",
        "#EXT-X-MEDIA-SEQUENCE:1",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        f'#EXT-X-MAP:URI="{kind}/init.mp4"',
    ]
    for number, length in enumerate(lengths, start=1):
        lines += [f"#EXTINF:{float(length):.6f},", _segment_name(kind, number)]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def master_playlist(video: Stream, audio: Stream | None) -> str:
    """The HLS playlist that names the streams."""
    streams = [video] + ([audio] if audio else [])
    attributes = [
        f"BANDWIDTH={sum(s.bandwidth_bps for s in streams)}",
        f"AVERAGE-BANDWIDTH={sum(_average_bps(s) for s in streams)}",
        f'CODECS="{",".join(s.codec_string for s in streams)}"',
        f"RESOLUTION={video.width}x{video.height}",
        f"FRAME-RATE={float(frame_rate(video)):.3f}",
    ]
    sound = []
    if audio:
        attributes.append('AUDIO="audio"')
        sound = [
            '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="audio",DEFAULT=YES,'
            'AUTOSELECT=YES,URI="audio.m3u8"'
        ]
    head = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS", *sound]
    return "\n".join([*head, f"#EXT-X-STREAM-INF:{','.join(attributes)}", "video.m3u8", ""])


def _average_bps(stream: Stream) -> int:
    sizes = sum(s.path.stat().st_size for s in stream.segments)
    return round(8 * sizes / max(_end_s(stream) - _start_s(stream), Fraction(1, 1000)))


def frame_rate(video: Stream) -> Fraction:
    """Frames a second in the mean over the film, as a fraction that a manifest can hold."""
    frames = sum(s.frames for s in video.segments)
    ticks = sum(s.duration_ticks for s in video.segments)
    return Fraction(frames * video.timescale, max(1, ticks)).limit_denominator(1001)


def _ratio_text(value: Fraction) -> str:
    whole = value.denominator == 1
    return str(value.numerator) if whole else f"{value.numerator}/{value.denominator}"


def _start_s(stream: Stream) -> Fraction:
    return Fraction(stream.segments[0].start_ticks, stream.timescale)


def _end_s(stream: Stream) -> Fraction:
    last = stream.segments[-1]
    return Fraction(last.start_ticks + last.duration_ticks, stream.timescale)


def _iso_duration(seconds: Fraction) -> str:
    """ISO 8601, to a microsecond."""
    return f"PT{float(seconds):.6f}".rstrip("0").rstrip(".") + "S"
