"""The few facts of ISO base media files that a stream's writer needs: boxes and codec strings.

Sources: ISO/IEC 14496-12 4.2 (boxes); RFC 6381 3.3-3.4 with ISO/IEC 14496-15 Annex E (avc1,
hvc1); "AV1 Codec ISO Media File Format Binding" 5 (av01).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}
_VISUAL_ENTRIES = {b"avc1", b"avc3", b"hvc1", b"hev1", b"av01"}
_AUDIO_STRINGS = {b"Opus": "opus", b"ac-3": "ac-3", b"ec-3": "ec-3", b"fLaC": "flac"}


@dataclass(frozen=True)
class Box:
    kind: bytes
    body: bytes


def boxes(data: bytes) -> Iterator[Box]:
    """The boxes that `data` is made of; stops at the first one that does not fit."""
    position = 0
    while position + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        if size < 8 or position + size > len(data):
            return
        yield Box(kind, data[position + 8 : position + size])
        position += size


def codec_string(init: bytes) -> str:
    """RFC 6381 codec of the first track of an init segment; ValueError if it is none we write."""
    entry = next(boxes(_sample_description(init)[8:]))
    if entry.kind in _VISUAL_ENTRIES:
        settings = {box.kind: box.body for box in boxes(entry.body[78:])}
        return _visual_string(entry.kind, settings)
    if entry.kind in _AUDIO_STRINGS:
        return _AUDIO_STRINGS[entry.kind]
    if entry.kind == b"mp4a":
        return _mp4a_string(entry.body)
    raise ValueError(f"no codec string for sample entry {entry.kind!r}")


class SegmentSplitter:
    """A file to write a fragmented MP4 into: hands on the init segment, then one moof each.

    `on_part(bytes)` gets ftyp + moov first, then every moof with its mdat. The index at the
    very end (mfra) is left out: a manifest takes its place.
    """

    def __init__(self, on_part: Callable[[bytes], None]) -> None:
        self._on_part = on_part
        self._pending = bytearray()
        self._part = bytearray()

    def write(self, data: bytes) -> int:
        self._pending += data
        while len(self._pending) >= 8:
            size, kind = struct.unpack_from(">I4s", self._pending)
            if size > len(self._pending):
                break
            self._take(kind, bytes(self._pending[:size]))
            del self._pending[:size]
        return len(data)

    def finish(self) -> None:
        """Hands on the last part."""
        if self._part:
            self._on_part(bytes(self._part))
            self._part.clear()

    def _take(self, kind: bytes, box: bytes) -> None:
        if kind in (b"moof", b"mfra"):
            self.finish()
        if kind != b"mfra":
            self._part += box


def _sample_description(init: bytes) -> bytes:
    """The body of the first stsd."""
    for box in boxes(init):
        if box.kind == b"stsd":
            return box.body
        if box.kind in _CONTAINERS:
            try:
                return _sample_description(box.body)
            except ValueError:
                continue
    raise ValueError("no sample description in the init segment")


def _visual_string(kind: bytes, settings: dict[bytes, bytes]) -> str:
    name = kind.decode()
    if b"avcC" in settings:
        return f"{name}.{settings[b'avcC'][1:4].hex().upper()}"
    if b"hvcC" in settings:
        return f"{name}.{_hevc_string(settings[b'hvcC'])}"
    if b"av1C" in settings:
        return f"{name}.{_av1_string(settings[b'av1C'])}"
    raise ValueError(f"no decoder configuration in sample entry {name}")


def _hevc_string(config: bytes) -> str:
    first, compatibility = config[1], int.from_bytes(config[2:6], "big")
    space = ("", "A", "B", "C")[first >> 6]
    tier = "H" if first & 0x20 else "L"
    reversed_flags = int(f"{compatibility:032b}"[::-1], 2)
    constraints = config[6:12].rstrip(b"\0")
    parts = [f"{space}{first & 31}", f"{reversed_flags:X}", f"{tier}{config[12]}"]
    return ".".join(parts + [f"{byte:X}" for byte in constraints])


def _av1_string(config: bytes) -> str:
    profile, level = config[1] >> 5, config[1] & 31
    tier = "H" if config[2] & 0x80 else "M"
    depth = 12 if config[2] & 0x20 else 10 if config[2] & 0x40 else 8
    return f"{profile}.{level:02d}{tier}.{depth:02d}"


def _mp4a_string(entry: bytes) -> str:
    """mp4a.OTI[.AOT] out of the esds descriptors (ISO/IEC 14496-1 7.2.6)."""
    config = next((box.body for box in boxes(entry[28:]) if box.kind == b"esds"), b"")
    place = config.find(b"\x04", 4)  # DecoderConfigDescriptor: tag, length, object type
    while place >= 0 and place + 1 < len(config):
        body = place + 1
        while config[body] & 0x80:
            body += 1
        object_type = config[body + 1]
        if object_type in (0x40, 0x69, 0x6B):
            break
        place = config.find(b"\x04", place + 1)
    else:
        return "mp4a.40.2"
    if object_type != 0x40:
        return f"mp4a.{object_type:02X}"
    specific = config.find(b"\x05", body + 14)
    while config[specific + 1] & 0x80:
        specific += 1
    return f"mp4a.40.{config[specific + 2] >> 3}"
