"""`manifest.mpd` (DASH) and `master.m3u8` (HLS) over the same CMAF segments.

    video/init.mp4  video/seg-00001.m4s ...  <--- manifest.mpd
    audio/init.mp4  audio/seg-00001.m4s ...  <--- master.m3u8 -> video.m3u8, audio.m3u8, ...
    text/1.vtt ...

Both stay plain, so that every player accepts them and shows the LR video; only `sr/index.bin`
knows of the network. DASH: ISO/IEC 23009-1, live profile with a SegmentTimeline, which is exact
for variable frame rates. HLS: RFC 8216.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby
from math import ceil
from pathlib import Path

from player.package.artefact import write_text
from player.package.layout import (
    AUDIO,
    INIT_NAME,
    MASTER_NAME,
    MPD_NAME,
    TEXT,
    VIDEO,
    playlist_name,
    segment_name,
    sound_folder,
    text_name,
    text_path,
)
from player.package.package_error import PackageError
from player.package.streams import UNLABELLED, Label, Segment, StreamFiles, TextFile

_MPD_NAMESPACE = "urn:mpeg:dash:schema:mpd:2011"
_LIVE_PROFILE = "urn:mpeg:dash:profile:isoff-live:2011"
_ROLES = "urn:mpeg:dash:role:2011"

# RFC 8216bis 4.4.6.2, by H.273's names of the transfer functions.
_VIDEO_RANGES = {"smpte2084": "PQ", "arib-std-b67": "HLG"}


def write_manifests(
    package: Path,
    video: StreamFiles,
    sounds: Sequence[StreamFiles] = (),
    texts: Sequence[TextFile] = (),
) -> None:
    """Write all manifests into the folder `package`, the masters last.

    Raises PackageError where a file's name is not as the templates say, OSError.
    """
    streams = {VIDEO: video} | {sound_folder(i): s for i, s in enumerate(sounds, start=1)}
    for kind, stream in streams.items():
        numbers = range(1, len(stream.segments) + 1)
        wanted = [f"{kind}/{INIT_NAME}", *(f"{kind}/{segment_name(n)}" for n in numbers)]
        if [p.relative_to(package).as_posix() for p in stream.files] != wanted:
            raise PackageError(f"{kind}: segments are not named {wanted[0]}, {wanted[1]}, ...")
        write_text(package / playlist_name(kind), media_playlist(kind, stream))
    _, end_s = _span(video, sounds)
    for number, text in enumerate(texts, start=1):
        if text.path.relative_to(package).as_posix() != text_path(number):
            raise PackageError(f"{text.path} is not {text_path(number)}")
        write_text(package / playlist_name(text_name(number)), text_playlist(number, end_s))
    # The masters last: what they name is there by then.
    write_text(package / MASTER_NAME, master_playlist(video, sounds, texts))
    write_text(package / MPD_NAME, dash_manifest(video, sounds, texts))


def _span(video: StreamFiles, sounds: Sequence[StreamFiles]) -> tuple[Fraction, Fraction]:
    """From a stream's first start to a stream's last end, in seconds."""
    streams = [video, *sounds]
    return min(s.start_s for s in streams), max(s.end_s for s in streams)


def dash_manifest(
    video: StreamFiles, sounds: Sequence[StreamFiles] = (), texts: Sequence[TextFile] = ()
) -> str:
    """The MPD of a finished film, as text."""
    origin_s, end_s = _span(video, sounds)
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
    _add_stream(_adaptation(period, VIDEO), VIDEO, video, origin_s, picture)
    first = _first_choice([s.label for s in sounds])
    for number, sound in enumerate(sounds, start=1):
        # One track needs no telling apart.
        role = None if len(sounds) == 1 else "main" if number == first else "alternate"
        adaptation = _adaptation(period, AUDIO, sound.label, role)
        _add_stream(adaptation, sound_folder(number), sound, origin_s, {})
    for number, text in enumerate(texts, start=1):
        _add_text(period, number, text, origin_s, end_s)
    ET.indent(mpd)
    return ET.tostring(mpd, encoding="unicode", xml_declaration=True) + "\n"


def _first_choice(labels: Sequence[Label]) -> int:
    """The number of the track to begin with, from 1."""
    return next((i for i, label in enumerate(labels, start=1) if label.is_default), 1)


def _adaptation(
    period: ET.Element, kind: str, label: Label = UNLABELLED, role: str | None = None
) -> ET.Element:
    """An empty AdaptationSet; `kind` is its type of content."""
    text = kind == TEXT
    streamed = {} if text else {"segmentAlignment": "true", "startWithSAP": "1"}
    language = {"lang": _plain(label.language)} if label.language else {}
    mime_type = "text/vtt" if text else f"{kind}/mp4"
    attributes = {"contentType": kind, "mimeType": mime_type, **language, **streamed}
    adaptation = ET.SubElement(period, "AdaptationSet", attributes)
    # Labels before roles, as the schema has them.
    if label.title:
        ET.SubElement(adaptation, "Label").text = _plain(label.title)
    if role:
        ET.SubElement(adaptation, "Role", schemeIdUri=_ROLES, value=role)
    return adaptation


def _add_text(
    period: ET.Element, number: int, text: TextFile, origin_s: Fraction, end_s: Fraction
) -> None:
    """An AdaptationSet of one file, whose times are the film's."""
    adaptation = _adaptation(period, TEXT, text.label, "subtitle")
    bandwidth_bps = -(-8 * text.path.stat().st_size // max(1, int(end_s - origin_s)))
    identity = {"id": text_name(number), "bandwidth": str(bandwidth_bps)}
    representation = ET.SubElement(adaptation, "Representation", identity)
    ET.SubElement(representation, "BaseURL").text = text_path(number)
    if origin_s:
        offset = str(round(origin_s * 1000))
        ET.SubElement(
            representation, "SegmentBase", timescale="1000", presentationTimeOffset=offset
        )


def _add_stream(
    adaptation: ET.Element,
    folder: str,
    stream: StreamFiles,
    origin_s: Fraction,
    attributes: dict[str, str],
) -> None:
    """The one Representation of an AdaptationSet, its segments by template and timeline."""
    codec = {"codecs": stream.codec_string, "bandwidth": str(stream.bandwidth_bps)}
    identity = {"id": folder, **codec, **attributes}
    representation = ET.SubElement(adaptation, "Representation", identity)
    # presentationTimeOffset: a period begins at zero, the segments' own times where the film does.
    template = ET.SubElement(
        representation,
        "SegmentTemplate",
        timescale=str(stream.timescale),
        startNumber="1",
        presentationTimeOffset=str(round(origin_s * stream.timescale)),
        initialization=f"{folder}/{INIT_NAME}",
        media=f"{folder}/{segment_name('$Number%05d$')}",
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


def text_playlist(number: int, end_s: Fraction) -> str:
    """The HLS playlist of a track of subtitles: one file, as long as the film."""
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{max(1, ceil(end_s))}",
        "#EXT-X-MEDIA-SEQUENCE:1",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        f"#EXTINF:{float(end_s):.6f},",
        text_path(number),
        "#EXT-X-ENDLIST",
        "",
    ]
    return "\n".join(lines)


def master_playlist(
    video: StreamFiles, sounds: Sequence[StreamFiles] = (), texts: Sequence[TextFile] = ()
) -> str:
    """The HLS playlist that names the streams."""
    # Of the sound, players take one track at a time.
    bandwidth_bps = video.bandwidth_bps + max((s.bandwidth_bps for s in sounds), default=0)
    average_bps = _average_bps(video) + max(map(_average_bps, sounds), default=0)
    codecs = dict.fromkeys(s.codec_string for s in (video, *sounds))
    attributes = [
        f"BANDWIDTH={bandwidth_bps}",
        f"AVERAGE-BANDWIDTH={average_bps}",
        f'CODECS="{",".join(codecs)}"',
        # As it is to be displayed (RFC 8216 4.3.4.2), where DASH has the coded size and `sar`.
        f"RESOLUTION={round(video.width * video.sample_aspect_ratio)}x{video.height}",
        f"FRAME-RATE={float(video.frame_rate):.3f}",
        f"VIDEO-RANGE={_VIDEO_RANGES.get(video.transfer, 'SDR')}",
    ]
    media = []
    if sounds:
        attributes.append(f'AUDIO="{AUDIO}"')
        labels = [sound.label for sound in sounds]
        names, first = _names(labels, AUDIO), _first_choice(labels)
        for i, label in enumerate(labels, start=1):
            choice = f"{_media('AUDIO', AUDIO, names[i - 1], label)},DEFAULT={_yes(i == first)}"
            media.append(f'{choice},AUTOSELECT=YES,URI="{playlist_name(sound_folder(i))}"')
    if texts:
        attributes.append(f'SUBTITLES="{TEXT}"')
        labels = [text.label for text in texts]
        names = _names(labels, TEXT)
        for i, label in enumerate(labels, start=1):
            # Shown where nobody asked only if the film's own file has it so, and one of them.
            shown = label.is_default and i == _first_choice(labels)
            choice = f"{_media('SUBTITLES', TEXT, names[i - 1], label)},DEFAULT={_yes(shown)}"
            media.append(f'{choice},AUTOSELECT=YES,URI="{playlist_name(text_name(i))}"')
    head = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS", *media]
    stream = f"#EXT-X-STREAM-INF:{','.join(attributes)}"
    return "\n".join([*head, stream, playlist_name(VIDEO), ""])


def _average_bps(stream: StreamFiles) -> int:
    # A film of one frame may claim to last no time at all.
    length_s = max(stream.end_s - stream.start_s, Fraction(1, 1000))
    return round(8 * sum(s.path.stat().st_size for s in stream.segments) / length_s)


def _media(kind: str, group: str, name: str, label: Label) -> str:
    """The beginning of an EXT-X-MEDIA line."""
    language = f',LANGUAGE="{_plain(label.language)}"' if label.language else ""
    return f'#EXT-X-MEDIA:TYPE={kind},GROUP-ID="{group}",NAME="{name}"{language}'


def _names(labels: Sequence[Label], kind: str) -> list[str]:
    """What players show; of a group's tracks no two have one name (RFC 8216 4.3.4.1.1)."""
    names: list[str] = []
    for number, label in enumerate(labels, start=1):
        known = _plain(label.title or label.language)
        plain = known or (kind if number == 1 else f"{kind} {number}")
        names.append(plain if plain not in names else f"{plain} ({number})")
    return names


def _plain(text: str) -> str:
    """Without what ends a quoted string of a playlist, or is no character of XML."""
    return "".join(c for c in text.replace('"', "'") if c.isprintable())


def _yes(is_so: bool) -> str:
    return "YES" if is_so else "NO"


def _iso_duration(seconds: Fraction) -> str:
    """ISO 8601, to a microsecond."""
    return f"PT{float(seconds):.6f}".rstrip("0").rstrip(".") + "S"
