"""`manifest.mpd`: DASH (ISO/IEC 23009-1), live profile with a SegmentTimeline, which is exact for
variable frame rates.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby

from player.package.languages import bcp47
from player.package.layout import (
    AUDIO,
    INIT_NAME,
    TEXT,
    VIDEO,
    segment_name,
    sound_folder,
    text_name,
    text_path,
)
from player.package.streams import (
    COMMENTARY,
    DUB,
    FORCED,
    HEARING_IMPAIRED,
    UNLABELLED,
    VISUAL_IMPAIRED,
    Label,
    Segment,
    StreamFiles,
    TextFile,
    first_choice,
    plain_text,
    span,
)

MPD_NAMESPACE = "urn:mpeg:dash:schema:mpd:2011"
_LIVE_PROFILE = "urn:mpeg:dash:profile:isoff-live:2011"
_ROLES = "urn:mpeg:dash:role:2011"
_ROLE_OF = {
    FORCED: "forced-subtitle", VISUAL_IMPAIRED: "description", COMMENTARY: "commentary", DUB: "dub",
}  # fmt: skip
# TV-Anytime's list, which DASH-IF and DVB take (ETSI TS 103 285, 6.1.2).
_PURPOSE = "urn:tva:metadata:cs:AudioPurposeCS:2007"
_PURPOSES = {VISUAL_IMPAIRED: "1", HEARING_IMPAIRED: "2"}


def dash_manifest(
    video: StreamFiles, sounds: Sequence[StreamFiles] = (), texts: Sequence[TextFile] = ()
) -> str:
    """The MPD of a finished film, as text."""
    origin_s, end_s = span(video, sounds)
    ET.register_namespace("", MPD_NAMESPACE)
    mpd = ET.Element(
        f"{{{MPD_NAMESPACE}}}MPD",
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
    first = first_choice([s.label for s in sounds])
    for number, sound in enumerate(sounds, start=1):
        # One track needs no telling apart.
        roles = [] if len(sounds) == 1 else ["main" if number == first else "alternate"]
        adaptation = _adaptation(period, AUDIO, sound.label, roles)
        _add_stream(adaptation, sound_folder(number), sound, origin_s, {})
    for number, text in enumerate(texts, start=1):
        _add_text(period, number, text, origin_s, end_s)
    ET.indent(mpd)
    return ET.tostring(mpd, encoding="unicode", xml_declaration=True) + "\n"


def _adaptation(
    period: ET.Element, kind: str, label: Label = UNLABELLED, roles: Sequence[str] = ()
) -> ET.Element:
    """An empty AdaptationSet; `kind` is its type of content. Its flags are roles too."""
    text = kind == TEXT
    streamed = {} if text else {"segmentAlignment": "true", "startWithSAP": "1"}
    language = {"lang": tag} if (tag := bcp47(label.language)) else {}
    mime_type = "text/vtt" if text else f"{kind}/mp4"
    attributes = {"contentType": kind, "mimeType": mime_type, **language, **streamed}
    adaptation = ET.SubElement(period, "AdaptationSet", attributes)
    # In the order of the schema.
    if label.title:
        ET.SubElement(adaptation, "Label").text = plain_text(label.title)
    for flag in label.flags:
        if flag in _PURPOSES:
            ET.SubElement(adaptation, "Accessibility", schemeIdUri=_PURPOSE, value=_PURPOSES[flag])
    for role in (*roles, *(_ROLE_OF[flag] for flag in label.flags if flag in _ROLE_OF)):
        ET.SubElement(adaptation, "Role", schemeIdUri=_ROLES, value=role)
    return adaptation


def _add_text(
    period: ET.Element, number: int, text: TextFile, origin_s: Fraction, end_s: Fraction
) -> None:
    """An AdaptationSet of one file, whose times are the film's."""
    roles = [] if FORCED in text.label.flags else ["subtitle"]
    adaptation = _adaptation(period, TEXT, text.label, roles)
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


def _iso_duration(seconds: Fraction) -> str:
    """ISO 8601, to a microsecond."""
    return f"PT{float(seconds):.6f}".rstrip("0").rstrip(".") + "S"
