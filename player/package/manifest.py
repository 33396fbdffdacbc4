"""`manifest.mpd` (DASH) and `master.m3u8` (HLS) over the same CMAF segments.

    video/init.mp4  video/seg-00001.m4s ...  <--- manifest.mpd
    audio/init.mp4  audio/seg-00001.m4s ...  <--- master.m3u8 -> video.m3u8, audio.m3u8

Both stay plain, so that every player accepts them and shows the LR video; only `sr/index.bin`
knows of the network. DASH: ISO/IEC 23009-1, live profile with a SegmentTimeline, which is exact
for variable frame rates. HLS: RFC 8216.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby
from pathlib import Path

from player.package.artefact import write_text
from player.package.layout import (
    AUDIO,
    INIT_NAME,
    MASTER_NAME,
    MPD_NAME,
    VIDEO,
    playlist_name,
    segment_name,
)
from player.package.package_error import PackageError
from player.package.streams import Segment, StreamFiles

_MPD_NAMESPACE = "urn:mpeg:dash:schema:mpd:2011"
_LIVE_PROFILE = "urn:mpeg:dash:profile:isoff-live:2011"

# RFC 8216bis 4.4.6.2, by H.273's names of the transfer functions.
_VIDEO_RANGES = {"smpte2084": "PQ", "arib-std-b67": "HLG"}


def write_manifests(package: Path, video: StreamFiles, audio: StreamFiles | None) -> None:
    """Write both manifests into the folder `package`, the masters last.

    Raises PackageError where a segment's name is not as the templates say, OSError.
    """
    streams = {VIDEO: video} | ({AUDIO: audio} if audio else {})
    for kind, stream in streams.items():
        numbers = range(1, len(stream.segments) + 1)
        wanted = [f"{kind}/{INIT_NAME}", *(f"{kind}/{segment_name(n)}" for n in numbers)]
        if [p.relative_to(package).as_posix() for p in stream.files] != wanted:
            raise PackageError(f"{kind}: segments are not named {wanted[0]}, {wanted[1]}, ...")
        write_text(package / playlist_name(kind), media_playlist(kind, stream))
    # The masters last: what they name is there by then.
    write_text(package / MASTER_NAME, master_playlist(video, audio))
    write_text(package / MPD_NAME, dash_manifest(video, audio))


def dash_manifest(video: StreamFiles, audio: StreamFiles | None) -> str:
    """The MPD of a finished film, as text: from a stream's first start to a stream's last end."""
    streams = [s for s in (video, audio) if s]
    origin_s, end_s = min(s.start_s for s in streams), max(s.end_s for s in streams)
    ET.register_namespace("", _MPD_NAMESPACE)
    mpd = ET.Element(
        f"{{{_MPD_NAMESPACE}}}MPD",
        type="static",
        profiles=_LIVE_PROFILE,
        minBufferTime="PT2S",
        mediaPresentationDuration=_iso_duration(end_s - origin_s),
    )
    # Means nothing new, but FFmpeg reads an MPD by a relative path only if it has one.
    ET.SubElement(mpd, "BaseURL").text = "./"
    period = ET.SubElement(mpd, "Period", id="0", start="PT0S")
    picture = {
        "width": str(video.width),
        "height": str(video.height),
        "frameRate": str(video.frame_rate),
    }
    if (shape := video.sample_aspect_ratio) != 1:
        picture["sar"] = f"{shape.numerator}:{shape.denominator}"
    _add_stream(period, VIDEO, video, origin_s, picture)
    if audio:
        _add_stream(period, AUDIO, audio, origin_s, {})
    ET.indent(mpd)
    return ET.tostring(mpd, encoding="unicode", xml_declaration=True) + "\n"


def _add_stream(
    period: ET.Element,
    kind: str,
    stream: StreamFiles,
    origin_s: Fraction,
    attributes: dict[str, str],
) -> None:
    """An AdaptationSet with one Representation, its segments by template and timeline."""
    adaptation = ET.SubElement(
        period,
        "AdaptationSet",
        contentType=kind,
        mimeType=f"{kind}/mp4",
        segmentAlignment="true",
        startWithSAP="1",
    )
    codec = {"codecs": stream.codec_string, "bandwidth": str(stream.bandwidth_bps)}
    identity = {"id": kind, **codec, **attributes}
    representation = ET.SubElement(adaptation, "Representation", identity)
    # presentationTimeOffset: a period begins at zero, the segments' own times where the film does.
    template = ET.SubElement(
        representation,
        "SegmentTemplate",
        timescale=str(stream.timescale),
        startNumber="1",
        presentationTimeOffset=str(round(origin_s * stream.timescale)),
        initialization=f"{kind}/{INIT_NAME}",
        media=f"{kind}/{segment_name('$Number%05d$')}",
    )
    timeline = ET.SubElement(template, "SegmentTimeline")
    at = None
    for duration, same in _equal_runs(stream.segments):
        first = same[0].start_ticks
        start = {} if first == at else {"t": str(first)}  # players count on from the run before
        # `r` counts the repetitions, and so one segment less.
        repeat = {"r": str(len(same) - 1)} if len(same) > 1 else {}
        ET.SubElement(timeline, "S", start | {"d": str(duration)} | repeat)
        at = first + duration * len(same)


def _equal_runs(segments: Sequence[Segment]) -> list[tuple[int, list[Segment]]]:
    """Runs of segments that follow each other without a gap and last equally long."""
    runs: list[tuple[int, list[Segment]]] = []
    for duration, group in groupby(segments, key=lambda s: s.duration_ticks):
        for segment in group:
            last = runs[-1][1] if runs and runs[-1][0] == duration else []
            # Equal lengths are not enough: behind a gap a new S has to state its time.
            if last and last[-1].start_ticks + duration == segment.start_ticks:
                last.append(segment)
            else:
                runs.append((duration, [segment]))
    return runs


def media_playlist(kind: str, stream: StreamFiles) -> str:
    """The HLS playlist of one stream's segments."""
    lengths = [Fraction(s.duration_ticks, stream.timescale) for s in stream.segments]
    # The target is whole seconds, and no segment's rounded length may be above it (RFC 8216
    # 4.3.3.1).
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{max(1, max(round(n) for n in lengths))}",
        "#EXT-X-MEDIA-SEQUENCE:1",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        f'#EXT-X-MAP:URI="{kind}/{INIT_NAME}"',
    ]
    for number, length in enumerate(lengths, start=1):
        lines += [f"#EXTINF:{float(length):.6f},", f"{kind}/{segment_name(number)}"]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def master_playlist(video: StreamFiles, audio: StreamFiles | None) -> str:
    """The HLS playlist that names the streams."""
    streams = [video] + ([audio] if audio else [])
    sizes = (8 * sum(s.path.stat().st_size for s in stream.segments) for stream in streams)
    # A film of one frame may claim to last no time at all.
    lengths_s = (max(s.end_s - s.start_s, Fraction(1, 1000)) for s in streams)
    average_bps = sum(round(bits / s) for bits, s in zip(sizes, lengths_s, strict=True))
    attributes = [
        f"BANDWIDTH={sum(s.bandwidth_bps for s in streams)}",
        f"AVERAGE-BANDWIDTH={average_bps}",
        f'CODECS="{",".join(s.codec_string for s in streams)}"',
        # As it is to be displayed (RFC 8216 4.3.4.2), where DASH has the coded size and `sar`.
        f"RESOLUTION={round(video.width * video.sample_aspect_ratio)}x{video.height}",
        f"FRAME-RATE={float(video.frame_rate):.3f}",
        f"VIDEO-RANGE={_VIDEO_RANGES.get(video.transfer, 'SDR')}",
    ]
    sound = []
    if audio:
        attributes.append('AUDIO="audio"')
        sound = [
            '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="audio",DEFAULT=YES,'
            f'AUTOSELECT=YES,URI="{playlist_name(AUDIO)}"'
        ]
    head = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS", *sound]
    stream = f"#EXT-X-STREAM-INF:{','.join(attributes)}"
    return "\n".join([*head, stream, playlist_name(VIDEO), ""])


def _iso_duration(seconds: Fraction) -> str:
    """ISO 8601, to a microsecond."""
    return f"PT{float(seconds):.6f}".rstrip("0").rstrip(".") + "S"
