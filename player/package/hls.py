"""`master.m3u8` and the playlists that it leads to: HLS (RFC 8216)."""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil

from player.package.languages import bcp47
from player.package.layout import (
    AUDIO,
    INIT_NAME,
    TEXT,
    VIDEO,
    playlist_name,
    segment_name,
    sound_folder,
    text_name,
    text_path,
)
from player.package.streams import (
    FORCED,
    HEARING_IMPAIRED,
    VISUAL_IMPAIRED,
    Label,
    StreamFiles,
    TextFile,
    first_choice,
    plain_text,
)

# RFC 8216bis 4.4.6.2, by H.273's names of the transfer functions.
_VIDEO_RANGES = {"smpte2084": "PQ", "arib-std-b67": "HLG"}
# RFC 8216 4.3.4.1, and RFC 8216bis for the second of the deaf's.
_CHARACTERISTICS = {
    VISUAL_IMPAIRED: "public.accessibility.describes-video",
    HEARING_IMPAIRED: "public.accessibility.transcribes-spoken-dialog,"
    "public.accessibility.describes-music-and-sound",
}


def media_playlist(kind: str, lengths: Sequence[Fraction]) -> str:
    """The HLS playlist of one stream's segments, by their lengths in seconds."""
    # The target is whole seconds, and no segment's rounded length may be above it (RFC 8216
    # 4.3.3.1).
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{max([1, *map(round, lengths)])}",
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
        names, first = _names(labels, AUDIO), first_choice(labels)
        for i, label in enumerate(labels, start=1):
            choice = f"{_media('AUDIO', AUDIO, names[i - 1], label)},DEFAULT={_yes(i == first)}"
            media.append(f'{choice},AUTOSELECT=YES,URI="{playlist_name(sound_folder(i))}"')
    if texts:
        attributes.append(f'SUBTITLES="{TEXT}"')
        labels = [text.label for text in texts]
        names = _names(labels, TEXT)
        for i, label in enumerate(labels, start=1):
            # Shown where nobody asked only if the film's own file has it so, and one of them.
            shown = label.is_default and i == first_choice(labels)
            choice = f"{_media('SUBTITLES', TEXT, names[i - 1], label)},DEFAULT={_yes(shown)}"
            forced = ",FORCED=YES" if FORCED in label.flags else ""
            uri = playlist_name(text_name(i))
            media.append(f'{choice},AUTOSELECT=YES{forced},URI="{uri}"')
    head = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS", *media]
    stream = f"#EXT-X-STREAM-INF:{','.join(attributes)}"
    return "\n".join([*head, stream, playlist_name(VIDEO), ""])


def _average_bps(stream: StreamFiles) -> int:
    # A film of one frame may claim to last no time at all.
    length_s = max(stream.end_s - stream.start_s, Fraction(1, 1000))
    return round(8 * sum(s.path.stat().st_size for s in stream.segments) / length_s)


def _media(kind: str, group: str, name: str, label: Label) -> str:
    """The beginning of an EXT-X-MEDIA line."""
    language = bcp47(label.language)
    lines = [f'#EXT-X-MEDIA:TYPE={kind},GROUP-ID="{group}",NAME="{name}"']
    lines += [f'LANGUAGE="{language}"'] if language else []
    if found := [_CHARACTERISTICS[flag] for flag in label.flags if flag in _CHARACTERISTICS]:
        lines.append(f'CHARACTERISTICS="{",".join(found)}"')
    return ",".join(lines)


def _names(labels: Sequence[Label], kind: str) -> list[str]:
    """What players show; of a group's tracks no two have one name (RFC 8216 4.3.4.1.1)."""
    names: list[str] = []
    for number, label in enumerate(labels, start=1):
        known = plain_text(label.title or label.language)
        plain = known or (kind if number == 1 else f"{kind} {number}")
        names.append(plain if plain not in names else f"{plain} ({number})")
    return names


def _yes(is_so: bool) -> str:
    return "YES" if is_so else "NO"
